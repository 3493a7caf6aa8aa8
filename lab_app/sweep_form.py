"""The left column of the Sweep tab: four numbered questions, drawn on the client and read as a sweep's spec.

What is typed travels as one value, `Draft`, exactly as it was typed. `order` gives a sweep that can run, or one sentence for each
place that stands in the way; `consequences` are what the form shows: the plan, the names an axis can have, the problems.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import gradio as gr
from pydantic import Field

from experiments import fitting, methods, specs, sweeps, variants
from experiments.catalog import models, tasks
from experiments.catalog.cache import ResourceError
from experiments.recipe import TrainSettings
from experiments.specs import RunSpec, SpecError
from experiments.sweeps import planning, typed
from experiments.sweeps.expansion import value_at
from experiments.sweeps.spec import SweepSpec
from lab_app import controls, sentences, subject
from lab_app.drawn import drawn
from lab_app.lab import Lab
from lab_app.subject import Subject

MARKUP = '<div class="lab-setup lab-sweep-form"></div>'
FIRST = ({"name": "rank", "values": "1, 2, 4, 8, 16"}, {"name": "alpha", "values": "2, 8, 32"})
LENGTH = ("steps", "batch_size")
HOW = ("search", "trials", "prune")
ASKS_FROM = 200
"""Cells from which on the page asks first: other visitors train on this machine, too."""
BASE_PLACES = ("model", "task", "method")


class Draft(Subject):
    """What a visitor typed, unchecked."""

    method: str = "lora"
    axes: list[dict[str, Any]] = Field(default_factory=list, max_length=20)
    train: dict[str, Any] = Field(default_factory=dict)
    seeds: str = ""
    budget: str = ""
    how: dict[str, Any] = Field(default_factory=dict)
    sure: str = ""
    """The question that was answered with yes."""

    def place(self, field: str) -> str:
        head = field.split(".")[0]
        elsewhere = {"": "axes", "values": "seeds", "budget_s": "budget", "settings": "method"}
        return super().place(field) or elsewhere.get(head, f"how.{head}" if head in HOW else field)


def order(form: Draft) -> tuple[SweepSpec | None, dict[str, str]]:
    """A sweep that can run, and what stands in the way, by place: `axes.0.name`, `axes.0.values`, `seeds`, `train.steps`."""
    problems: dict[str, str] = {}
    if form.missing:
        return None, form.missing
    try:
        base: RunSpec = specs.build(
            RunSpec, {"model": form.model_key, "method": form.method, "train": form.train, **form.about}
        )
        fits(base)
    except SpecError as error:
        return None, form.problems(error)
    axes = _axes(form, base, problems)
    if not axes and not problems:
        problems["axes"] = "Name at least one setting to vary, with its values."
    if problems:
        return None, problems
    budget = {"budget_s": form.budget.strip()} if form.budget.strip() else {}
    try:
        chosen = seeds(form.seeds)
        return sweeps.build({"base": base, "axes": axes, "seeds": chosen, **form.how, **budget}), {}
    except SpecError as error:
        return None, form.problems(error)


def seeds(text: str) -> list[int]:
    found = typed.values(text)
    if all(type(seed) is int for seed in found):
        return found  # type: ignore[return-value]
    raise SpecError([specs.Problem("seeds", "Seeds are whole numbers with commas between them.")])


def _axes(form: Draft, base: RunSpec, problems: dict[str, str]) -> list[dict[str, Any]]:
    """The axes that can be read; what is wrong with the others goes into `problems`."""
    found: dict[str, dict[str, Any]] = {}
    known = _methods(form)
    for i, row in enumerate(form.axes):
        name, text = str(row.get("name", "")).strip(), str(row.get("values", "")).strip()
        if not name and not text:
            continue
        try:
            place = sweeps.place(name, known)
        except SpecError as error:
            problems[f"axes.{i}.name"] = error.problems[0].sentence
            continue
        try:
            axis = _axis(base, place, text)
        except SpecError as error:
            problems[f"axes.{i}.values"] = error.problems[0].sentence
            continue
        if place in found:
            problems[f"axes.{i}.name"] = "This one is there already: put its values together."
        found[place] = axis
    return list(found.values())


def _methods(form: Draft) -> list[methods.Method]:
    """The methods of the sweep: the one that is chosen, or those of an axis `method`."""
    named = [typed.axis("method", str(row.get("values") or "-")) for row in form.axes if row.get("name") == "method"]
    keys = [str(value) for axis in named for value in axis.get("values", ())]
    found = [method for method in methods.METHODS if method.key in keys]
    return found or [method for method in methods.METHODS if method.key == form.method]


def _axis(base: RunSpec, place: str, text: str) -> dict[str, Any]:
    """One axis, each value as a run of this base has it. Raises `SpecError` for one that no such run can have."""
    head, _, field = place.partition(".")
    is_of_another = head == "settings" and field not in methods.find(base.method).Settings.model_fields
    if ".." in text or is_of_another:  # of another method: its cells say what it cannot have
        return typed.axis(place, text)
    made = [variants.changed(base, {place: part}) for part in typed.parts(text)]
    for spec in made:
        fits(spec)
    return {"place": place, "values": [value_at(spec, place) for spec in made]}


def fits(spec: RunSpec) -> None:
    """Raise `SpecError` where the model's architecture, as far as it is known before the model is here, has no room for it."""
    try:
        arch = models.arch(models.find(spec.model))
    except ValueError as error:
        raise SpecError([specs.Problem("model", str(error))]) from None
    if arch:
        specs.check(spec, arch)
        fitting.check(spec, arch)


