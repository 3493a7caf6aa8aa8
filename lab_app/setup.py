"""The left column of the Train tab: four numbered questions, read as specs.

`Setup` holds the widgets; what they mean is decided by `experiments.specs` alone. `order` gives specs that can run, or
one sentence for each widget that stands in the way.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import gradio as gr
from gradio.components import Component

from experiments import methods, specs
from experiments.catalog import models, tasks
from experiments.specs import RunSpec, SpecError, TrainSettings
from lab_app import controls
from lab_app.controls import Field
from lab_app.drawn import table

OTHER = "another"
LENGTH = ("steps", "batch_size")
PRESET = ("lora", "prompt", "prefix")
PRESET_TITLE = "LoRA against prompt against prefix on pirate"


@dataclass(frozen=True)
class Form:
    """One method's fold: its accordion, and the fields in it."""

    fold: gr.Accordion
    fields: tuple[Field, ...]


@dataclass
class Setup:
    """The widgets of the left column."""

    model: gr.Radio
    hub_id: gr.Textbox
    model_facts: gr.Markdown
    task: gr.Radio
    task_facts: gr.Markdown
    rows: gr.HTML
    methods: gr.CheckboxGroup
    forms: dict[str, Form] = field(default_factory=dict)
    common: tuple[Field, ...] = ()

    @property
    def inputs(self) -> set[Any]:
        form_widgets = {f.widget for form in self.forms.values() for f in form.fields}
        return {self.model, self.hub_id, self.task, self.methods, *form_widgets, *(f.widget for f in self.common)}

    @property
    def folds(self) -> set[gr.Accordion]:
        return {form.fold for form in self.forms.values()}

    def model_key(self, values: Mapping[Component, Any]) -> str:
        return str(values[self.hub_id] or "").strip() if values[self.model] == OTHER else str(values[self.model])

    def chosen(self, values: Mapping[Component, Any]) -> list[str]:
        """The chosen methods in display order."""
        return [m.key for m in methods.METHODS if m.key in (values[self.methods] or ())]

    def specs(self, values: Mapping[Component, Any], problems: Problems) -> Iterator[RunSpec]:
        """A spec for each chosen method that has a valid one; what is wrong with the others goes into `problems`."""
        common = controls.read(self.common, values)
        for key in self.chosen(values):
            own = controls.read(self.forms[key].fields, values)
            train = {**own.get("train", {}), **common.get("train", {})}
            data = {"model": self.model_key(values), "task": values[self.task], "method": key, "seed": common["seed"]}
            try:
                yield specs.build(RunSpec, {**data, "settings": own.get("settings", {}), "train": train})
            except SpecError as error:
                problems.add(key, error)

    def fill(self, wanted: Sequence[RunSpec]) -> dict[Component, Any]:
        """Set every widget to what these specs (of one comparison) say."""
        first = wanted[0]
        known = first.model in {m.key for m in models.available()}
        updates: dict[Component, Any] = {
            self.model: gr.update(value=first.model if known else OTHER),
            self.hub_id: gr.update(value="" if known else first.model, visible=not known),
            self.task: gr.update(value=first.task),
            self.methods: gr.update(value=[spec.method for spec in wanted]),
        }
        for spec in wanted:
            updates |= controls.write(self.forms[spec.method].fields, spec.model_dump())
        return updates | controls.write(self.common, first.model_dump())


class Problems:
    """One sentence for each place that stands in the way of a start."""

    def __init__(self) -> None:
        self.model = self.task = self.methods = ""
        self.common: dict[str, str] = {}
        self.settings: dict[str, dict[str, str]] = {}

    def __bool__(self) -> bool:
        return bool(self.sentences)

    @property
    def sentences(self) -> list[str]:
        own = [sentence for places in self.settings.values() for sentence in places.values()]
        return list(dict.fromkeys(filter(None, [self.model, self.task, self.methods, *self.common.values(), *own])))

    def add(self, method: str, error: SpecError) -> None:
        for problem in error.problems:
            if problem.field in ("train.steps", "train.batch_size", "seed"):
                self.common[problem.field] = problem.sentence
            elif problem.field in ("model", "weights"):
                self.model = problem.sentence
            elif problem.field in ("task", "method"):
                self.task = problem.sentence
            else:
                self.settings.setdefault(method, {})[problem.field] = problem.sentence

    def updates(self, setup: Setup) -> dict[Component, Any]:
        """Every sentence at its widget, and the help back where none is."""
        updates = controls.mark(setup.common, self.common)
        for key, form in setup.forms.items():
            updates |= controls.mark(form.fields, self.settings.get(key, {}))
        own_id = "Any causal language model of the hub, as owner/name."
        for widget, sentence, help in (
            (setup.model, "", ""),
            (setup.hub_id, self.model, own_id),
            (setup.task, self.task, ""),
            (setup.methods, self.methods, "One to six; they train side by side on the same batches."),
        ):
            updates[widget] = gr.update(info=sentence or help, elem_classes=["problem"] if sentence else [])
        return updates


