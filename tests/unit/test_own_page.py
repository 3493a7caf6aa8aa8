"""The part of the page that takes a visitor's rows: what it shows, and what it refuses in a sentence."""

from __future__ import annotations

import pytest

from experiments.catalog.own_data import keep
from lab_app import own, setup

ROWS = "question,answer\n" + "".join(f"What is {i}?,It is {i}.\n" for i in range(30))
ANNA = "anna-" + "a" * 30
CHOICE = {"columns": {"prompt": "question", "completion": "answer"}, "template": "alpaca", "model": "smollm2-135m"}


@pytest.fixture
def brought(home):
    return own.bring_rows({"kind": "text", "text": ROWS, "model": "smollm2-135m"}, ANNA)


def test_pasted_rows_are_kept_and_shown(brought):
    assert keep.owns(brought["key"], ANNA) and brought["columns"] == CHOICE["columns"] and brought["template"] == "chat"
    assert (brought["rows"], brought["train"], brought["held_out"]) == (30, 26, 4) and brought["wrong"] == {}
    assert "not on this machine yet" in brought["warnings"][0] and brought["examples"] == []


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"columns": {"prompt": "answer", "completion": "answer"}}, "completion"),
        ({"columns": {"completion": "nope"}}, "completion"),
        ({"columns": {}}, "completion"),
        ({"columns": {"completion": "answer", "colour": "x"}}, "colour"),
        ({"columns": "x"}, ""),
        ({"template": "{prompt}"}, "template"),
        ({"columns": {"completion": "answer", "max_length": ""}}, "max_length"),
        ({"columns": {"completion": "answer", "max_length": "3"}}, "max_length"),
    ],
)
def test_a_wrong_choice_is_told_at_its_field_and_loses_nothing(brought, change, field):
    shown = own.seen(keep.load(brought["key"]), brought["key"], {**CHOICE, **change})
    assert set(shown["wrong"]) == {field} and shown["key"] == brought["key"]


@pytest.mark.parametrize(("asked", "first"), [(0, 0), (3, 3), (25, 23), (10**9, 23), (-1, 0), ("3", 0), (None, 0)])
def test_any_rows_are_shown_in_turn_cut_at_the_length_that_was_chosen(brought, asked, first):
    choice = {**CHOICE, "model": "lab-nano", "columns": {**CHOICE["columns"], "max_length": "20"}, "first": asked}
    shown = own.seen(keep.load(brought["key"]), brought["key"], choice)
    assert shown["wrong"] == {} and (shown["first"], shown["step"]) == (first, 3)
    assert [row["title"] for row in shown["examples"]] == [f"Row {first + i}" for i in (1, 2, 3)]
    assert all(row["cut"].startswith("Cut after 20 tokens") for row in shown["examples"])
    assert "30 rows are longer than 20 tokens" in " ".join(shown["warnings"])


@pytest.mark.parametrize(
    "said",
    [
        {"kind": "file", "path": "/etc/passwd", "name": "x.csv"},
        {"kind": "file", "path": "", "name": "x.csv"},
        {"kind": "file", "path": "../../etc/passwd"},
        {"kind": "text", "text": ""},
        {"kind": "text"},
        {"kind": "hub", "hub": "../x"},
        {},
    ],
)
def test_what_cannot_be_brought_is_one_sentence(home, said):
    (sentence,) = own.bring_rows(said, ANNA)["wrong"].values()
    assert sentence.endswith(".") and "passwd" not in sentence


def test_the_form_asks_for_rows_and_then_names_them(brought):
    typed = setup.Draft.read({**setup.start(), "task": "own"})
    found, problems = setup.order(typed)
    assert found == [] and "Bring your rows" in problems["task"]
    columns = {**CHOICE["columns"], "max_length": "99"}
    typed = setup.Draft.read(
        {**setup.start(), "task": "own", "own": {**CHOICE, "columns": columns, "key": brought["key"]}}
    )
    found, problems = setup.order(typed)
    assert not problems and {s.task for s in found} == {brought["key"]} and found[0].template == "alpaca"
    again, _ = setup.order(setup.Draft.read(setup.filled(found)))
    assert {s.run_id for s in again} == {s.run_id for s in found} and found[0].data.max_length == 99
