"""The loss chart's value: packed strings that only ever grow."""

from __future__ import annotations

from experiments.methods import METHODS
from lab_app import charts, theme
from tests.unit.records import finished, record, running, step


def test_points_hold_step_tokens_seconds_loss():
    value = charts.Curves([running("lora", [2.5, None])]).value()
    assert value["series"][0]["d"] == "1,360,0.5,2.5;2,720,1,;"


def test_strings_grow_by_appending():
    run = running("lora", [2.5])
    curves = charts.Curves([run])
    before = curves.value()["series"][0]["d"]
    run.steps.append(step(2, 2.25))
    after = curves.value()["series"][0]["d"]
    assert after == before + "2,720,1,2.25;"


def test_held_out_points_sit_at_the_step_they_were_measured():
    value = charts.Curves([finished("lora")]).value()
    assert value["series"][0]["h"] == "0,0,0,3.1;40,14400,20,0.8;"
    assert value["base"] == 3.1


def test_what_trains_nothing_has_no_curve():
    assert charts.Curves([record("zero-shot"), record("lora")]).value()["series"][0]["method"] == "lora"


def test_two_runs_of_a_method_are_named_by_what_differs():
    names = charts.names([record("lora"), record("lora", learning_rate=5e-4), record("prompt")])
    assert names == ["LoRA, learning rate 0.001", "LoRA, learning rate 0.0005", "Prompt"]


def test_an_empty_chart_has_a_title_and_no_series():
    value = charts.Curves([]).value()
    assert value["title"] and value["series"] == []


def test_every_method_is_drawn_in_a_colour_and_dash_of_its_own():
    inks = {method.key: theme.ink(method.key) for method in METHODS}
    assert len({(ink.light, ink.dash) for ink in inks.values()}) == len(METHODS)
    assert len({(ink.dark, ink.dash) for ink in inks.values()}) == len(METHODS)
