"""The Compare tab without a browser: what is typed becomes a comparison or a sentence at its field; what is drawn is plain JSON."""

import json

import pytest

from experiments import comparison
from lab_app import compare_form, compare_view, visitor
from tests.unit.test_comparison import made


def typed(**changes) -> compare_form.Draft:
    return compare_form.Draft.read({**compare_form.start(), **changes})


def test_a_fresh_form_is_a_comparison_and_says_what_it_says():
    spec, wrong = compare_form.order(typed())
    assert not wrong and [r.method for r in spec.runs] == ["lora", "prompt", "full"] and spec.rates == 5
    assert compare_form.filled(spec) == compare_form.start()
    described = compare_form.describe()
    assert {key for _, key in described["kind"]["choices"]} == set(comparison.UNITS) == set(described["units"])
    assert json.loads(json.dumps(described)) == described


@pytest.mark.parametrize(
    ("changes", "place", "sentence"),
    [
        ({"methods": []}, "methods", "at least one"),
        ({"amount": ""}, "amount", "must be a number"),
        ({"amount": "1e9"}, "amount", "at most 5,000"),
        ({"kind": "joules"}, "amount", "must be one of"),
        ({"seeds": "one"}, "seeds", "whole numbers"),
        ({"rates": "99"}, "rates", "at most 9"),
        ({"train": {"steps": "40", "batch_size": "0"}}, "train.batch_size", "at least 1"),
        ({"task": "no-such"}, "task", "There is no task"),
        ({"model": "lab-nano", "methods": ["bitfit", "llama-adapter"]}, "methods", ""),
    ],
)
def test_what_is_wrong_is_said_at_its_field(changes, place, sentence):
    spec, wrong = compare_form.order(typed(**changes))
    if sentence or wrong:
        assert spec is None and sentence in wrong[place]


@pytest.mark.parametrize("value", [None, 3, [], {"methods": "lora"}, {"train": 5}])
def test_what_is_no_form_is_an_empty_one(value):
    assert compare_form.order(compare_form.Draft.read(value))[0] is None


def test_everything_drawn_of_a_comparison_is_json_and_text():
    found = made()
    value = compare_view.value(found, "Recorded.")
    assert json.loads(json.dumps(value)) == value
    assert len(value["columns"]) == len(value["rows"][0]["cells"]) == len(value["base"])
    assert value["fronts"]["held_out"]["trainable"] and value["rows"][0]["cells"][0][2]  # too close to call
    assert compare_view.status(found)["done"] is None and "Finished in" in compare_view.status(found)["lines"][0]
    busy = found.model_copy(
        update={"state": "running", "stage": "LoRA: its seeds at rate 0.001.", "remaining_s": 90.0, "share": 0.5}
    )
    told = compare_view.status(busy, mine=False)
    assert told["tone"] == "busy" and told["done"] == 0.5 and "About 90 s left" in told["lines"][-1]
    assert "Somebody else's" in told["lines"][0]


def test_an_address_names_a_comparison_by_its_id_only():
    class Request:
        query_params = {"compare": "c0123456789ab"}

    assert visitor.asked_comparison(Request()) == "c0123456789ab"
    Request.query_params = {"compare": "../c0123456789ab"}
    assert visitor.asked_comparison(Request()) == ""
