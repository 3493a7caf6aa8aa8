"""Align: one model on one set of prompts, first shown answers (SFT), then told which is better (DPO), then paid (GRPO); or one objective
alone, thumbs (KTO) and reward models among them.

The runs are asked for at once and train in order, each from the adapter of the one before; a tail draws what the store says.
When the last has ended, base and stages answer ten held-out questions side by side.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import gradio as gr

from experiments import fitting
from experiments.catalog import tasks
from experiments.jobs import QueueFull
from experiments.specs import RunSpec, SpecError
from lab_app import (
    align_curves,
    align_form,
    align_live,
    align_score,
    align_view,
    controls,
    drawn,
    live,
    sentences,
    visitor,
    voting,
)
from lab_app.align_form import Form
from lab_app.lab import Lab
from lab_app.loss_chart import loss_chart

if TYPE_CHECKING:
    from lab_app.layout import Page, Room

TITLE = "Align"
QUIET: dict[str, Any] = {"queue": False, "show_progress": "hidden", "api_visibility": "private"}
TAIL: dict[str, Any] = {"concurrency_limit": None, "trigger_mode": "multiple"} | QUIET | {"queue": True}
COMMON: dict[str, Any] = {"concurrency_limit": 8, **QUIET, "queue": True}
GROUPS = '<div class="lab-groups"></div>'
CURVES = "drag to zoom"
EMPTY: dict[str, Any] = {"runs": [], "notes": []}


@dataclass(frozen=True)
class Parts:
    """The tab beside its form. `view` is what it shows: {"runs": ids in order, "notes": sentences}; `outputs` what a tail draws."""

    view: gr.State
    hack: gr.Button
    start: gr.Button
    stop: gr.Button
    again: gr.Button
    link: gr.HTML
    box: align_score.Box
    outputs: list[Any]


def build(lab: Lab, page: Page, room: Room) -> None:
    """Draw the tab and wire it."""
    view = gr.State(EMPTY)
    with gr.Row(elem_classes="columns-2"):
        with gr.Column(scale=2, min_width=320, elem_id="align-setup"):
            form = align_form.build()
            with gr.Row():
                start = gr.Button("Start", variant="primary", elem_id="align-start", min_width=90)
                stop = gr.Button("Stop", elem_id="align-stop", interactive=False, min_width=90)
            hack = gr.Button("Show how a reward is hacked", size="sm", elem_id="align-hack")
        with gr.Column(scale=5, min_width=340, elem_id="align-results"):
            status = drawn.status({"lines": [align_live.INTRO]}, "align-status")
            link = drawn.link("", "align-link", "path")
            table = drawn.table({}, "align-table")
            with gr.Row():
                charts = []
                for i in range(align_curves.SHOWN):
                    with gr.Column(min_width=240):
                        charts.append(loss_chart({}, f"align-curves-{i}", key=CURVES))
            again = gr.Button("Draw TRL's curve over the lab's own", size="sm", elem_id="align-again", visible=False)
            box = align_score.build()
            group = drawn.drawn({}, "groups.js", GROUPS, "align-group")
            answers = drawn.answers({"cards": []}, "align-answers")
            drawn.table(align_view.plain_words(), "align-words")
    outputs = [status, table, *charts, group, answers, stop, again, box.column]
    parts = Parts(view, hack, start, stop, again, link, box, outputs)
    _wire(lab, page, room, form, parts)
    _wire_form(lab, page, room, form, hack)
    align_score.wire(lab, box, view, page.saved)
    voting.build(lab, page, room)


def _wire(lab: Lab, page: Page, room: Room, form: Form, parts: Parts) -> None:
    """What is asked of the queue, and what is drawn of it."""
    view, saved, seat = parts.view, page.saved, gr.State(live.Seat())

    def arrive(kept: Any, shown: dict[str, Any], request: gr.Request) -> tuple[Any, Any, str]:
        kept = visitor.welcome(kept)
        shown = shown if shown["runs"] else first(lab, kept["owner"], visitor.asked_path(request))
        return kept, shown, visitor.path_link(shown["runs"])

    def begin(values: dict[Any, Any]) -> dict[Any, Any]:
        kept, shown = visitor.welcome(values[saved]), values[view]
        problems: dict[str, str] = {}
        try:
            found = align_form.order(form, values, partial(align_live.spec_of, lab, kept["owner"]), fitting.ready)
            shown = submitted(lab, found, kept["owner"])
        except SpecError as error:
            problems = align_live.problems(error)
            shown = refused(shown, problems.values())
        except QueueFull as error:
            shown = refused(shown, [str(error)])
        return {
            **controls.mark(form.fields, problems),
            view: shown,
            saved: kept,
            parts.link: visitor.path_link(shown["runs"]),
        }

    def repeat(shown: dict[str, Any], kept: Any) -> tuple[Any, Any, str]:
        kept = visitor.welcome(kept)
        shown = repeated(lab, shown, kept["owner"])
        return kept, shown, visitor.path_link(shown["runs"])

    def end(shown: dict[str, Any], kept: Any) -> None:
        keys = [live.key_of(r) for r in live.open_runs(lab, shown["runs"]) if not r.ended]
        if keys:
            lab.jobs.cancel(keys, visitor.owner(kept))

    def tail(shown: dict[str, Any], kept: Any, still: live.Seat) -> Iterator[Any]:
        yield from live.seated(still, partial(align_live.draw, lab, shown, visitor.owner(kept)), len(parts.outputs))

    marked, opened = [item.widget for item in form.fields], [saved, view, parts.link]
    for event in (
        gr.on(room.opens, arrive, [saved, view], opened, **COMMON),
        parts.start.click(begin, {*form.widgets, view, saved}, [*opened, *marked], **COMMON),
        parts.again.click(repeat, [view, saved], opened, **COMMON),
    ):
        event.then(tail, [view, saved, seat], parts.outputs, **TAIL).then(*_offers(lab, form, page), **QUIET)
    parts.stop.click(end, [view, saved], None, **QUIET)


def _offers(lab: Lab, form: Form, page: Page) -> tuple[Callable[..., Any], set[Any], list[Any]]:
    """What offers the runs there are by now, and says the cost by what they took: function, inputs and outputs of its event."""

    def offer(values: dict[Any, Any]) -> dict[Any, Any]:
        owner = visitor.owner(values[page.saved])
        return {**align_form.offered(lab, form, values, owner), form.costs: expected(lab, form, values, owner)}

    return offer, {*form.widgets, page.saved}, [form.after, form.widget("grpo.judge"), form.costs]


def _wire_form(lab: Lab, page: Page, room: Room, form: Form, hack: gr.Button) -> None:
    """What follows from a choice before anything starts."""
    reward = form.widget("grpo.reward")

    def cost(values: dict[Any, Any]) -> dict[str, Any]:
        return expected(lab, form, values, visitor.owner(values[page.saved]))

    changes = [widget.change for widget in form.widgets]
    gr.on([*room.opens, *changes], cost, {*form.widgets, page.saved}, form.costs, trigger_mode="always_last", **QUIET)
    gr.on([*room.opens, form.model.change], *_offers(lab, form, page), **QUIET)
    followed = [form.plan, form.after, *form.columns.values()]
    form.plan.change(lambda plan: align_form.follow(form, plan), form.plan, followed, **QUIET)
    hack.click(lambda: align_form.hacked(form), None, list(form.widgets), **QUIET)
    form.task.change(lambda key: gr.update(info=tasks.find(key).summary), form.task, form.task, **QUIET)
    reward.change(lambda key: gr.update(info=align_view.cheat(key)), reward, reward, **QUIET)


def first(lab: Lab, owner: str, asked: list[str]) -> dict[str, Any]:
    """What the tab shows when it is opened: the path of the address, else the visitor's newest, else the recorded one."""
    if asked:
        runs = visitor.known(lab.store, asked, owner)
        return {"runs": runs, "notes": [] if runs else ["This lab has no path of that address."]}
    return {"runs": align_live.newest(lab, owner), "notes": []}


