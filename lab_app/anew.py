"""A new run from those on the screen: trained longer, or again with one change. One drawn component, on Train and on Runs.

What is typed travels as it is; `wanted` gives specs that can run, or one sentence for the field that stands in the way. The new
runs belong to who asked for them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import gradio as gr
from pydantic.fields import FieldInfo

from experiments import fitting, methods, states, variants
from experiments.analysis import Record
from experiments.catalog import models, tasks
from experiments.specs import RunSpec, TrainSettings
from lab_app import charts, controls
from lab_app.drawn import drawn
from lab_app.setup import LENGTH, RATE, RECIPE

MARKUP = '<section class="lab-anew lab-setup" aria-label="train longer, or clone with one change"></section>'
NO_STATE = "It kept no state here: it stopped early, was trained elsewhere, or its state was too large. Clone it with more steps."
EQUAL = "That is what it has already: change it first."


def build(elem_id: str) -> gr.HTML:
    """Draw it where this is called; it shows nothing until runs have ended. It tells `apply` what is asked for."""
    return drawn({}, "fields.js anew.js", MARKUP, elem_id, group=elem_id)


def describe(records: Sequence[Record], home: Path) -> dict[str, Any]:
    """What the component shows of these runs; nothing where none of them trains anything or one has not ended."""
    if not records or not all(record.ended for record in records):
        return {"runs": []}
    shown = zip(records, charts.names(records), strict=True)
    return {"runs": [_run(record, label, home) for record, label in shown if record.method.trains]}


def _run(record: Record, label: str, home: Path) -> dict[str, Any]:
    longer = record.status == "finished" and states.goes_on(home, record.run_id)
    steps = record.spec.train.steps
    return {
        "id": record.run_id, "label": label, "method": record.spec.method, "steps": steps, "more": min(2 * steps, 5000),
        "longer": longer, "why": "" if longer else NO_STATE if record.status == "finished" else "It did not finish.",
        "fields": _fields(record.spec),
    }  # fmt: skip


def _fields(spec: RunSpec) -> list[dict[str, Any]]:
    """Every place that can be changed, with its value, as assets/fields.js draws it."""
    method = methods.find(spec.method)
    found = [
        _field(f"settings.{name}", info, getattr(spec.settings, name))
        for name, info in method.Settings.model_fields.items()
    ]
    train = TrainSettings.model_fields
    found += [_field(f"train.{name}", train[name], getattr(spec.train, name)) for name in (RATE, *LENGTH, *RECIPE)]
    registries = {"method": [m.key for m in methods.METHODS], "model": [m.key for m in models.available()]}
    registries |= {} if spec.data else {"task": [t.key for t in tasks.TASKS]}
    for place in ("seed", *registries):
        field = _field(place, RunSpec.model_fields[place], now := getattr(spec, place))
        keys = registries.get(place)
        found.append({**field, "kind": "choice", "choices": list(dict.fromkeys((now, *keys)))} if keys else field)
    return found


def _field(place: str, info: FieldInfo, now: Any) -> dict[str, Any]:
    return {**controls.described(place.rpartition(".")[2], info, "anew", now, controls.hint(info)), "place": place}


def said(event: gr.EventData) -> dict[str, Any]:
    """What the component tells, whatever it may be, with `runs` a list of texts."""
    told = dict(event._data) if isinstance(event._data, Mapping) else {}
    runs = told.get("runs")
    return {**told, "runs": [r for r in runs if isinstance(r, str)] if isinstance(runs, list) else []}


def wanted(records: Sequence[Record], told: Mapping[str, Any], home: Path) -> tuple[list[RunSpec], dict[str, str]]:
    """The specs that were asked for, or a sentence at `steps` or at `value`."""
    field = "steps" if told.get("do") == "longer" else "value"
    if not records:
        return [], {field: "There is no such run here that you may train further."}
    try:
        return [fitting.ready(_one(record, told, home)) for record in records], {}
    except ValueError as error:
        return [], {field: str(error)}


def _one(record: Record, told: Mapping[str, Any], home: Path) -> RunSpec:
    """Raises `SpecError`, or `ValueError` with one sentence."""
    spec = record.spec
    if told.get("do") == "longer":
        if not states.goes_on(home, record.run_id):
            raise ValueError(NO_STATE)
        return variants.longer(spec, str(told.get("steps", "")).strip())
    place, value = str(told.get("place", "")), told.get("value")
    if place not in {field["place"] for field in _fields(spec)}:
        raise ValueError(f"{record.method.title} has nothing of that name to change.")
    made = variants.changed(spec, {place: value.strip() if isinstance(value, str) else value})
    if made.run_id == spec.model_copy(update={"start": ""}).run_id:
        raise ValueError(EQUAL)
    return made
