"""Align: one model on one set of prompts, first shown answers (SFT), then told which is better (DPO), then paid (GRPO).

The three runs are asked for at once and train in order, each from the adapter of the one before; a tail draws what the store says.
When the last has ended, base and stages answer ten held-out questions side by side.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import gradio as gr

from experiments import fitting, methods, objectives, path, recorded, rewards, specs
from experiments.analysis import Record
from experiments.catalog import models, tasks
from experiments.jobs import QueueFull
from experiments.questions import SampleSpec
from experiments.recipe import TrainSettings
from experiments.specs import RunSpec, SpecError
from lab_app import align_view, controls, drawn, live, visitor
from lab_app.controls import Field
from lab_app.lab import Lab
from lab_app.loss_chart import loss_chart

if TYPE_CHECKING:
    from lab_app.layout import Page, Room

TITLE = "Align"
INTRO = "Three ways to teach an answer: show it, say which of two is better, pay for it. Press Start: one model goes through all three."
RECORDED = "Below, a recorded path, trained earlier on another machine."
QUIET: dict[str, Any] = {"queue": False, "show_progress": "hidden", "api_visibility": "private"}
TAIL: dict[str, Any] = {"concurrency_limit": None, "trigger_mode": "multiple"} | QUIET | {"queue": True}
GROUPS = '<div class="lab-groups"></div>'
CURVES = "drag to zoom"
DEFAULT_REWARD = "polite"
HACK = {"task": "polite", "reward": "short", "words": 2, "sft": 10, "dpo": 10, "grpo": 30}
"""A reward for length alone: the stage that shows what is paid is learnt, not what was meant."""


@dataclass(frozen=True)
class Form:
    """The left column: what is trained on what, how long each stage is, and what pays."""

    model: gr.Radio
    task: gr.Radio
    method: gr.Dropdown
    reward: gr.Dropdown
    fields: tuple[Field, ...]

    @property
    def widgets(self) -> set[Any]:
        return {self.model, self.task, self.method, self.reward, *(item.widget for item in self.fields)}


def build(lab: Lab, page: Page, room: Room) -> None:
    """Draw the tab and wire it."""
    with gr.Row(elem_classes="columns-2"):
        with gr.Column(scale=2, min_width=320, elem_id="align-setup"):
            form = _form()
            hack = gr.Button("Show how a reward is hacked", size="sm", elem_id="align-hack")
            with gr.Row():
                start = gr.Button("Start", variant="primary", elem_id="align-start", min_width=90)
                stop = gr.Button("Stop", elem_id="align-stop", interactive=False, min_width=90)
        with gr.Column(scale=5, min_width=340, elem_id="align-results"):
            status = drawn.status({"lines": [INTRO]}, "align-status")
            table = drawn.table({}, "align-table")
            with gr.Row():
                charts = []
                for name in path.STAGES:
                    with gr.Column(min_width=240):
                        charts.append(loss_chart({}, f"align-{name}", key=CURVES))
            group = drawn.drawn({}, "groups.js", GROUPS, "align-group")
            answers = drawn.answers({"cards": []}, "align-answers")
            drawn.table(align_view.plain_words(), "align-words")
    _wire(lab, page, room, form, [hack, start, stop], [status, table, *charts, group, answers, stop])


def _form() -> Form:
    first = models.available()[0].key
    taken = [m for m in methods.METHODS if not objectives.find("dpo").refusal(m, None)]
    model = gr.Radio(
        [(m.title, m.key) for m in models.available()],
        value=first,
        label="1 What model?",
        elem_id="align-model",
        interactive=True,
    )
    pairs = [(t.title, t.key) for t in tasks.TASKS if t.key in path.PAID]
    task = gr.Radio(
        pairs,
        value=pairs[0][1],
        label="2 What is better?",
        info=tasks.find(pairs[0][1]).summary,
        elem_id="align-task",
        interactive=True,
    )
    method = gr.Dropdown(
        [(m.title, m.key) for m in taken],
        value="lora",
        label="3 Which method?",
        elem_id="align-method",
        interactive=True,
    )
    with gr.Row():
        steps = tuple(_steps(objective) for objective in path.STAGES)
    beta = controls.fields(objectives.find("dpo").Settings, "dpo", "align-dpo", ("beta",))
    reward = gr.Dropdown([(r.title, r.key) for r in rewards.RULES], value=DEFAULT_REWARD, label="Reward of GRPO", elem_id="align-reward",
                         info=align_view.cheat(rewards.find(DEFAULT_REWARD)), interactive=True)  # fmt: skip
    with gr.Accordion("How it is paid", open=False):
        paid = controls.fields(
            objectives.find("grpo").Settings, "grpo", "align-grpo", ("words", "word", "group", "beta")
        )
    return Form(model, task, method, reward, (*steps, *beta, *paid))


def _steps(objective: str) -> Field:
    """How many steps a stage takes."""
    info = TrainSettings.model_fields["steps"]
    place, default = f"steps.{objective}", path.STAGES[objective]["steps"]
    item = controls.field(place, info, f"align-{objective}", default)
    item.widget.label = f"{align_view.SHORT[objective]} steps"
    return item


def order(form: Form, values: Mapping[Any, Any]) -> list[RunSpec]:
    """The runs of the path as the form says. Raises `SpecError`, at the form's own places."""
    data = controls.read(form.fields, values)
    about = {
        "model": values[form.model],
        "task": values[form.task],
        "method": values[form.method],
        "steps": data["steps"],
    }
    goals = {"dpo": data["dpo"], "grpo": {**data["grpo"], "reward": values[form.reward]}}
    found: list[RunSpec] = []
    for objective in path.STAGES:  # one after the other, so that a sentence knows its stage
        try:
            found = path.stages(about, fitting.ready, goals, objective)
        except SpecError as error:
            raise SpecError([specs.Problem(_place(objective, p.field), p.sentence) for p in error.problems]) from None
    return found


