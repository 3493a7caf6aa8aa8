"""The left column of the Align tab: the whole path or one objective of it, on what, how long, and what pays; read as specs.

Every knob is made from its settings model, and a wrong value is told at its own field. `costs` says before the start what it takes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import gradio as gr

from experiments import estimates, fitting, methods, objectives, path, rewards, shelf, specs
from experiments.catalog import models, tasks
from experiments.recipe import TrainSettings
from experiments.specs import RunSpec, SpecError
from lab_app import align_view, controls, drawn, sentences
from lab_app.align_curves import SHORT
from lab_app.controls import Field
from lab_app.lab import Lab

PATH = "path"
PATH_HELP = "One model is first shown answers, then told which of two is better, then paid; each stage begins with the one before."
LENGTH = ("steps", "batch_size")
PAID_BY = ("reward", "judge")
DEFAULT_REWARD = "polite"
HACK = {"sft.steps": 10, "dpo.steps": 10, "grpo.steps": 30, "grpo.reward": "short", "grpo.words": 2}
"""A reward for length alone: the stage that shows what is paid is learnt, not what was meant."""
NOTHING = ("Nothing: the base", "")
NO_JUDGE = ("None: the rule alone pays", "")
MOST_CHOICES = 40


@dataclass(frozen=True)
class Form:
    """The widgets: what is done on what, every knob by its place (`dpo.beta`), and the column of each objective's knobs."""

    plan: gr.Radio
    model: gr.Radio
    task: gr.Radio
    method: gr.Dropdown
    after: gr.Dropdown
    fields: tuple[Field, ...]
    columns: Mapping[str, gr.Column]
    costs: gr.HTML

    @property
    def widgets(self) -> set[Any]:
        return {self.plan, self.model, self.task, self.method, self.after, *(item.widget for item in self.fields)}

    def widget(self, place: str) -> Any:
        return next(item.widget for item in self.fields if item.place == place)


def build() -> Form:
    """Draw the form where this is called."""
    plans = [("The whole path: SFT, DPO, GRPO", PATH), *((objectives.find(o).title, o) for o in path.LENGTHS)]
    plan = _radio("1 What should happen?", plans, "align-plan", PATH_HELP)
    model = _radio("2 What model?", [(m.title, m.key) for m in models.available()], "align-model")
    pairs = [(t.title, t.key) for t in tasks.TASKS if t.pairs]
    task = _radio("3 What is better?", pairs, "align-task", tasks.find(pairs[0][1]).summary)
    taken = [(m.title, m.key) for m in methods.METHODS if not objectives.find("dpo").refusal(m, None)]
    method = gr.Dropdown(taken, value="lora", label="4 Which method?", elem_id="align-method", interactive=True)
    after = gr.Dropdown([NOTHING], value="", label="Begins with", elem_id="align-after", interactive=True, visible=False,
                        info="A finished run, whose method and settings are taken over.")  # fmt: skip
    fields: list[Field] = []
    columns = {}
    for objective in path.LENGTHS:
        with gr.Column(visible=objective in path.STAGES, elem_id=f"align-{objective}") as columns[objective]:
            fields += _knobs(objective)
    costs = drawn.status({"lines": []}, "align-cost")
    return Form(plan, model, task, method, after, tuple(fields), columns, costs)


def _radio(label: str, choices: Sequence[tuple[str, str]], elem_id: str, info: str | None = None) -> gr.Radio:
    return gr.Radio(choices, value=choices[0][1], label=label, info=info, elem_id=elem_id, interactive=True)


def _knobs(objective: str) -> list[Field]:
    """How long an objective takes, and its own settings; most of GRPO's are folded."""
    settings, group = objectives.find(objective).Settings, f"align-{objective}"
    with gr.Row():
        found = [
            controls.field(
                f"{objective}.{name}", TrainSettings.model_fields[name], group, path.LENGTHS[objective][name]
            )
            for name in LENGTH
        ]
    found[0].widget.label = f"{SHORT[objective]} steps"
    if objective != "grpo":
        return [*found, *controls.fields(settings, objective, group)]
    found += _payers(group)
    with gr.Accordion("How it is paid", open=False):
        rest = tuple(name for name in settings.model_fields if name not in PAID_BY)
        return [*found, *controls.fields(settings, objective, group, rest)]


def _payers(group: str) -> list[Field]:
    """A rule, a reward model, or both."""
    choices = [*((r.title, r.key) for r in rewards.RULES), ("None: a reward model alone", "none")]
    rule = gr.Dropdown(choices, value=DEFAULT_REWARD, label="Reward of GRPO", elem_id=f"{group}-reward",
                       info=align_view.cheat(DEFAULT_REWARD), interactive=True)  # fmt: skip
    info = "A finished run of “Score answers” on this model; with a rule beside it, both pay."
    judge = gr.Dropdown(
        [NO_JUDGE], value="", label="Reward model", elem_id=f"{group}-judge", info=info, interactive=True
    )
    return [
        Field("grpo.reward", rule, "Reward", align_view.cheat(DEFAULT_REWARD), DEFAULT_REWARD),
        Field("grpo.judge", judge, "Reward model", info, ""),
    ]


