"""The left column of the Compare tab: four numbered questions, drawn on the client and read as a comparison's spec.

As with a sweep, what is typed travels as one value; `order` gives a comparison that can run, or one sentence for each place that stands
in the way, and `consequences` are what the form shows.
"""

from __future__ import annotations

from typing import Any

import gradio as gr
from pydantic import Field

from experiments import comparison, methods
from experiments.catalog import models, tasks
from experiments.comparison import Budget, ComparisonSpec
from experiments.recipe import TrainSettings
from experiments.specs import SpecError
from experiments.sweeps.planning import duration
from lab_app import controls, sentences, setup, subject, sweep_form
from lab_app.drawn import drawn
from lab_app.lab import Lab
from lab_app.subject import Subject

MARKUP = '<div class="lab-setup lab-compare-form"></div>'
CHOSEN = ("lora", "prompt", "full")
LENGTH = ("steps", "batch_size")
AMOUNTS = {"steps": "40", "seconds": "10", "parameters": "50000", "memory": "800"}
"""What stands in the budget's field when its kind is chosen."""


class Draft(Subject):
    """What a visitor typed, unchecked."""

    methods: list[str] = Field(default_factory=list, max_length=40)
    kind: str = "steps"
    amount: str = ""
    train: dict[str, Any] = Field(default_factory=dict)
    seeds: str = ""
    rates: str = ""

    def place(self, field: str) -> str:
        head = field.split(".")[0]
        known = {place: place for place in ("seeds", "rates", "amount", *(f"train.{name}" for name in LENGTH))}
        known |= {"values": "seeds", "budget": "amount", "kind": "amount"}
        return super().place(field) or known.get(field) or known.get(head, "methods")


def order(form: Draft) -> tuple[ComparisonSpec | None, dict[str, str]]:
    """A comparison that can run, and what stands in the way, by place: `methods`, `amount`, `train.steps`, `seeds`, `rates`."""
    if form.missing:
        return None, form.missing
    try:
        spec = comparison.build(
            {
                "model": form.model_key, **form.about, "methods": form.methods, "train": form.train,
                "budget": {"kind": form.kind, "amount": form.amount.strip()}, "rates": form.rates.strip(),
                "seeds": sweep_form.seeds(form.seeds),
            }
        )  # fmt: skip
        for run in spec.runs:
            sweep_form.fits(run)
    except SpecError as error:
        return None, form.problems(error)
    return spec, {}


def consequences(lab: Lab, form: Draft) -> dict[str, Any]:
    """Everything the form shows that follows from what was typed."""
    spec, wrong = order(form)
    facts = form.task_facts
    if form.is_asking:
        wrong.pop("hub_id", None)  # not typed yet is not wrong yet
    if spec is None:
        return {"task_facts": facts, "problems": wrong, "plan": [sentences.PUT_RIGHT]}
    try:
        seconds, lines = comparison.plan(spec, lab.store)
    except (SpecError, ValueError) as error:
        return {"task_facts": facts, "problems": {"methods": str(error)}, "plan": [sentences.PUT_RIGHT]}
    took = f"about {duration(seconds)}" if seconds is not None else "how long is known once each was measured"
    head = f"{len(spec.runs)} methods, {spec.budget.said}: {took}."
    few = ["With one seed nobody can tell what is chance between runs."] if len(spec.seeds) == 1 else []
    return {"task_facts": facts, "problems": {}, "plan": [head, *lines, *few]}


def filled(spec: ComparisonSpec) -> dict[str, Any]:
    """The form's value that says what this comparison says."""
    first = next((r for r in spec.runs if methods.find(r.method).trains), spec.runs[0])
    return {
        "edit": 0, **subject.filled(first), "methods": [r.method for r in spec.runs],
        "kind": spec.budget.kind, "amount": f"{spec.budget.amount:g}",
        "train": {name: controls.raw(getattr(first.train, name)) for name in LENGTH},
        "seeds": ", ".join(map(str, spec.seeds)), "rates": str(spec.rates),
    }  # fmt: skip


def start() -> dict[str, Any]:
    """The form's value on a fresh page."""
    data = {"model": models.available()[0].key, "task": tasks.TASKS[0].key, "methods": CHOSEN}
    return filled(comparison.build(data))


def describe() -> dict[str, Any]:
    """What there is to choose, drawn by assets/compare_form.js."""
    spec, budget = ComparisonSpec.model_fields, Budget.model_fields
    choices = [[m.title, m.key] for m in methods.METHODS]
    later = [m.key for m in methods.METHODS if m.key not in setup.FIRST]
    return {
        **subject.describe("compare-"),
        "methods": {"id": "compare-methods", "legend": "", "choices": choices, "folded": later},
        "kind": {
            "id": "compare-kind", "legend": "What every method gets the same of", "help": controls.hint(budget["kind"]),
            "choices": [[f"equal {kind}", kind] for kind in AMOUNTS],
        },
        "amount": {**controls.described("amount", budget["amount"], "compare", ""), "kind": "text"},
        "amounts": AMOUNTS,
        "units": {kind: f"Budget, {unit}" for kind, unit in comparison.UNITS.items()},
        "train": controls.describe(TrainSettings, "compare", LENGTH, hints=False),
        "seeds": {**controls.described("seeds", spec["seeds"], "compare", ""), "kind": "text"},
        "rates": {**controls.described("rates", spec["rates"], "compare", ""), "kind": "text"},
    }  # fmt: skip


def build(lab: Lab) -> gr.HTML:
    """Draw the questions where this is called; the component's value is the draft."""

    def follow(value: Any) -> dict[str, Any]:
        return consequences(lab, Draft.read(value))

    return drawn(
        start(),
        "fields.js form.js subject.js compare_form.js",
        MARKUP,
        "compare-form",
        form=describe(),
        server_functions=[follow],
    )