def order(setup: Setup, values: Mapping[Component, Any], with_weights: bool = False) -> tuple[list[RunSpec], Problems]:
    """Specs that can run, and what stands in the way. `with_weights` names the model's bytes; it may ask the hub (5 s)."""
    problems = Problems()
    if not setup.chosen(values):
        problems.methods = "Choose at least one method."
    entry = None
    try:
        entry = models.find(setup.model_key(values))
    except ValueError as error:
        problems.model = str(error)
    wanted = list(setup.specs(values, problems))
    if entry is None:
        return wanted, problems
    try:
        _check(wanted, entry, problems)
        if with_weights and not problems:
            weights = models.weights_of(entry)
            wanted = [spec.model_copy(update={"weights": weights}) for spec in wanted]
    except ValueError as error:  # the model is known and cannot be had, or is none
        problems.model = str(error)
    return wanted, problems


def _check(wanted: Sequence[RunSpec], entry: models.ModelEntry, problems: Problems) -> None:
    """Do the settings fit the model's architecture, as far as it is known before the model is here?"""
    if arch := models.arch(entry):
        for spec in wanted:
            try:
                specs.check(spec, arch)
            except SpecError as error:
                problems.add(spec.method, error)


def preset() -> list[RunSpec]:
    """The comparison that starts with one click."""
    model = models.available()[0].key
    return [specs.build(RunSpec, {"model": model, "task": "pirate", "method": key}) for key in PRESET]


def build() -> Setup:
    """Draw the four questions where this is called."""
    gr.Markdown("### 1 What model?")
    known = models.available()
    choices = [(f"{m.title}{f' · {m.size_mb:,.0f} MB' if m.size_mb else ''}", m.key) for m in known]
    model = gr.Radio(
        [*choices, ("Another, from the hub", OTHER)],
        value=known[0].key,
        label="Model",
        elem_id="model",
        interactive=True,
    )
    hub_id = gr.Textbox(
        label="Hub id", elem_id="hub-id", placeholder="owner/name", visible=False, interactive=True, max_lines=1
    )
    model_facts = gr.Markdown(elem_classes="facts")
    gr.Markdown("### 2 What should it learn?")
    first = tasks.TASKS[0]
    task = gr.Radio(
        [(t.title, t.key) for t in tasks.TASKS], value=first.key, label="Task", elem_id="task", interactive=True
    )
    task_facts = gr.Markdown(elem_classes="facts")
    with gr.Accordion("Three rows of it", open=False, elem_id="rows"):
        rows = table({})
    gr.Markdown("### 3 Which methods?")
    chips = gr.CheckboxGroup(
        [(m.title, m.key) for m in methods.METHODS],
        value=list(PRESET),
        label="Methods",
        elem_id="methods",
        interactive=True,
    )
    setup = Setup(model, hub_id, model_facts, task, task_facts, rows, chips)
    for method in methods.METHODS:
        setup.forms[method.key] = _form(method)
    gr.Markdown("### 4 How long?")
    with gr.Row():
        common = controls.fields(TrainSettings, "train", "train", LENGTH, hints=False)
        setup.common = (*common, controls.field("seed", RunSpec.model_fields["seed"], "train"))
    with gr.Accordion("What these do", open=False, elem_classes="quiet"):
        lines = [
            f"- **{TrainSettings.model_fields[n].title}** {controls.hint(TrainSettings.model_fields[n])}"
            for n in LENGTH
        ]
        gr.Markdown(
            "\n".join([*lines, "- **Seed** The same seed gives the same batches and the same losses."]),
            elem_classes="facts",
        )
    return setup


def _form(method: methods.Method) -> Form:
    with gr.Accordion(method.title, open=False, visible=method.key in PRESET, elem_classes=["method"]) as fold:
        gr.Markdown(f"{method.summary} [{method.paper.split(',')[0]}]({method.paper_url})", elem_classes="facts")
        form = controls.fields(method.Settings, "settings", method.key)
        if method.trains:
            low, high = method.usual_rates
            rate = method.learning_rate(method.Settings())
            usual = f"Usual for {method.title}: {low:g} to {high:g}. Empty takes the default."
            info = TrainSettings.model_fields["learning_rate"]
            form += (controls.field("train.learning_rate", info, method.key, rate, usual),)
    return Form(fold, form)
