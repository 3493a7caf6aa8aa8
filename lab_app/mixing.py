"""Mix: LoRA runs chosen on the Generate tab, put together into one adapter; the loss of each alone and of each mix, as they come."""

from __future__ import annotations

import textwrap
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import gradio as gr
from gradio.components import Component

from experiments import analysis, events, specs
from experiments.jobs import QueueFull
from experiments.questions import MixSpec, check_mix, kept_mix, parse
from experiments.specs import Problem, SpecError
from experiments.store import Key
from lab_app import asking, controls, drawn, live, tables, visitor
from lab_app.lab import Lab

FIELDS = ("shares", "how", "density")
EMPTY = "Choose two to four LoRA runs of one base above: nothing is trained, their adapters are put together."
WAYS = {"stack": "stacked", "linear": "linear", "ties": "TIES", "dare": "DARE", "dare-ties": "DARE, then TIES"}
PRIVATE: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private"}


def build(lab: Lab, saved: gr.BrowserState, runs: gr.CheckboxGroup, name: Callable[[analysis.Record], str]) -> None:
    """The fold with its form and its table, wired; `name` is what the choice of runs calls a run."""
    with gr.Accordion("Mix LoRA runs into one", open=False, elem_id="mix"), gr.Row(elem_classes="columns-2"):
        with gr.Column(scale=2, min_width=320):
            form = controls.fields(MixSpec, "", "mix", FIELDS)
            with gr.Row():
                go = gr.Button("Mix", variant="primary", elem_id="mix-go", min_width=100)
                stop = gr.Button("Stop", elem_id="mix-stop", min_width=100)
            keep = gr.Button("Keep the lowest mix as a run", size="sm", elem_id="mix-keep")
        with gr.Column(scale=5, min_width=340):
            status = drawn.status({"lines": [EMPTY]}, "mix-status")
            table = drawn.table({"columns": [], "rows": []}, "mix-table")
    asked, seat = gr.State(None), gr.State(live.Seat())

    def ask(values: dict[Component, Any]) -> dict[Any, Any]:
        data = {**controls.read(form, values), "runs": tuple(values[runs] or ())}
        key, problems = order(lab, data, visitor.owner(values[saved]))
        updates: dict[Any, Any] = controls.mark(form, problems)
        if problems:
            updates[status] = {"tone": "bad", "lines": list(problems.values())}
        return {**updates, asked: key}

    def leave(key: Any, kept: Any) -> None:
        if key is not None:
            lab.jobs.cancel([Key(*key)], visitor.owner(kept))

    def tail(key: Any, seat: live.Seat) -> Iterator[Any]:
        yield from live.seated(seat, partial(draw, lab, key and Key(*key), name), 2)

    def keep_it(key: Any, kept: Any, seat: live.Seat) -> Iterator[Any]:
        yield from live.seated(seat, partial(kept_as_run, lab, key and Key(*key), visitor.owner(kept)), 2)

    widgets: set[Any] = {runs, saved, *(item.widget for item in form)}
    put = go.click(ask, widgets, [*(i.widget for i in form), asked, status], concurrency_limit=8, **PRIVATE)
    stop.click(leave, [asked, saved], None, queue=False, **PRIVATE)
    keep.click(keep_it, [asked, saved, seat], [status, runs], concurrency_limit=None, trigger_mode="once", **PRIVATE)
    put.then(tail, [asked, seat], [status, table], concurrency_limit=None, trigger_mode="multiple", **PRIVATE)


def order(lab: Lab, data: Mapping[str, Any], owner: str) -> tuple[Key | None, dict[str, str]]:
    """Ask for a mix; its key, or one sentence a field."""
    found = [record.spec for run_id in data["runs"] if (record := analysis.load(lab.store, run_id))]
    try:
        if not found:
            raise SpecError([Problem("runs", EMPTY)])
        spec = specs.build(MixSpec, {**data, "model": found[0].model, "weights": found[0].weights})
        check_mix(spec, found)
        return lab.jobs.ask(spec, owner).key, {}
    except SpecError as error:
        return None, {problem.field: problem.sentence for problem in error.problems}
    except QueueFull as error:
        return None, {"": str(error)}


def draw(
    lab: Lab, key: Key | None, name: Callable[[analysis.Record], str], still: Callable[[], bool]
) -> Iterator[list[Any]]:
    """Status and table, each time a loss has come."""
    entry = lab.store.entry(*key) if key else None
    if key is None or entry is None:
        return
    spec, told, seen = parse(entry.spec), list[events.Event](), -1
    records = [record for run_id in spec.runs if (record := analysis.load(lab.store, run_id))]
    called = {record.run_id: name(record) for record in records}
    while still():
        rows = lab.store.events(key, seen)
        told += [row.event for row in rows]
        if rows or seen < 0:
            yield [said(told), results([e for e in told if isinstance(e, events.Mixed)], called)]
        seen = rows[-1].seq if rows else max(seen, 0)
        if told and isinstance(told[-1], events.END):
            return
        time.sleep(live.EVERY_S)


