"""The Train form: what is typed becomes specs, and what is wrong gets one sentence at its place."""

from __future__ import annotations

import pytest

from experiments import presets, specs
from experiments.methods import METHODS
from experiments.specs import RunSpec
from lab_app import setup


def typed(**changes):
    return setup.Draft.read({**setup.start(), **changes})


def order(**changes):
    problems = setup.Problems()
    return list(setup.wanted(typed(**changes), problems)), problems


def test_the_fresh_form_is_the_preset(home):
    found, problems = order()
    assert not problems and [spec.run_id for spec in found] == [spec.run_id for spec in setup.preset("first")]


def test_a_filled_form_reads_back_as_the_same_specs(home):
    every, problems = order(methods=[m.key for m in METHODS], seed="7", train={"steps": "3", "batch_size": "2"})
    assert not problems and len(every) == len(METHODS)
    again = list(setup.wanted(setup.Draft.read(setup.filled(every)), problems))
    assert not problems and again == every


def test_a_run_that_did_not_imitate_says_that_the_form_would(home):
    imitates = specs.build(RunSpec, {"model": "lab-nano", "task": "polite", "method": "lora"})
    preference = specs.build(RunSpec, {**imitates.model_dump(exclude={"goal"}), "objective": "dpo"})
    assert setup.filled([imitates])["wrong"] == {}
    assert "Prefer answers (DPO)”, which is on the Align tab" in setup.filled([preference])["wrong"]["task"]


@pytest.mark.parametrize(("model", "rate"), [("smollm2-135m", 1e-3), ("lab-nano", 2e-3)])
def test_an_empty_rate_is_the_one_usual_for_the_method_on_the_model(home, model, rate):
    settings = {"lora": {"rank": "8", "learning_rate": " "}}
    (spec,), problems = order(model=model, methods=["lora"], settings=settings)
    assert not problems and spec.train.learning_rate == rate


@pytest.mark.parametrize(
    "change, place, sentence",
    [
        ({"settings": {"lora": {"rank": "0"}}}, "lora.rank", "Rank must be at least 1."),
        ({"settings": {"lora": {"learning_rate": "fast"}}}, "lora.learning_rate", "Learning rate must be a number."),
        ({"settings": {"lora": {"wings": 2}}}, "lora.wings", "wings"),
        ({"train": {"steps": "-1"}}, "train.steps", "Steps must be at least 0."),
        ({"seed": ""}, "seed", "Seed must be a whole number."),
        ({"task": "flying"}, "task", "flying"),
    ],
)
def test_a_problem_is_at_its_place(home, change, place, sentence):
    found, problems = order(methods=["lora"], **change)
    assert not found and sentence in problems[place]


def test_advice_stands_at_its_field_and_not_in_the_way(home):
    found, problems = order(
        methods=["lora", "prompt"], settings={"lora": {"alpha": "100"}, "prompt": {"learning_rate": "1e-4"}}
    )
    assert not problems and len(found) == 2
    said = setup.advised(found)
    assert said["lora.alpha"].startswith("alpha / rank is 12.5") and said["train.steps"].startswith(
        "40 steps are few for Prompt"
    )
    assert said["prompt.learning_rate"].startswith("0.0001 is below what is usual for Prompt")


def test_how_it_trains_is_part_of_the_form(home):
    recipe = {"steps": "8", "batch_size": "2", "schedule": "cosine", "warmup": "2", "patience": "x"}
    found, problems = order(methods=["lora"], train=recipe)
    assert not found and problems == {"train.patience": "Patience must be a whole number."}
    (spec,), problems = order(methods=["lora"], train={**recipe, "patience": "1"})
    assert (spec.train.schedule, spec.train.warmup, spec.train.patience) == ("cosine", 2, 1)


def test_every_preset_fills_the_form_with_its_runs(home):
    for (_, value), preset in zip(setup.comparisons(), presets.PRESETS, strict=True):
        found = list(setup.wanted(setup.Draft.read(value), setup.Problems()))
        assert {s.run_id for s in found} == {s.run_id for s in preset.specs(value["model"])}
        other = list(setup.wanted(setup.Draft.read({**value, "model": "smollm2-135m"}), setup.Problems()))
        assert {s.run_id for s in other} == {s.run_id for s in preset.specs("smollm2-135m")}


def test_no_method_and_an_unknown_model(home):
    assert setup.order(typed(methods=[]))[1]["methods"] == "Choose at least one method."
    many = [m.key for m in METHODS if m.trains]
    assert not setup.order(typed(methods=many[: setup.MOST_METHODS]))[1]
    assert setup.order(typed(methods=many[:7]))[1]["methods"] == "At most 6 methods train side by side; 7 are chosen."
    assert setup.order(typed(methods=["lora", "<b>warp"]))[1]["methods"] == "There is no method “<b>warp”."
    assert "gpt-9" in setup.order(typed(model=setup.OTHER, hub_id="gpt-9"))[1]["hub_id"]


@pytest.mark.parametrize("sent", [None, 7, "text", [], {"model": 3}, {"methods": "lora"}, {"settings": {"lora": 5}}])
def test_what_is_no_form_is_an_empty_one(home, sent):
    found, problems = setup.order(setup.Draft.read(sent))
    assert not found and problems