def submitted(lab: Lab, found: list[RunSpec], owner: str) -> dict[str, Any]:
    """The view of these runs, asked for in order, behind those that the first begins with. Raises `SpecError`, `QueueFull`."""
    for spec in found:
        lab.jobs.submit([spec], owner)
    return {"runs": [*align_live.path_to(lab, found[0].after, owner), *(spec.run_id for spec in found)], "notes": []}


def repeated(lab: Lab, shown: Mapping[str, Any], owner: str) -> dict[str, Any]:
    """The view with its supervised run trained once more by TRL."""
    record = align_live.can_repeat(live.open_runs(lab, visitor.known(lab.store, shown["runs"], owner)))
    if record is None:
        return dict(shown)
    try:
        (ticket,) = lab.jobs.submit([align_live.repetition(record)], owner)
    except (SpecError, QueueFull) as error:
        return refused(shown, [str(error)])
    return {"runs": [*shown["runs"], ticket.key.run_id], "notes": []}


def refused(shown: Mapping[str, Any], reasons: Any) -> dict[str, Any]:
    """The same view, and why nothing was started."""
    return {**shown, "notes": ["Nothing was started.", *reasons], "bad": True}


def expected(lab: Lab, form: Form, values: Mapping[Any, Any], owner: str) -> dict[str, Any]:
    """What a start would take, as the status below the form."""
    try:
        found = align_form.order(form, values, partial(align_live.spec_of, lab, owner), lambda spec: spec)
        return {"lines": align_form.costs(lab, found)}
    except SpecError as error:
        return {"lines": list(dict.fromkeys(p.sentence for p in error.problems))}
    except ValueError:  # a model that is gone
        return {"lines": [sentences.PUT_RIGHT]}