def _place(objective: str, field: str) -> str:
    """Where in the form a problem of this stage stands."""
    head, _, name = field.partition(".")
    return {"goal": f"{objective}.{name}", "train": f"steps.{objective}"}.get(head, field)


def _wire(lab: Lab, page: Page, room: Room, form: Form, buttons: Sequence[gr.Button], outputs: list[Any]) -> None:
    view, saved, seat = gr.State({"runs": [], "notes": []}), page.saved, gr.State(live.Seat())
    hack, start, stop = buttons

    def arrive(kept: Any, shown: dict[str, Any]) -> tuple[Any, Any]:
        kept = visitor.welcome(kept)
        return kept, shown if shown["runs"] else {"runs": newest(lab, kept["owner"]), "notes": []}

    def begin(values: dict[Any, Any]) -> dict[Any, Any]:
        kept, shown = visitor.welcome(values[saved]), values[view]
        try:
            wanted = order(form, values)
            for spec in wanted:
                lab.jobs.submit([spec], kept["owner"])
        except SpecError as error:
            problems = {p.field: p.sentence for p in error.problems}
            marks = controls.mark(form.fields, problems)
            return {
                **marks,
                view: {**shown, "notes": ["Nothing was started.", *problems.values()], "bad": True},
                saved: kept,
            }
        except QueueFull as error:
            return {view: {**shown, "notes": ["Nothing was started.", str(error)], "bad": True}, saved: kept}
        return {**controls.mark(form.fields, {}), view: {"runs": [s.run_id for s in wanted], "notes": []}, saved: kept}

    def end(shown: dict[str, Any], kept: Any) -> None:
        keys = [live.key_of(r) for r in live.open_runs(lab, shown["runs"]) if not r.ended]
        if keys:
            lab.jobs.cancel(keys, visitor.owner(kept))

    def tail(shown: dict[str, Any], kept: Any, still: live.Seat) -> Iterator[Any]:
        yield from live.seated(still, partial(draw, lab, shown, visitor.owner(kept)), len(outputs))

    common: dict[str, Any] = {"concurrency_limit": 8, **QUIET, "queue": True}
    marked = [item.widget for item in form.fields]
    for event in (
        gr.on(room.opens, arrive, [saved, view], [saved, view], **common),
        start.click(begin, {*form.widgets, view, saved}, [view, saved, *marked], **common),
    ):
        event.then(tail, [view, saved, seat], outputs, **TAIL)
    stop.click(end, [view, saved], None, **QUIET)
    hack.click(lambda: hacked(form), None, list(form.widgets), **QUIET)
    form.task.change(lambda key: gr.update(info=tasks.find(key).summary), form.task, form.task, **QUIET)
    form.reward.change(
        lambda key: gr.update(info=align_view.cheat(rewards.find(key))), form.reward, form.reward, **QUIET
    )


def hacked(form: Form) -> dict[Any, Any]:
    """The form filled in for a reward that pays length alone."""
    wish = {"dpo": {}, "grpo": {"words": HACK["words"]}, "steps": {o: HACK[o] for o in path.STAGES}}
    found: dict[Any, Any] = {form.task: HACK["task"], form.reward: HACK["reward"], form.method: "lora"}
    for item in form.fields:
        head, _, name = item.place.rpartition(".")
        found[item.widget] = wish[head].get(name, item.default)
    return found


