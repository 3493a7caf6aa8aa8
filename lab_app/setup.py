"""The left column of the Train tab: four numbered questions, drawn on the client and read as specs.

What is typed travels as one value, `Draft`, exactly as it was typed; what it means is decided by `experiments.specs` alone.
`order` gives specs that can run, or one sentence for each place that stands in the way; `consequences` are what the form shows.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from typing import Any

import gradio as gr
from pydantic import Field

from experiments import advice, estimates, fitting, methods, objectives, presets, specs
from experiments.catalog import models, tasks
from experiments.catalog.background import Fetching
from experiments.specs import RunSpec, SpecError, TrainSettings
from lab_app import controls, sentences, subject, tables, two_steps
from lab_app.drawn import drawn
from lab_app.lab import Lab
from lab_app.subject import IMITATE, OTHER, OWN, Subject

LENGTH = ("steps", "batch_size")
RECIPE = ("schedule", "warmup", "accumulate", "clip", "weight_decay", "looks", "patience", "thorough")
PRESET = ("lora", "prompt", "prefix")
MOST_METHODS = 6
FIRST = (*PRESET, "p-tuning", "ia3", "layernorm", "bitfit", "partial", "full", "few-shot", "zero-shot", "qlora")
"""The methods that stand open; the others are folded."""
ONE_CLICK = {
    "first": "LoRA against prompt against prefix, as a storyteller",
    "pirate": "LoRA against prompt against prefix on pirate",
}
"""The presets that start with one click, on the first model: key and what the button says."""
MARKUP = '<div class="lab-setup"></div>'
RATE = "learning_rate"


class Draft(Subject):
    """What a visitor typed, unchecked: raw texts, numbers and switches by their place; `asked`: what is being measured (`two_steps`)."""

    methods: list[str] = Field(default_factory=list)
    train: dict[str, Any] = Field(default_factory=dict)
    seed: Any = None
    settings: dict[str, dict[str, Any]] = Field(default_factory=dict)
    asked: dict[str, Any] = Field(default_factory=dict)

    @property
    def chosen(self) -> list[str]:
        """The chosen methods in display order."""
        return [m.key for m in methods.METHODS if m.key in self.methods]


class Problems(dict[str, str]):
    """One sentence for each place that stands in the way of a start: `model`, `task`, `methods`, `train.steps`, `lora.rank`."""

    def add(self, method: str, error: SpecError) -> None:
        for problem in error.problems:
            head, _, name = problem.field.partition(".")
            if head in ("model", "weights"):
                self["model"] = problem.sentence
            elif head in ("task", "method", "data", "template", "objective", "goal"):
                self["task"] = problem.sentence
            elif head == "settings" or problem.field == f"train.{RATE}":
                self[f"{method}.{name}"] = problem.sentence
            else:
                self[problem.field] = problem.sentence

    @property
    def sentences(self) -> list[str]:
        return list(dict.fromkeys(self.values()))


def wanted(form: Draft, problems: Problems) -> Iterator[RunSpec]:
    """A spec for each chosen method that has a valid one; what is wrong with the others goes into `problems`."""
    for key in form.chosen:
        settings = dict(form.settings.get(key, {}))
        rate = settings.pop(RATE, None)
        train = {**form.train, RATE: None if rate is None or not str(rate).strip() else rate}
        data = {"model": form.model_key, "method": key, "seed": form.seed, **form.about}
        try:
            yield specs.build(RunSpec, {**data, "settings": settings, "train": train})
        except SpecError as error:
            problems.add(key, error)


def order(form: Draft, with_weights: bool = False) -> tuple[list[RunSpec], Problems]:
    """Specs that can run, and what stands in the way. `with_weights` names the model's bytes; it may ask the hub (5 s)."""
    problems = Problems()
    if unknown := [key for key in form.methods if key not in {m.key for m in methods.METHODS}]:
        problems["methods"] = f"There is no method “{unknown[0][:40]}”."
    elif not form.chosen:
        problems["methods"] = "Choose at least one method."
    elif len(form.chosen) > MOST_METHODS:
        problems["methods"] = f"At most {MOST_METHODS} methods train side by side; {len(form.chosen)} are chosen."
    if form.missing:
        problems.update(form.missing)
        return [], problems
    found = list(wanted(form, problems))
    try:
        entry = models.find(form.model_key)
        _check(found, entry, problems)
        if with_weights and not problems:
            weights = models.weights_of(entry)
            found = [spec.model_copy(update={"weights": weights}) for spec in found]
    except ValueError as error:  # the model is unknown, is known and cannot be had, or is none
        problems[form.place("model")] = str(error)
    return found, problems


