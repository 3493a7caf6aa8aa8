"""Forms are made from settings models, and read back as specs."""

from __future__ import annotations

import gradio as gr
import pytest

from experiments import specs
from experiments.methods import METHODS
from experiments.specs import RunSpec
from lab_app import controls


def form(method):
    with gr.Blocks():
        return controls.fields(method.Settings, "settings", method.key)


@pytest.mark.parametrize("method", METHODS, ids=lambda m: m.key)
def test_a_form_reads_back_as_the_default_settings(method):
    fields = form(method)
    values = {f.widget: f.widget.value for f in fields}
    data = {"model": "any", "task": "pirate", "method": method.key, **controls.read(fields, values)}
    assert specs.build(RunSpec, data).settings == method.Settings()


@pytest.mark.parametrize("method", METHODS, ids=lambda m: m.key)
def test_every_widget_has_label_help_and_id(method):
    for field in form(method):
        assert field.widget.label and field.widget.info and field.widget.interactive
        assert field.widget.elem_id == f"{method.key}-{field.place.rpartition('.')[2]}"


def test_a_problem_takes_the_place_of_the_help_and_gives_it_back():
    fields = form(METHODS[0])
    wrong = controls.mark(fields, {"settings.rank": "Rank must be at least 1."})[fields[0].widget]
    assert wrong["info"] == "Rank must be at least 1." and wrong["elem_classes"] == ["problem"]
    right = controls.mark(fields, {})[fields[0].widget]
    assert right["info"] == fields[0].help and right["elem_classes"] == []


def test_a_spec_fills_the_form():
    fields = form(METHODS[0])
    spec = specs.build(
        RunSpec, {"model": "any", "task": "pirate", "method": "lora", "settings": {"rank": 3, "targets": ["a", "b"]}}
    )
    updates = controls.write(fields, spec.model_dump())
    by_name = {f.place: updates[f.widget]["value"] for f in fields}
    assert by_name["settings.rank"] == 3 and by_name["settings.targets"] == "a, b" and by_name["settings.alpha"] == "16"


def test_the_summary_is_one_line_of_values():
    described = controls.describe(METHODS[0].Settings, "lora")
    line = controls.summary(described, {f["name"]: f["value"] for f in described})
    assert line.startswith("rank 8, alpha 16, dropout 0")


@pytest.mark.parametrize("method", METHODS, ids=lambda m: m.key)
def test_every_setting_is_described_with_label_help_and_kind(method):
    for it in controls.describe(method.Settings, method.key):
        assert it["id"] == f"{method.key}-{it['name']}" and it["label"] and it["help"]
        assert it["kind"] in ("int", "text", "bool", "choice") and (it["kind"] != "choice" or it["choices"])