def with_weights(spec: SweepSpec) -> SweepSpec:
    """The sweep on the weights that would be used now; it may ask the hub. Raises `SpecError`."""
    try:
        weights = models.weights_of(models.find(spec.base.model))
    except (ValueError, ResourceError) as error:
        raise SpecError([specs.Problem("model", str(error))]) from None
    return spec.model_copy(update={"base": spec.base.model_copy(update={"weights": weights})})


def asks(planned: sweeps.Plan) -> str:
    """What is to be answered with yes before so large a sweep starts, "" where nothing is."""
    if planned.asks or planned.cells - planned.stored < ASKS_FROM:
        return planned.asks
    took = f", about {planning.duration(planned.seconds)}" if planned.seconds is not None else ""
    return f"{planned.cells:,} cells{took}: are you sure?"


def consequences(lab: Lab, form: Draft) -> dict[str, Any]:
    """Everything the form shows that follows from what was typed."""
    spec, problems = order(form)
    about = {"places": places(_methods(form)), "task_facts": form.task_facts}
    if form.is_asking:
        problems.pop("hub_id", None)  # not typed yet is not wrong yet
    if spec is None:
        return {**about, "problems": problems, "plan": [sentences.PUT_RIGHT], "asks": ""}
    try:
        planned = sweeps.plan(spec, lab.store)
    except SpecError as error:
        found = form.problems(error)
        return {**about, "problems": found, "plan": [sentences.PUT_RIGHT], "asks": ""}
    return {**about, "problems": {}, "plan": _said(planned), "asks": asks(planned)}


def _said(planned: sweeps.Plan) -> list[str]:
    """The plan in sentences: what it is made of, what it takes, what one seed cannot tell."""
    spec = planned.spec
    by = " × ".join(f"{len(axis.values)} {axis.label}" if axis.values else axis.label for axis in spec.axes)
    settings = by if spec.search == "grid" else f"{spec.trials} settings of {by}"
    lines = [f"{settings} × {len(spec.seeds)} seed{'s' if len(spec.seeds) != 1 else ''}: {planned.sentence}"]
    if planned.seconds and planned.basis:
        lines.append(f"Time: {planned.basis}.")
    if len(spec.seeds) == 1:
        lines.append("With one seed nobody can tell what is chance: no winner will be named for sure.")
    return lines


def places(known: Sequence[methods.Method]) -> list[list[str]]:
    """The names an axis can have here, each with its title."""
    settings = {name: info for method in known for name, info in method.Settings.model_fields.items()}
    named = [[name, str(info.title or name)] for name, info in settings.items()]
    named += [[name, str(info.title or name)] for name, info in TrainSettings.model_fields.items()]
    return [*named, *([place, place.capitalize()] for place in BASE_PLACES)]


def filled(spec: SweepSpec) -> dict[str, Any]:
    """The form's value that says what this sweep says."""
    axes = [{"name": axis.place.split(".")[-1], "values": _typed(axis)} for axis in spec.axes]
    return {
        "edit": 0, **subject.filled(spec.base), "method": spec.base.method, "axes": axes,
        "train": {name: controls.raw(getattr(spec.base.train, name)) for name in LENGTH},
        "seeds": ", ".join(map(str, spec.seeds)), "budget": f"{spec.budget_s:g}" if spec.budget_s else "",
        "how": {name: controls.raw(getattr(spec, name)) for name in HOW}, "sure": "",
    }  # fmt: skip


def _typed(axis: sweeps.Axis) -> str:
    if axis.is_range:
        return f"{axis.low:g}..{axis.high:g}"
    said = [str(controls.raw(value)) for value in axis.values]
    return ("; " if any("," in text for text in said) else ", ").join(said)


def start() -> dict[str, Any]:
    """The form's value on a fresh page: rank × alpha of LoRA on the first model and task, three seeds."""
    base: RunSpec = specs.build(
        RunSpec,
        {"model": models.available()[0].key, "task": tasks.TASKS[0].key, "method": "lora", "train": {"steps": 20}},
    )
    spec = sweeps.build({"base": base, "axes": [typed.axis(row["name"], row["values"]) for row in FIRST]})
    return filled(spec) | {"axes": [dict(row) for row in FIRST]}


def describe() -> dict[str, Any]:
    """What there is to choose, drawn by assets/sweep_form.js."""
    fields = SweepSpec.model_fields
    trains = [m for m in methods.METHODS if m.trains]
    seeds = controls.described("seeds", fields["seeds"], "sweep", "")
    budget_help = "Empty: all of it. With one, the plan leaves out what costs least knowledge."
    return {
        **subject.describe("sweep-"),
        "method": {"id": "sweep-method", "legend": "Method", "choices": [[m.title, m.key] for m in trains]},
        "train": controls.describe(TrainSettings, "sweep", LENGTH, hints=False),
        "seeds": {**seeds, "kind": "text"},
        "budget": {**controls.described("budget", fields["budget_s"], "sweep", "", budget_help), "kind": "text"},
        "how": controls.describe(SweepSpec, "sweep", HOW),
    }  # fmt: skip


def build(lab: Lab) -> gr.HTML:
    """Draw the questions where this is called; the component's value is the draft."""

    def follow(value: Any) -> dict[str, Any]:
        return consequences(lab, Draft.read(value))

    return drawn(
        start(),
        "fields.js form.js subject.js sweep_form.js",
        MARKUP,
        "sweep-form",
        form=describe(),
        server_functions=[follow],
    )
