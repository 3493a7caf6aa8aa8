"""Specs: complete whatever was left out, one id for one run, and one sentence for each wrong value, whatever it is."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from experiments import methods
from experiments.accounting import llama_arch
from experiments.catalog import models, tasks
from experiments.questions import SampleSpec
from experiments.specs import Problem, RunSpec, SpecError, build, check

GOOD = {"model": "smollm2-135m", "task": "pirate", "method": "lora"}
ARCH = llama_arch(models.find("smollm2-135m").config)


def run_spec(**changes) -> RunSpec:
    return build(RunSpec, {**GOOD, **changes})


def problems(kind=RunSpec, **changes) -> list[Problem]:
    with pytest.raises(SpecError) as caught:
        build(kind, {**(GOOD if kind is RunSpec else {"model": "m", "prompt": "Hello?"}), **changes})
    return list(caught.value.problems)


# ---- canonical


@pytest.mark.parametrize("method", methods.METHODS, ids=lambda m: m.key)
def test_a_spec_is_filled_in_for_its_method(method):
    spec = run_spec(method=method.key)
    assert spec.settings == method.Settings()
    assert spec.train.learning_rate == method.learning_rate(method.Settings())
    low, high = method.usual_rates
    assert low <= spec.train.learning_rate <= high
    assert spec.train.steps == (40 if method.trains else 0)


def test_the_default_rate_follows_the_settings():
    assert run_spec(method="prefix").train.learning_rate == 1e-2
    assert run_spec(method="prefix", settings={"projection": True}).train.learning_rate == 1e-3
    assert run_spec(method="prefix", train={"learning_rate": 0.5}).train.learning_rate == 0.5


def test_what_trains_nothing_has_no_steps_whatever_was_asked():
    asked = run_spec(method="zero-shot", train={"steps": 99, "batch_size": 7, "learning_rate": 1.0})
    assert asked == run_spec(method="zero-shot") and asked.run_id == run_spec(method="zero-shot").run_id


WHOLE = {
    "model": "smollm2-135m", "weights": "hub:a/b@1", "task": "pirate", "method": "lora", "seed": 0,
    "settings": {"rank": 8, "alpha": 16.0, "dropout": 0.0, "targets": ["q_proj", "v_proj"], "layers": "all"},
    "train": {"steps": 40, "batch_size": 4, "learning_rate": 0.001},
}  # fmt: skip
"""Nothing left to a default, so that a better default does not change its id."""


def test_two_ways_of_asking_are_one_run():
    typed = {"rank": "8", "alpha": "16", "targets": " q_proj,v_proj "}  # as a form or a command line sends it
    train = {"steps": "40", "batch_size": 4.0, "learning_rate": "1e-3"}
    spelt = build(RunSpec, {**WHOLE, "settings": {**WHOLE["settings"], **typed}, "train": train, "seed": "0"})
    assert spelt == build(RunSpec, WHOLE) and spelt.run_id == build(RunSpec, WHOLE).run_id
    assert run_spec(settings={}, train={}).run_id == run_spec().run_id
    filled_in = run_spec().model_dump(mode="json")
    assert build(RunSpec, filled_in).run_id == run_spec().run_id
    assert RunSpec.model_validate_json(run_spec().model_dump_json()).run_id == run_spec().run_id


def test_run_ids_are_the_same_in_every_process_and_version():
    """Stored runs are found by their id: a change here orphans them, so it takes a new SCHEMA_VERSION."""
    assert build(RunSpec, WHOLE).run_id == "72f4b7e73227"
    code = f"from experiments.specs import *; print(build(RunSpec, {WHOLE!r}).run_id)"
    root = Path(__file__).parents[2]
    other = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True)
    assert other.stdout.strip() == "72f4b7e73227"


def test_a_setting_that_came_later_leaves_ids_as_they_were_at_its_default():
    later = {"rslora": False, "dora": "false", "plus_ratio": 1, "bias": "none", "init": "default"}
    recipe = {
        "schedule": "constant",
        "warmup": "0",
        "accumulate": 1,
        "clip": 1,
        "weight_decay": 0,
        "looks": 4,
        "patience": 0,
        "thorough": False,
    }
    train = {**WHOLE["train"], **recipe}
    spelt = build(RunSpec, {**WHOLE, "settings": {**WHOLE["settings"], **later}, "train": train, "start": ""})
    assert spelt.run_id == build(RunSpec, WHOLE).run_id
    for changed in ({"rslora": True}, {"dora": True}, {"plus_ratio": 2}, {"bias": "all"}, {"init": "pissa"}):
        other = build(RunSpec, {**WHOLE, "settings": {**WHOLE["settings"], **changed}})
        assert other.run_id != spelt.run_id


def test_every_difference_is_another_run():
    changed = [
        {}, {"model": "other"}, {"weights": "hub:a/b@1"}, {"task": "sentiment"}, {"method": "full"}, {"seed": 1},
        {"settings": {"rank": 4}}, {"settings": {"targets": ["q_proj"]}}, {"settings": {"layers": "last 2"}},
        {"train": {"steps": 39}}, {"train": {"batch_size": 5}}, {"train": {"learning_rate": 2e-3}},
    ]  # fmt: skip
    ids = {run_spec(**c).run_id for c in changed}
    assert len(ids) == len(changed) and all(len(i) == 12 and int(i, 16) >= 0 for i in ids)


def test_runs_of_one_comparison_differ_in_method_settings_and_rate_only():
    lora, prompt = run_spec(), run_spec(method="prompt")
    assert lora.comparable == prompt.comparable == run_spec(settings={"rank": 2}).comparable
    assert lora.comparable != run_spec(seed=1).comparable
    assert lora.comparable != run_spec(train={"steps": 41}).comparable


def test_a_spec_is_frozen():
    with pytest.raises(ValueError, match="frozen"):
        run_spec().seed = 2
    with pytest.raises(ValueError, match="frozen"):
        run_spec().settings.rank = 2


# ---- one sentence a wrong value

NAN, INFINITE = float("nan"), float("inf")
WRONG = [
    ({"settings": {"rank": 0}}, "settings.rank", "Rank must be at least 1."),
    ({"settings": {"rank": 257}}, "settings.rank", "Rank must be at most 256."),
    ({"settings": {"rank": "eight"}}, "settings.rank", "Rank must be a whole number."),
    ({"settings": {"rank": 1.5}}, "settings.rank", "Rank must be a whole number."),
    ({"settings": {"rank": None}}, "settings.rank", "Rank must be a whole number."),
    ({"settings": {"rank": [8]}}, "settings.rank", "Rank must be a whole number."),
    ({"settings": {"rank": "1e9"}}, "settings.rank", "Rank must be at most 256."),
    ({"settings": {"rank": "-1e9"}}, "settings.rank", "Rank must be at least 1."),
    ({"settings": {"rank": "1e1"}}, "settings.rank", "Rank must be a whole number, written as 10."),
    ({"settings": {"rank": NAN}}, "settings.rank", "Rank must be a number, not infinite or NaN."),
    ({"settings": {"alpha": 0}}, "settings.alpha", "Alpha must be more than 0."),
    ({"settings": {"alpha": INFINITE}}, "settings.alpha", "Alpha must be a number, not infinite or NaN."),
    ({"settings": {"alpha": 1e9}}, "settings.alpha", "Alpha must be at most 1,024."),
    ({"settings": {"dropout": 1}}, "settings.dropout", "Dropout must be less than 1."),
    ({"settings": {"targets": ""}}, "settings.targets", "Target modules must not be empty."),
    ({"settings": {"targets": ["q"] * 33}}, "settings.targets", "Target modules: at most 32."),
    ({"settings": {"layers": "1," * 200}}, "settings.layers", "Layers is longer than 200 characters."),
    ({"settings": {"rnak": 8}}, "settings.rnak",
     "There is no setting “rnak” here; there are rank, alpha, dropout, targets, layers, rslora, dora, "
     "plus_ratio, bias, init."),
    ({"settings": {"init": "pizza"}}, "settings.init", "Start must be one of default, gaussian, pissa, orthogonal."),
    ({"settings": {"init": "orthogonal", "rank": 3}}, "settings.init", "An orthogonal start needs an even rank."),
    ({"settings": {"init": "pissa", "dora": True}}, "settings.init",
     "PiSSA changes the base matrices, so it cannot be saved with DoRA or with biases: choose one."),
    ({"settings": {"plus_ratio": 0.5}}, "settings.plus_ratio", "LoRA+ ratio must be at least 1."),
    ({"method": "ia3", "settings": {"attention": False, "feedforward": False}}, "settings.feedforward",
     "Choose keys and values, the feed-forward, or both: nothing would be trained."),
    ({"method": "p-tuning", "settings": {"encoder": "GRU"}}, "settings.encoder", "Encoder must be one of MLP, LSTM."),
    ({"method": "full", "settings": {"rank": 8}}, "settings.rank", "There is no setting “rank” here; there are none."),
    ({"method": "prompt", "settings": {"init": "zeros"}}, "settings.init",
     "Start from must be one of text, vocabulary, random."),
    ({"method": "prefix", "settings": {"projection": "perhaps"}}, "settings.projection",
     "Projection must be true or false."),
    ({"train": {"learning_rate": NAN}}, "train.learning_rate", "Learning rate must be a number, not infinite or NaN."),
    ({"train": {"learning_rate": "nan"}}, "train.learning_rate",
     "Learning rate must be a number, not infinite or NaN."),
    ({"train": {"learning_rate": "fast"}}, "train.learning_rate", "Learning rate must be a number."),
    ({"train": {"learning_rate": -1}}, "train.learning_rate", "Learning rate must be at least 0."),
    ({"train": {"steps": -1}}, "train.steps", "Steps must be at least 0."),
    ({"train": {"steps": 10**30}}, "train.steps", "Steps must be at most 5,000."),
    ({"train": {"batch_size": 0}}, "train.batch_size", "Batch must be at least 1."),
    ({"train": {"epochs": 3}}, "train.epochs",
     "There is no setting “epochs” here; there are steps, batch_size, learning_rate, schedule, warmup, "
     "accumulate, clip, weight_decay, looks, patience, thorough."),
    ({"seed": -1}, "seed", "Seed must be at least 0."),
    ({"seed": "99999999999"}, "seed", "Seed must be at most 2,147,483,647."),
    ({"seed": "9" * 5000}, "seed", "Seed must be at most 2,147,483,647."),
    ({"model": ""}, "model", "Model must not be empty."),
    ({"task": "pirat"}, "task",
     "There is no task “pirat”; the tasks are storyteller, new-facts, pirate, plain-english, sentiment, json, alpaca, "
     "polite, concise, plain-pairs, demo-pairs. "
     "Did you mean “pirate”?"),
    ({"method": "lorra"}, "method",
     "There is no method “lorra”; there are lora, prompt, prefix, p-tuning, ia3, layernorm, bitfit, partial, full, "
     "few-shot, zero-shot, qlora, adalora, loha, lokr, vera, oft, shira, p-tuning-v2, "
     "llama-adapter, houlsby, pfeiffer, parallel-adapter, compacter, mam, adapter-fusion. Did you mean “lora”?"),
    ({"colour": "red"}, "colour", "There is no setting “colour” here; there are schema_version, model, weights, task, "
     "method, settings, objective, goal, train, seed, template, data, after, start."),
    ({"schema_version": 2}, "schema_version", "schema_version must be one of 1."),
]  # fmt: skip


@pytest.mark.parametrize(
    ("change", "field", "sentence"), WRONG, ids=[f"{f}={list(c.values())[0]!s:.20}" for c, f, _ in WRONG]
)
def test_a_wrong_value_gets_one_sentence_at_its_field(change, field, sentence):
    assert problems(**change) == [Problem(field, sentence)]


def test_several_wrong_values_get_a_sentence_each():
    found = problems(settings={"rank": 0, "alpha": -1}, train={"steps": -1}, seed=-1)
    assert [p.field for p in found] == ["settings.rank", "settings.alpha", "train.steps", "seed"]


def test_a_missing_part_is_named():
    with pytest.raises(SpecError) as caught:
        build(RunSpec, {})
    assert {p.sentence for p in caught.value.problems} >= {
        "Model is missing.", "Task is missing.", "Method is missing.",
    }  # fmt: skip


def test_an_unknown_model_is_refused_by_the_catalogue():
    with pytest.raises(ValueError, match="There is no model “smollm2-135”.*Did you mean “smollm2-135m”?"):
        models.find("smollm2-135")
    for path in ("/etc", "./here", "~/x", "../../x", "..\\x", "a/../b"):
        with pytest.raises(ValueError, match="There is no model"):
            models.find(path)  # a visitor's text is never taken for a path


# ---- against the architecture


@pytest.mark.parametrize(
    ("method", "chosen", "field", "part"),
    [
        ("lora", {"targets": "c_attn"}, "settings.targets", "no module “c_attn”; it has q_proj, k_proj, v_proj"),
        ("lora", {"targets": "q_proj,lm_head"}, "settings.targets", "no module “lm_head”"),
        ("lora", {"bias": "all"}, "settings.bias", "no biases to train there"),
        ("lora", {"layers": "last 31"}, "settings.layers", "has 30 layers; “last 31” asks for 31"),
        ("lora", {"layers": "0-30"}, "settings.layers", "has layers 0 to 29; “0-30” is outside"),
        ("lora", {"layers": "most"}, "settings.layers", "“all”, “last 6”, “first 2” or “0-5,12”"),
        ("lora", {"layers": ""}, "settings.layers", "“all”, “last 6”, “first 2” or “0-5,12”"),
        ("partial", {"last_layers": 31}, "settings.last_layers", "has 30 layers; 31 are asked for"),
    ],
)
def test_settings_that_match_nothing_in_the_model_are_refused(method, chosen, field, part):
    spec = run_spec(method=method, settings=chosen)
    with pytest.raises(SpecError, match=part) as caught:
        check(spec, ARCH)
    assert [p.field for p in caught.value.problems] == [field]


def test_a_soft_prompt_must_leave_room():
    short = ARCH.model_copy(update={"max_length": 30})
    with pytest.raises(SpecError, match="16 virtual tokens leave no room: the context is 30"):
        check(run_spec(method="prompt"), short)


@pytest.mark.parametrize(
    "method", [m for m in methods.METHODS if m.key not in ("bitfit", "adapter-fusion")], ids=lambda m: m.key
)
def test_the_defaults_fit_the_real_model(method):
    check(run_spec(method=method.key), ARCH)


def test_bitfit_fits_a_model_with_biases_only():
    check(run_spec(method="bitfit"), llama_arch({**models.find("smollm2-135m").config, "attention_bias": True}))
    with pytest.raises(SpecError, match=r"^This model has no biases, so BitFit has nothing to train;.*\.$") as caught:
        check(run_spec(method="bitfit"), ARCH)
    assert [p.field for p in caught.value.problems] == ["method"]


# ---- questions


def test_html_in_a_prompt_is_kept_as_it_is():
    prompt = "<script>alert('x')</script> & <b>bold</b>"
    assert build(SampleSpec, {"model": "m", "prompt": prompt}).prompt == prompt


@pytest.mark.parametrize(
    ("change", "field", "sentence"),
    [
        ({"prompt": ""}, "prompt", "Prompt must not be empty."),
        ({"prompt": " \n"}, "prompt", "Type a prompt first."),
        ({"prompt": "x" * 4001}, "prompt", "Prompt is longer than 4,000 characters."),
        ({"temperature": 3}, "temperature", "Temperature must be at most 2."),
        ({"temperature": NAN}, "temperature", "Temperature must be a number, not infinite or NaN."),
        ({"top_p": 0}, "top_p", "Top-p must be more than 0."),
        ({"max_new_tokens": 0}, "max_new_tokens", "Length must be at least 1."),
        ({"runs": ["r"] * 9}, "runs", "Tuned runs: at most 8."),
    ],
)
def test_a_wrong_question_gets_one_sentence(change, field, sentence):
    assert problems(SampleSpec, **change) == [Problem(field, sentence)]


# ---- whatever comes in

TEXT = st.text(st.characters(), max_size=30)  # lone surrogates too: JSON can carry them
LEAF = st.none() | st.booleans() | st.integers() | st.floats() | TEXT
JSON = st.recursive(
    LEAF, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3), max_leaves=6
)
NAMES = [field for m in methods.METHODS for field in m.Settings.model_fields]
CHOSEN = st.dictionaries(st.sampled_from(NAMES) | TEXT, JSON | st.integers(0, 10) | st.just("text"), max_size=4)
TRAIN = st.dictionaries(
    st.sampled_from(["steps", "batch_size", "learning_rate"]) | TEXT, JSON | st.integers(0, 10), max_size=4
)
ANY_RUN = st.fixed_dictionaries(
    {},
    optional={
        "model": st.just("smollm2-135m") | JSON,
        "task": st.sampled_from([t.key for t in tasks.TASKS]) | JSON,
        "method": st.sampled_from([m.key for m in methods.METHODS]) | JSON,
        "settings": CHOSEN | JSON,
        "train": TRAIN | JSON,
        "seed": st.integers(0, 9) | JSON,
        "schema_version": st.just(1) | JSON,
        "weights": JSON,
    },
)
FIELDS = st.sampled_from(list(SampleSpec.model_fields))
ANY_QUESTION = st.dictionaries(FIELDS | TEXT, JSON | st.just("hello"), max_size=6)


def one_line_each(error: SpecError) -> None:
    assert error.problems
    for problem in error.problems:
        assert problem.sentence.strip() and len(problem.sentence.splitlines()) == 1, problem
        problem.sentence.encode("utf8")  # can be printed


@settings(max_examples=400, deadline=None)
@given(st.one_of(ANY_RUN, st.dictionaries(TEXT, JSON, max_size=3)))
def test_anything_is_a_run_or_sentences(data):
    try:
        spec = build(RunSpec, data)
    except SpecError as error:
        return one_line_each(error)
    again = RunSpec.model_validate_json(spec.model_dump_json())
    assert again == spec and again.run_id == spec.run_id
    json.dumps(spec.comparable)
    try:
        check(spec, ARCH)
    except SpecError as error:
        one_line_each(error)
    return None


@settings(max_examples=200, deadline=None)
@given(ANY_QUESTION)
def test_anything_is_a_question_or_sentences(data):
    try:
        spec = build(SampleSpec, data)
    except SpecError as error:
        return one_line_each(error)
    assert SampleSpec.model_validate_json(spec.model_dump_json()).sample_id == spec.sample_id
    return None


@settings(max_examples=100, deadline=None)
@given(JSON)
def test_a_spec_that_is_no_object_gets_a_sentence(data):
    if not isinstance(data, dict):
        with pytest.raises(SpecError) as caught:
            build(RunSpec, data)
        one_line_each(caught.value)