def newest(lab: Lab, owner: str) -> list[str]:
    """The runs of the visitor's last path, in order."""
    specs_of = (
        {e.key.run_id: RunSpec.model_validate_json(e.spec) for e in lab.store.entries("train", owner, 60)}
        if owner
        else {}
    )
    last = next((run_id for run_id, spec in specs_of.items() if spec.objective == "grpo" and spec.after), "")
    found: list[str] = []
    while last:
        found.insert(0, last)
        last = specs_of[last].after if last in specs_of else ""
    return found


def draw(lab: Lab, shown: Mapping[str, Any], owner: str, still: Callable[[], bool]) -> Iterator[list[Any]]:
    """The right column until all stages have ended, then while base and stages answer the same questions."""
    runs = visitor.known(lab.store, shown["runs"], owner)
    if not runs:
        notes = shown["notes"] or [
            INTRO,
            *([RECORDED, align_view.both_fall(recorded.path())] if recorded.path() else []),
        ]
        state = {"tone": "bad" if shown["notes"] else "", "lines": notes}
        yield [state, *frame(recorded.path(), gr.update(interactive=False))]
        return
    records: Sequence[Record] = ()
    for snapshot in live.watch(lab, runs, owner, still):
        records = snapshot.records
        lines = [*shown["notes"], *said(snapshot)]
        state = {"tone": "" if snapshot.ended else "busy", "lines": lines, "done": done(records)}
        yield [state, *frame(records, gr.update(interactive=bool(snapshot.wanted)))]
    answering = [r for r in records if r.status == "finished"]
    if answering and still() and all(r.ended for r in records):
        yield from ask(lab, records, answering, owner, still)


def ask(
    lab: Lab, records: Sequence[Record], answering: Sequence[Record], owner: str, still: Callable[[], bool]
) -> Iterator[list[Any]]:
    """Base and stages answer the ten questions; who wins by the rule is said when all have answered."""
    first = answering[0].spec
    task = tasks.find(first.task)
    questions = [row.prompt for row in path.prompts(first.task)]
    wish = {
        "model": first.model, "weights": first.weights, "runs": [r.run_id for r in answering], "prompt": questions[0],
        "more": questions[1:], "max_new_tokens": task.max_new_tokens,
    }  # fmt: skip
    lines = [line for line in [*(_end(r) for r in records), align_view.both_fall(records)] if line]
    try:
        key = lab.jobs.ask(specs.build(SampleSpec, wish), owner).key
    except (QueueFull, SpecError) as error:
        yield [{"tone": "bad", "lines": [*lines, str(error)]}, *frame(records, gr.update(interactive=False))]
        return
    for written in live.watch_answer(lab, key, still):
        said = [
            *lines,
            "" if written.ended else f"Base and stages answer {len(questions)} held-out questions.",
            written.sentence,
        ]
        state = {"tone": "" if written.ended else "busy", "lines": [line for line in said if line]}
        won = align_view.wins(written, answering)
        yield [state, *frame(records, gr.update(interactive=False), won, align_view.asked(written, answering))]


def frame(records: Sequence[Record], stop: Any, won: Any = None, answers: dict[str, Any] | None = None) -> list[Any]:
    """Everything below the status."""
    return [
        align_view.table(records, won), *align_view.curves(records), align_view.group(records),
        answers or align_view.on_the_way(records), stop,
    ]  # fmt: skip


def done(records: Sequence[Record]) -> float | None:
    """The share of all steps that is done; None once there is nothing to wait for."""
    if all(r.ended for r in records):
        return None
    total = sum(r.spec.train.steps for r in records) or 1
    return min(1.0, sum(r.spec.train.steps if r.ended else r.steps[-1].step if r.steps else 0 for r in records) / total)


def said(snapshot: live.Snapshot) -> list[str]:
    """How each stage stands, in a sentence."""
    lines = [_end(r) for r in snapshot.records if r.ended]
    running = next((r for r in snapshot.records if not r.ended), None)
    if running is not None:
        name = align_view.SHORT[running.spec.objective]
        if snapshot.leaving:
            lines.append("Stopping after the step under way.")
        elif snapshot.waiting and not running.steps and running.status == "queued":
            lines.append(f"{name} waits: {snapshot.waiting} before it.")
        else:
            at = running.steps[-1].step if running.steps else 0
            lines.append(
                f"{name}: {align_view.title(running.spec.objective).lower()}, step {at} of {running.spec.train.steps}."
            )
    return [line for line in [*lines, align_view.both_fall(snapshot.records)] if line]


def _end(record: Record) -> str:
    """How a stage ended."""
    name = align_view.SHORT[record.spec.objective]
    if record.status == "finished":
        return f"{name}: done in {record.finished.train_s:.0f} s of training." if record.finished else f"{name}: done."
    return f"{name}: {record.status}. {record.cause} {record.advice}".strip()