def chosen(plan: str) -> tuple[str, ...]:
    """The objectives of what should happen, in order."""
    return path.STAGES if plan == PATH else (plan,)


def follow(form: Form, plan: str) -> dict[Any, Any]:
    """The columns that belong to what should happen, and what data it needs and when to use it."""
    about = PATH_HELP if plan == PATH else "{0.summary} Data: {0.needs} Use: {0.when}".format(objectives.find(plan))
    shown = {column: gr.update(visible=key in chosen(plan)) for key, column in form.columns.items()}
    return {**shown, form.plan: gr.update(info=about), form.after: gr.update(visible=plan != PATH)}


def order(
    form: Form, values: Mapping[Any, Any], spec_of: Callable[[str], RunSpec | None], ready: Callable[[RunSpec], RunSpec]
) -> list[RunSpec]:
    """The runs as the form says. `spec_of`: the run to begin with, where the visitor may use it; `ready` as in `path.stages`. Raises
    `SpecError`, at the form's own places."""
    data, plan = controls.read(form.fields, values), values[form.plan]
    about = {"model": values[form.model], "task": values[form.task], "method": values[form.method]}
    if plan != PATH and values[form.after]:
        first = spec_of(values[form.after])
        if first is None:
            raise SpecError([specs.Problem("after", "The run to begin with is not here any more: choose another one.")])
        about |= {"after": first.run_id, "method": first.method, "settings": first.settings.model_dump()}
    goals, lengths = {}, {}
    for objective in chosen(plan):
        typed = {name: value for name, value in data[objective].items() if value is not None}
        lengths[objective] = {**path.LENGTHS[objective], **{n: typed.pop(n) for n in LENGTH if n in typed}}
        goals[objective] = typed
    stages, found = path.stages(about, ready, goals, lengths, chosen(plan)), []
    for objective in chosen(plan):
        try:
            found.append(next(stages))
        except SpecError as error:
            raise SpecError([specs.Problem(_place(objective, p.field), p.sentence) for p in error.problems]) from None
    return found


def _place(objective: str, field: str) -> str:
    """Where in the form a problem of this stage stands."""
    head, _, name = field.partition(".")
    return f"{objective}.{name}" if head in ("goal", "train") else field


def hacked(form: Form) -> dict[Any, Any]:
    """The form filled in for a reward that pays length alone."""
    found: dict[Any, Any] = {form.plan: PATH, form.task: "polite", form.method: "lora"}
    return found | {item.widget: HACK.get(item.place, item.default) for item in form.fields}


def choices(lab: Lab, model: str, owner: str) -> tuple[list[tuple[str, str]], list[tuple[str, str]]]:
    """What a run on this model may begin with, and the reward models that may pay it: the visitor's own and the command line's."""
    first, judges = [NOTHING], [NO_JUDGE]
    for entry in shelf.finished(lab.store, owner):
        try:
            spec = RunSpec.model_validate_json(entry.spec)
        except ValueError:  # of a task or method that is gone
            continue
        if spec.model != model or not shelf.adapter_folder(entry.key, lab.home).is_dir():
            continue
        scores = objectives.find(spec.objective).scores
        said = f"{SHORT[spec.objective]}, {tasks.find(spec.task).title}, {spec.train.steps} steps ({entry.key.run_id})"
        if scores or methods.find(spec.method).trains:
            (judges if scores else first).append((said, entry.key.run_id))
    return first[:MOST_CHOICES], judges[:MOST_CHOICES]


def offered(lab: Lab, form: Form, values: Mapping[Any, Any], owner: str) -> dict[Any, Any]:
    """The choices of runs anew; what was chosen stays where it is still there."""
    judge = form.widget("grpo.judge")
    found = {}
    for widget, there in zip((form.after, judge), choices(lab, values[form.model], owner), strict=True):
        is_there = values[widget] in {key for _, key in there}
        found[widget] = gr.update(choices=there, value=values[widget] if is_there else "")
    return found


def costs(lab: Lab, found: Sequence[RunSpec]) -> list[str]:
    """What these runs will take, in two sentences."""
    known = [(SHORT[spec.objective], estimates.before(spec, lab.store), fitting.foretold_mb(spec)) for spec in found]
    peaks = [(estimate.peak_mb or needed, name) for name, estimate, needed in known if estimate.peak_mb or needed]
    lines = [sentences.takes([(name, estimate) for name, estimate, _ in known])]
    if peaks:
        most, name = max(peaks)
        lines.append(f"At its highest about {most:,.0f} MB of memory{f', in {name}' if len(known) > 1 else ''}.")
    return lines