def kept_as_run(lab: Lab, key: Key | None, owner: str, still: Callable[[], bool]) -> Iterator[list[Any]]:
    """Make a run of the lowest mix; the status, and at the end the choice of tuned runs with it."""
    entry = lab.store.entry(*key) if key else None
    told = [row.event for row in lab.store.events(key)] if key else []
    lowest = analysis.lowest_mix(e for e in told if isinstance(e, events.Mixed))
    if entry is None or lowest is None:
        yield [{"tone": "bad", "lines": ["Mix some runs first: the lowest of the mixes is kept."]}, gr.skip()]
        return
    spec = parse(entry.spec)
    first = analysis.load(lab.store, spec.runs[0])
    try:
        assert isinstance(spec, MixSpec) and first is not None
        (ticket,) = lab.jobs.submit([kept_mix(spec, first.spec, lowest[0])], owner)
    except (QueueFull, SpecError) as error:
        yield [{"tone": "bad", "lines": ["Nothing was kept.", str(error)]}, gr.skip()]
        return
    for snapshot in live.watch(lab, [ticket.key.run_id], owner, still):
        (record,) = snapshot.records
        if not record.ended:
            yield [
                {"tone": "busy", "lines": [f"Keeping it, {WAYS[lowest[0]]}, and measuring it on {record.spec.task}."]},
                gr.skip(),
            ]
        elif record.status == "finished":
            head = "Kept as a run: chosen above, and on Runs, where its adapter can be taken away."
            own = asking.choices(lab, owner, [record.run_id])
            yield [{"tone": "", "lines": [head]}, gr.update(choices=own, value=[record.run_id])]
        else:
            yield [
                {"tone": "bad", "lines": ["Nothing was kept.", f"{record.cause} {record.advice}".strip()]},
                gr.skip(),
            ]


def said(told: Sequence[events.Event]) -> dict[str, Any]:
    """How far it is, or how it ended."""
    match told[-1] if told else None:
        case events.Finished():
            return {"tone": "", "lines": [best([e for e in told if isinstance(e, events.Mixed)])]}
        case events.Failed(cause=cause, advice=advice):
            return {"tone": "bad", "lines": [f"{cause} {advice}".strip()]}
        case events.Cancelled():
            return {"tone": "", "lines": ["Stopped by you."]}
        case events.Interrupted():
            return {"tone": "bad", "lines": ["The lab went away while this was under way; press Mix again."]}
    return {"tone": "busy", "lines": ["Measuring each adapter alone, then each mix."]}


def best(found: Sequence[events.Mixed]) -> str:
    """Which mix is lowest over all tasks, in a sentence, and that it was trained by nobody."""
    lowest = analysis.lowest_mix(found)
    if lowest is None:
        return "No mix gave a number."
    way, mean = lowest
    tasks = len({look.task for look in found})
    over = f"the mean over {tasks} tasks" if tasks > 1 else "the task"
    return f"Lowest of the mixes on {over}: {WAYS[way]}, {mean:.3f}. Nothing was trained for it."


def results(found: Sequence[events.Mixed], called: Mapping[str, str]) -> dict[str, Any]:
    """One row a model, a column a task, and what it answers to the first prompt of each."""
    tasks = list(dict.fromkeys(look.task for look in found))
    columns = [
        tables.column("adapter", number=False),
        *(tables.column(f"held-out loss, {task}", "nats a token", "Lower is better.") for task in tasks),
        *(tables.column(f"says, {task}", number=False) for task in tasks),
    ]
    rows = []
    for name in dict.fromkeys(look.name for look in found):
        by_task = {look.task: look for look in found if look.name == name}
        losses = [tables.shown(by_task[task].held_out_loss, 3) if task in by_task else tables.NONE for task in tasks]
        said = [by_task[task].answers[:1] if task in by_task else () for task in tasks]
        answers = [textwrap.shorten(one[0].answer, 110, placeholder=" …") if one else "" for one in said]
        rows.append(
            {
                "method": "base" if name == "base" else "lora",
                "cells": [WAYS.get(name) or called.get(name, name), *losses, *answers],
            }
        )
    return {"caption": "Each adapter alone, and put together", "columns": columns, "rows": rows}
