"""Generate: one prompt to the base and to tuned runs of it, side by side, with the same seed."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import gradio as gr
from gradio.components import Component

from experiments import analysis, specs
from experiments.analysis import Record
from experiments.catalog import models, tasks
from experiments.jobs import QueueFull
from experiments.specs import RunSpec, SampleSpec, SpecError
from experiments.store import Key
from lab_app import controls, drawn, live, tables, visitor
from lab_app.charts import names
from lab_app.controls import Field
from lab_app.lab import Lab

if TYPE_CHECKING:
    from lab_app.layout import Page, Room

TITLE = "Generate"
EMPTY = "Choose tuned runs and ask: the base and each of them answer the same prompt with the same seed."
PRIVATE: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private"}
FIELDS = ("temperature", "top_p", "max_new_tokens", "seed")


def build(lab: Lab, page: Page, room: Room) -> None:
    """Draw the tab and wire it."""
    with gr.Row(elem_classes="columns-2"):
        with gr.Column(scale=2, min_width=320, elem_id="ask"):
            runs = gr.CheckboxGroup([], label="Tuned runs", info=EMPTY, elem_id="runs", interactive=True)
            help = "Anything; the task's own are below."
            prompt = controls.field("prompt", SampleSpec.model_fields["prompt"], "ask", default="", help=help)
            probes = gr.Dataset(
                components=[prompt.widget],
                samples=_probes([]),
                label="Prompts of the task",
                samples_per_page=6,
                elem_id="probes",
            )
            with gr.Accordion("How to sample", open=False):
                form = controls.fields(SampleSpec, "", "ask", FIELDS)
            with gr.Row():
                go = gr.Button("Ask", variant="primary", elem_id="go", min_width=100)
                stop = gr.Button("Stop", elem_id="stop-asking", interactive=False, min_width=100)
        with gr.Column(scale=5, min_width=340, elem_id="said"):
            status = drawn.status({"lines": [EMPTY]}, elem_id="ask-status")
            answers = drawn.answers({"cards": []}, elem_id="side-by-side")
    asked = gr.State(None)
    every = (prompt, *form)
    _wire_choice(lab, page, room, runs, probes, prompt)

    def ask(values: dict[Component, Any]) -> dict[Any, Any]:
        data = {**controls.read(every, values), "runs": tuple(values[runs] or ())}
        key, problems = order(lab, data, visitor.owner(values[page.saved]))
        updates: dict[Any, Any] = controls.mark(every, problems)
        wrong = problems.get("runs", "")
        updates[runs] = gr.update(info=wrong or EMPTY, elem_classes=["problem"] if wrong else [])
        if problems:
            updates[status] = {"tone": "bad", "lines": list(problems.values())}
        return {**updates, asked: key, stop: gr.update(interactive=key is not None)}

    def tail(key: Any, seat: live.Seat) -> Iterator[Any]:
        yield from live.seated(seat, partial(draw, lab, key and Key(*key)), 3)

    def leave(key: Any, kept: Any) -> None:
        if key is not None:
            lab.jobs.cancel([Key(*key)], visitor.owner(kept))

    widgets: set[Any] = {runs, page.saved, *(item.widget for item in every)}
    click = go.click(
        ask,
        widgets,
        [*(w for w in widgets if w is not page.saved), asked, stop, status],
        concurrency_limit=8,
        **PRIVATE,
    )
    tailing: dict[str, Any] = {"concurrency_limit": None, "trigger_mode": "multiple", **PRIVATE}
    click.then(tail, [asked, gr.State(live.Seat())], [status, answers, stop], **tailing)
    stop.click(leave, [asked, page.saved], None, queue=False, **PRIVATE)


def _wire_choice(lab: Lab, page: Page, room: Room, runs: gr.CheckboxGroup, probes: gr.Dataset, prompt: Field) -> None:
    """Which runs there are follows the store whenever the tab is opened; the prompts to click on follow the runs."""

    def offer(chosen: list[str], kept: Any, request: gr.Request) -> Any:
        own = choices(lab, visitor.owner(kept), [*visitor.asked(request), *visitor.last_runs(kept)])
        keys = [key for _, key in own]
        picked = [key for key in chosen or [] if key in keys] or [k for k in keys if k in visitor.last_runs(kept)]
        return gr.update(choices=own, value=picked)

    def suggest(chosen: list[str]) -> Any:
        return gr.Dataset(samples=_probes([analysis.load(lab.store, run_id) for run_id in chosen or []]))

    gr.on(room.opens, offer, [runs, page.saved], runs, concurrency_limit=8, **PRIVATE)
    runs.change(suggest, runs, probes, concurrency_limit=8, **PRIVATE)
    probes.click(lambda sample: sample[0], probes, prompt.widget, queue=False, **PRIVATE)


def _probes(records: Sequence[Record | None]) -> list[list[str]]:
    keys = dict.fromkeys(r.spec.task for r in records if r) or [tasks.TASKS[0].key]
    return [[probe] for key in keys for probe in tasks.find(key).probes]


def choices(lab: Lab, owner: str, opened: Sequence[str]) -> list[tuple[str, str]]:
    """(label, run id) of finished runs with an adapter: the visitor's own and those that they opened, newest first."""
    own = [entry.key.run_id for entry in lab.store.entries("train", owner, 60)] if owner else []
    found = []
    for run_id in visitor.known(lab.store, [*opened, *own], owner):
        record = analysis.load(lab.store, run_id)
        if record and record.finished and record.finished.adapter_path:
            found.append((label(record), run_id))
    return found