def _check(found: Sequence[RunSpec], entry: models.ModelEntry, problems: Problems) -> None:
    """Do the settings fit the model's architecture, as far as it is known before the model is here?"""
    if arch := models.arch(entry):
        for spec in found:
            try:
                specs.check(spec, arch)
                fitting.check(spec, arch)
            except SpecError as error:
                problems.add(spec.method, error)


def consequences(lab: Lab, form: Draft) -> dict[str, Any]:
    """Everything the form shows that follows from what was typed."""
    found, problems = order(form)
    titles = {m.key: _title(m, form, problems) for m in methods.METHODS}
    entry, speed = _entry(form.model_key), None
    fetching = _brought(lab, entry, form.model)
    if entry:
        speed = estimates.speed(entry.key, lab.store)
    costs = two_steps.expected(lab, [] if problems else found, form.asked, form.edit)
    if form.is_asking:
        problems.pop("hub_id", None)  # not typed yet is not wrong yet
    return {
        "problems": problems,
        "advice": advised(found),
        "titles": titles,
        "model_facts": sentences.about_model(entry, speed, fetching.sentence if fetching else ""),
        "fetching": fetching is not None and not fetching.ended,
        "task_facts": form.task_facts,
        **costs,
    }


def advised(found: Sequence[RunSpec]) -> dict[str, str]:
    """Sentences that stand in nobody's way, at the same places as problems."""
    places: dict[str, str] = {}
    for spec in found:
        for said in advice.before(spec):
            head, _, name = said.field.partition(".")
            own = head == "settings" or name == RATE
            place = f"{spec.method}.{name}" if own else said.field
            before = places.get(place)
            places[place] = f"{before} {said.sentence}" if before and said.sentence not in before else said.sentence
    return places


def _brought(lab: Lab, entry: models.ModelEntry | None, chosen: str) -> Fetching | None:
    """A model of the list that is not here is fetched as soon as it is chosen; never one whose id a visitor typed."""
    if entry is None or chosen == OTHER or models.is_ready(entry):
        return None
    return lab.background.bring(entry.resource)


def _entry(key: str) -> models.ModelEntry | None:
    try:
        return models.find(key)
    except ValueError:
        return None


def _title(method: methods.Method, form: Draft, problems: Problems) -> str:
    described = _fields(method)
    values = {f["name"]: f["value"] for f in described} | form.settings.get(method.key, {})
    wrong = any(place.startswith(f"{method.key}.") for place in problems)
    return sentences.fold_title(method.key, controls.summary(described, values), wrong)


def rows(key: Any) -> dict[str, Any]:
    """Three rows of a task, as a table; a sentence where they cannot be had."""
    if key == OWN:
        return {"caption": "Rows of your own are shown below the form.", "columns": [], "rows": []}
    try:
        return tables.example_rows(tasks.find(str(key)).split().train[:3])
    except ValueError as error:
        return {"caption": str(error), "columns": [], "rows": []}


def preset(key: str) -> list[RunSpec]:
    """A comparison that starts with one click."""
    return presets.find(key).specs(models.available()[0].key)


def filled(found: Sequence[RunSpec]) -> dict[str, Any]:
    """The form's value that says what these specs (of one comparison) say."""
    first, empty = found[0], start()
    settings = dict(empty["settings"])
    for spec in found:
        rate = "" if spec.train.learning_rate is None else controls.raw(spec.train.learning_rate)
        own = {name: controls.raw(value) for name, value in spec.settings.model_dump().items()}
        settings[spec.method] = own | ({RATE: rate} if methods.find(spec.method).trains else {})
    return {
        **empty,
        **subject.filled(first),
        "methods": [spec.method for spec in found],
        "train": {name: controls.raw(getattr(first.train, name)) for name in LENGTH + RECIPE},
        "seed": controls.raw(first.seed),
        "settings": settings,
        "wrong": {} if first.data else _imitates(first.objective),
    }


