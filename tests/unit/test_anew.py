"""Trained longer, or again with one change: what the page offers for a run, and what it refuses in a sentence at the field."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from experiments import analysis, states
from experiments.store import Store
from lab_app import anew
from tests.unit.runs import put, spec


@pytest.fixture
def record(home):
    store = Store(home / "lab.sqlite")
    return analysis.load(store, put(store, spec(rank=4).model_copy(update={"model": "lab-nano"})).run_id)


def leave_state(home, run_id: str) -> None:
    folder = home / states.FOLDER / run_id
    folder.mkdir(parents=True)
    (folder / states.STATE).write_text(json.dumps(dict.fromkeys(states.NEEDED) | {"final": True}))


def test_every_place_of_the_spec_is_offered_with_its_value(record, home):
    (run,) = anew.describe([record], home)["runs"]
    now = {field["place"]: field["value"] for field in run["fields"]}
    assert now["settings.rank"] == 4 and now["train.batch_size"] == record.spec.train.batch_size and now["seed"] == 0
    assert now["method"] == "lora" and "prefix" in next(f for f in run["fields"] if f["place"] == "method")["choices"]
    assert not run["longer"] and "kept no state" in run["why"]
    leave_state(home, record.run_id)
    assert anew.describe([record], home)["runs"][0]["longer"]


def test_one_that_has_not_ended_is_not_offered(record, home):
    assert anew.describe([replace(record, status="running")], home) == {"runs": []}
    (run,) = anew.describe([replace(record, status="cancelled")], home)["runs"]
    assert (run["longer"], run["why"]) == (False, "It did not finish.")


def test_longer_and_changed(record, home):
    leave_state(home, record.run_id)
    (further,), wrong = anew.wanted([record], {"do": "longer", "steps": " 80 "}, home)
    assert not wrong and further.start == record.run_id and further.train.steps == 80
    (other,), wrong = anew.wanted([record], {"do": "clone", "place": "settings.rank", "value": "16"}, home)
    assert not wrong and other.settings.rank == 16 and other.start == ""


@pytest.mark.parametrize(
    ("told", "field", "sentence"),
    [
        ({"do": "longer", "steps": "1"}, "steps", "has 2 steps already; ask for more."),
        ({"do": "longer", "steps": "many"}, "steps", "Steps must be a whole number."),
        ({"do": "longer"}, "steps", "Steps must be a whole number."),
        ({"do": "clone", "place": "settings.rank", "value": "0"}, "value", "Rank must be at least 1."),
        ({"do": "clone", "place": "settings.rank", "value": "4"}, "value", anew.EQUAL),
        ({"do": "clone", "place": "settings.targets", "value": "nope"}, "value", "This model has no module “nope”"),
        ({"do": "clone", "place": "start", "value": "0123456789ab"}, "value", "LoRA has nothing of that name to change."),
        ({"do": "clone", "place": "data", "value": {}}, "value", "LoRA has nothing of that name to change."),
        ({"do": "clone"}, "value", "LoRA has nothing of that name to change."),
        ({}, "value", "LoRA has nothing of that name to change."),
    ],
)  # fmt: skip
def test_what_cannot_run_is_a_sentence_at_its_field(record, home, told, field, sentence):
    leave_state(home, record.run_id)
    found, wrong = anew.wanted([record], told, home)
    assert found == [] and set(wrong) == {field} and sentence in wrong[field]


def test_without_a_state_it_cannot_be_trained_longer(record, home):
    assert anew.wanted([record], {"do": "longer", "steps": "80"}, home) == ([], {"steps": anew.NO_STATE})
    assert anew.wanted([], {"do": "clone", "place": "seed", "value": 1}, home)[0] == []
