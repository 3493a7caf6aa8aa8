"""The same with one change, and the same for longer; and what a longer run is called."""

import pytest

from experiments.specs import Problem, RunSpec, SpecError, build
from experiments.variants import changed, longer


@pytest.fixture
def spec() -> RunSpec:
    known = {"model": "smollm2-135m", "weights": "hub:a/b@1", "task": "pirate", "method": "lora"}
    return build(RunSpec, {**known, "settings": {"rank": 4}, "train": {"steps": 10, "schedule": "cosine"}})


def test_one_change_and_nothing_else(spec):
    other = changed(spec, {"settings.rank": 16})
    assert other.settings.rank == 16 and other.run_id != spec.run_id
    assert changed(other, {"settings.rank": 4}) == spec
    assert changed(spec, {"train.steps": "20", "seed": 3}).train.steps == 20
    assert changed(spec, {}).run_id == spec.run_id


def test_another_method_brings_its_own_settings_and_rate(spec):
    other = changed(spec, {"method": "prompt"})
    assert other.settings.virtual_tokens == 16 and other.train.learning_rate == 3e-2
    assert other.train.schedule == "cosine" and other.train.steps == 10 and other.weights == spec.weights
    assert changed(spec, {"model": "owner/name"}).weights == ""


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"settings.rank": 0}, Problem("settings.rank", "Rank must be at least 1.")),
        ({"train.schedule": "sine"}, Problem("train.schedule", "Schedule must be one of constant, linear, cosine.")),
        ({"train.warmup": -1}, Problem("train.warmup", "Warm-up must be at least 0.")),
        ({"train.patience": 1.5}, Problem("train.patience", "Patience must be a whole number.")),
        ({"start": "../../x"}, Problem("start", "Goes on from is a run's id: twelve of the digits 0 to 9 and a to f.")),
    ],
)
def test_a_change_that_cannot_run_gets_its_sentence(spec, change, problem):
    with pytest.raises(SpecError) as caught:
        changed(spec, change)
    assert list(caught.value.problems) == [problem]


def test_a_longer_run_is_named_by_what_it_goes_on_from(spec):
    further = longer(spec, 20)
    assert further.start == spec.run_id and further.train.steps == 20
    afresh = changed(spec, {"train.steps": 20})
    assert further.run_id != afresh.run_id != spec.run_id
    assert further.run_id == longer(RunSpec.model_validate_json(spec.model_dump_json()), "20").run_id
    assert changed(further, {"seed": 1}).start == ""  # another seed has nothing to go on from
    assert further.comparable == afresh.comparable
    with pytest.raises(SpecError, match=f"^Run {spec.run_id} has 10 steps already; ask for more.$"):
        longer(spec, 10)


def test_a_longer_run_may_change_how_it_trains_and_nothing_else(spec):
    further = longer(spec, 20, {"train.schedule": "linear", "train.learning_rate": 1e-4})
    assert further.train.schedule == "linear" and further.start == spec.run_id
    for place in ("settings.rank", "seed", "train.batch_size", "method"):
        with pytest.raises(SpecError, match=r"^A run that goes on keeps its model, task, method"):
            longer(spec, 20, {place: 2})