def _imitates(objective: str) -> dict[str, str]:
    """What this form cannot say of runs on a task of the lab: that they learnt in another way than by imitation."""
    if objective == IMITATE:
        return {}
    title = objectives.find(objective).title
    return {
        "task": f"That run learnt by “{title}”, which is on the Align tab; from this form it would imitate the task's answers."
    }


def start() -> dict[str, Any]:
    """The form's value on a fresh page."""
    form = describe()
    return {
        "version": hashlib.sha256(json.dumps(form).encode()).hexdigest()[:12],
        "model": models.available()[0].key,
        "hub_id": "",
        "task": tasks.TASKS[0].key,
        "methods": list(PRESET),
        "train": {f["name"]: f["value"] for f in (*form["train"], *form["recipe"])},
        "seed": form["seed"]["value"],
        "settings": {fold["key"]: {f["name"]: f["value"] for f in fold["fields"]} for fold in form["folds"]},
    }


def describe() -> dict[str, Any]:
    """What there is to choose, and every setting with its title, help and default; drawn by assets/setup.js."""
    about = [(TrainSettings.model_fields[n].title, controls.hint(TrainSettings.model_fields[n])) for n in LENGTH]
    return {
        **subject.describe(),
        "methods": {
            "id": "methods", "legend": "Methods", "choices": [[m.title, m.key] for m in methods.METHODS],
            "help": "One to six; they train side by side on the same batches.",
            "folded": [m.key for m in methods.METHODS if m.key not in FIRST],
        },
        "folds": [
            {
                "key": m.key, "title": m.title, "summary": m.summary, "paper": m.paper.split(",")[0],
                "paper_url": m.paper_url, "fields": _fields(m),
            }
            for m in methods.METHODS
        ],
        "train": controls.describe(TrainSettings, "train", LENGTH, hints=False),
        "recipe": controls.describe(TrainSettings, "train", RECIPE),
        "seed": controls.described("seed", RunSpec.model_fields["seed"], "train"),
        "about": [*about, ("Seed", "The same seed gives the same batches and the same losses.")],
    }  # fmt: skip


def comparisons() -> list[list[Any]]:
    """The presets: the title of each, and the form's value that asks for it. They are for any model, so rates are left to the usual."""
    model, found = models.available()[0].key, []
    for preset in presets.PRESETS:
        value = filled(preset.specs(model))
        settings = {key: {**own, RATE: ""} if RATE in own else own for key, own in value["settings"].items()}
        found.append([preset.title, {**value, "settings": settings}])
    return found


def _fields(method: methods.Method) -> list[dict[str, Any]]:
    """A method's settings, and its learning rate where it trains."""
    own = controls.describe(method.Settings, method.key)
    if not method.trains:
        return own
    low, high = method.usual_rates
    usual = f"Usual for {method.title}: {low:g} to {high:g}. Empty takes {method.learning_rate(method.Settings()):g}"
    others = [f"{rate:g} on {m.title}" for m in models.available() if (rate := m.learning_rates.get(method.key))]
    usual += "".join(f", {other}" for other in others) + "."
    described = controls.described(RATE, TrainSettings.model_fields[RATE], method.key, "", usual)
    return [*own, {**described, "usual": [low, high]}]


def build(lab: Lab) -> gr.HTML:
    """Draw the four questions where this is called; the component's value is the draft."""

    def follow(value: Any) -> dict[str, Any]:
        return consequences(lab, Draft.read(value))

    form = {**describe(), "presets": comparisons()}
    return drawn(
        start(),
        "fields.js form.js subject.js setup.js",
        MARKUP,
        "questions",
        form=json.dumps(form),
        server_functions=[follow, rows],
    )