def label(record: Record) -> str:
    """LoRA · pirate · 40 steps · 10:41."""
    at = time.strftime("%H:%M", time.localtime(record.ended_s)) if record.ended_s else ""
    spec = record.spec
    parts = [
        record.method.title,
        *_settings(spec),
        spec.task,
        f"{spec.train.steps} steps",
        models.find(spec.model).title,
        at,
    ]
    return " · ".join(filter(None, parts))


def _settings(spec: RunSpec) -> list[str]:
    """The settings that are not the default ones."""
    own, usual = spec.settings.model_dump(), type(spec.settings)().model_dump()
    return [f"{k.replace('_', ' ')} {str(v)[:24]}" for k, v in own.items() if v != usual[k]]


def order(lab: Lab, data: Mapping[str, Any], owner: str) -> tuple[Key | None, dict[str, str]]:
    """Ask the question; its key, or one sentence a field."""
    records = [analysis.load(lab.store, run_id) for run_id in data["runs"]]
    found = [record.spec for record in records if record]
    if len({(spec.model, spec.weights) for spec in found}) > 1:
        return None, {"runs": "These runs are of different base models; choose runs of one."}
    try:
        spec = specs.build(SampleSpec, {**data, **_base(found)})
        return lab.jobs.ask(spec, owner).key, {}
    except SpecError as error:
        return None, {problem.field: problem.sentence for problem in error.problems}
    except QueueFull as error:
        return None, {"": str(error)}
    except ValueError as error:  # the model cannot be had
        return None, {"runs": str(error)}


def _base(found: Sequence[RunSpec]) -> dict[str, str]:
    if found:
        return {"model": found[0].model, "weights": found[0].weights}
    entry = models.available()[0]
    return {"model": entry.key, "weights": models.weights_of(entry)}


def draw(lab: Lab, key: Key | None, still: Callable[[], bool]) -> Iterator[list[Any]]:
    """The answers as they are written."""
    if key is None:
        return
    entry = lab.store.entry(*key)
    runs = SampleSpec.model_validate_json(entry.spec).runs if entry else ()
    records = [record for run_id in runs if (record := analysis.load(lab.store, run_id))]
    for written in live.watch_answer(lab, key, still):
        lines = (
            [written.sentence] if written.sentence else [] if any(written.texts) else ["Waiting for the first word."]
        )
        tone = "" if written.ended else "busy"
        yield [
            {"tone": tone, "lines": lines, "done": None},
            cards(written, records),
            gr.update(interactive=not written.ended),
        ]


def cards(written: live.Written, records: Sequence[Record]) -> dict[str, Any]:
    """One card: the prompt, and a column for the base and each run."""
    heads = [("base", "base"), *zip(names(records), [r.spec.method for r in records], strict=True)]
    columns = []
    for i, (name, method) in enumerate(heads):
        state = f"{written.tokens[i]} tokens, {written.seconds[i]:.1f} s" if written.tokens[i] else ""
        columns.append(tables.answer(name, method, written.texts[i], state, written.texts[0] if i else None))
    return {"cards": [{"prompt": written.spec.prompt, "note": "", "columns": columns}]}
