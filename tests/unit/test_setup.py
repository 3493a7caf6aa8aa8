"""The Train form: what is typed becomes specs, and what is wrong gets one sentence at its place."""

from __future__ import annotations

import pytest

from experiments.methods import METHODS
from lab_app import setup


def typed(**changes):
    return setup.draft({**setup.start(), **changes})


def order(**changes):
    problems = setup.Problems()
    return list(setup.wanted(typed(**changes), problems)), problems


def test_the_fresh_form_is_the_preset(home):
    found, problems = order()
    assert not problems and [spec.run_id for spec in found] == [spec.run_id for spec in setup.preset()]


def test_a_filled_form_reads_back_as_the_same_specs(home):
    every, problems = order(methods=[m.key for m in METHODS], seed="7", train={"steps": "3", "batch_size": "2"})
    assert not problems and len(every) == len(METHODS)
    again = list(setup.wanted(setup.draft(setup.filled(every)), problems))
    assert not problems and again == every


def test_an_empty_rate_is_the_methods_own(home):
    settings = {"lora": {"rank": "8", "learning_rate": " "}}
    (spec,), problems = order(methods=["lora"], settings=settings)
    assert not problems and spec.train.learning_rate == 1e-3


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


def test_no_method_and_an_unknown_model(home):
    assert setup.order(typed(methods=[]))[1]["methods"] == "Choose at least one method."
    assert "gpt-9" in setup.order(typed(model=setup.OTHER, hub_id="gpt-9"))[1]["hub_id"]


@pytest.mark.parametrize("sent", [None, 7, "text", [], {"model": 3}, {"methods": "lora"}, {"settings": {"lora": 5}}])
def test_what_is_no_form_is_an_empty_one(home, sent):
    found, problems = setup.order(setup.draft(sent))
    assert not found and problems
