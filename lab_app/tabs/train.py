"""Train: choose on the left, watch on the right. Handlers hand specs to the queue; a tail draws what the store says."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import gradio as gr
from gradio.components import Component

from experiments.jobs import QueueFull
from experiments.specs import RunSpec, SpecError
from lab_app import anew, charts, drawn, live, own, sentences, setup, tables, two_steps, visitor
from lab_app.lab import Lab
from lab_app.loss_chart import loss_chart

if TYPE_CHECKING:
    from lab_app.layout import Page, Room

TITLE = "Train"
RECORDED = "A recorded comparison, trained earlier on another machine. Press Start for one of your own."
QUIET: dict[str, Any] = {"queue": False, "show_progress": "hidden", "api_visibility": "private"}
TAIL: dict[str, Any] = {"concurrency_limit": None, "trigger_mode": "multiple"} | QUIET | {"queue": True}


@dataclass(frozen=True)
class Buttons:
    presets: dict[str, gr.Button]
    start: gr.Button
    stop: gr.Button
    again: gr.Button
    use: gr.Button


@dataclass(frozen=True)
class Results:
    """The right column. `view` is what it shows: {"runs": ids, "notes": sentences}."""

    view: gr.State
    status: gr.HTML
    chart: gr.HTML
    table: gr.HTML
    answers: gr.HTML
    link: gr.HTML
    further: gr.HTML
    saved: gr.BrowserState

    @property
    def drawn(self) -> list[Component]:
        return [self.status, self.chart, self.table, self.answers, self.further]


def build(lab: Lab, page: Page, room: Room) -> None:
    """Draw the tab and wire it."""
    with gr.Row(elem_classes="columns-2"):
        with gr.Column(scale=2, min_width=320, elem_id="setup"):
            presets = {
                key: gr.Button(title, elem_id=f"preset-{key}", elem_classes="preset", size="sm")
                for key, title in setup.ONE_CLICK.items()
            }
            form = page.form = setup.build(lab)
            own.build(page.saved)
            with gr.Row(elem_id="actions"):
                start = gr.Button("Start", variant="primary", elem_id="start", min_width=90)
                stop = gr.Button("Stop", elem_id="stop", interactive=False, min_width=90)
                again = gr.Button("Run again", elem_id="again", visible=False, min_width=90)
        with gr.Column(scale=5, min_width=340, elem_id="results"):
            results, use = _results(lab, page)
    buttons = Buttons(presets, start, stop, again, use)
    _wire_runs(lab, page, form, results, buttons)
    _wire_measuring(lab, page, form)


def _results(lab: Lab, page: Page) -> tuple[Results, gr.Button]:
    status, chart, table, answers, _ = recorded(lab)
    top = drawn.status(status, "status"), loss_chart(chart, "chart"), drawn.table(table, "table")
    with gr.Row(elem_id="share"):
        link = drawn.link("", "link")
        use = gr.Button("Use these settings", size="sm", elem_id="use", scale=1, min_width=160)
    said = drawn.answers(answers, "answers")
    further = anew.build("anew")
    return Results(gr.State({"runs": [], "notes": []}), *top, said, link, further, page.saved), use


def recorded(lab: Lab) -> list[Any]:
    """The recorded comparison, as the drawn components' values."""
    records = lab.recorded
    status = {"lines": [RECORDED] if records else ["Nothing was trained yet: press Start."], "done": None}
    curves = charts.Curves(records, "Recorded. " if records else "")
    return [status, curves.value(), tables.results(records), tables.samples(records), {"runs": []}]


# Runs: start, stop, look


def _wire_runs(lab: Lab, page: Page, form: gr.HTML, results: Results, buttons: Buttons) -> None:
    view, saved = results.view, page.saved

    def start(value: Any, shown: dict[str, Any], kept: Any) -> dict[Any, Any]:
        typed = setup.Draft.read(value)
        wanted, problems = setup.order(typed, with_weights=True)
        if problems:
            return {form: {"wrong": problems, "edit": typed.edit}, view: refused(shown, problems.sentences)}
        return submit(lab, wanted, shown, kept, results)

    def again(shown: dict[str, Any], kept: Any) -> dict[Any, Any]:
        wanted = [record.spec for record in live.open_runs(lab, shown["runs"])]
        return submit(lab, wanted, shown, kept, results, again=True) if wanted else {view: shown}

    def go_on(shown: dict[str, Any], kept: Any, event: gr.EventData) -> dict[Any, Any]:
        said, records = anew.said(event), live.open_runs(lab, shown["runs"])
        meant = [record for record in records if record.run_id in said["runs"]]
        wanted, wrong = anew.wanted(meant, said, lab.home)
        if wrong:
            return {results.further: anew.describe(records, lab.home) | {"wrong": wrong}}
        return submit(lab, wanted, shown, kept, results)

    def stop(shown: dict[str, Any], kept: Any) -> None:
        keys = [live.key_of(r) for r in live.open_runs(lab, shown["runs"]) if not r.ended]
        if keys:
            lab.jobs.cancel(keys, visitor.owner(kept))

    def arrive(kept: Any, request: gr.Request) -> tuple[Any, Any, str]:
        kept, asked = visitor.welcome(kept), visitor.asked(request)
        runs = visitor.known(lab.store, asked or kept["runs"], kept["owner"])
        notes = ["This lab has no run of that address."] if asked and not runs else []
        return kept, {"runs": runs, "notes": notes}, visitor.link(runs)

    def tail(shown: dict[str, Any], kept: Any, seat: live.Seat) -> Iterator[Any]:
        frames = partial(draw, lab, shown, visitor.owner(kept))
        yield from live.seated(seat, frames, len(tail_outputs))

    def use(shown: dict[str, Any]) -> Any:
        records = live.open_runs(lab, shown["runs"]) or lab.recorded
        return setup.filled([r.spec for r in records]) if records else gr.skip()

    opened = [view, saved, results.link]
    tail_outputs = [*results.drawn, buttons.stop, buttons.again]
    seat = gr.State(live.Seat())

    def follow(event: Any) -> None:
        """After an event that changed the view: draw it."""
        event.then(tail, [view, saved, seat], tail_outputs, **TAIL)

    common: dict[str, Any] = {"concurrency_limit": 8, "show_progress": "hidden", "api_visibility": "private"}
    inputs, outputs = [form, view, saved], [form, *opened]
    follow(page.blocks.load(arrive, saved, [saved, view, results.link], **common))
    follow(buttons.start.click(start, inputs, outputs, **common))
    for key, button in buttons.presets.items():
        filled = button.click(lambda key=key: setup.filled(setup.preset(key)), None, form, **QUIET)
        follow(filled.then(start, inputs, outputs, **common))
    follow(buttons.again.click(again, [view, saved], opened, **common))
    follow(results.further.apply(go_on, [view, saved], [*opened, results.further], **common))
    buttons.stop.click(stop, [view, saved], None, **QUIET)
    buttons.use.click(use, view, form, **QUIET)


def _wire_measuring(lab: Lab, page: Page, form: gr.HTML) -> None:
    def measure(value: Any, kept: Any) -> tuple[Any, Any]:
        """Ask for two steps of what the form says; it tells by itself how far they are."""
        typed, known = setup.Draft.read(value), visitor.welcome(kept)
        wanted, problems = setup.order(typed, with_weights=True)
        told = {"wrong": problems, "edit": typed.edit}
        if not problems:
            told = {"asked": two_steps.ask(lab, wanted, known["owner"], typed.edit)}
        return told, gr.skip() if visitor.owner(kept) else known  # a Start of this moment keeps its runs there, too

    form.apply(measure, [form, page.saved], [form, page.saved], concurrency_limit=8, **{**QUIET, "queue": True})


def refused(shown: Mapping[str, Any], reasons: list[str]) -> dict[str, Any]:
    """The same view, and why nothing was started."""
    return {"runs": shown["runs"], "notes": ["Nothing was started.", *reasons], "bad": True}


def submit(
    lab: Lab, wanted: list[RunSpec], shown: Mapping[str, Any], kept: Any, results: Results, again: bool = False
) -> dict[Any, Any]:
    """Ask for runs as this visitor; the new view, with a sentence for each that was there already."""
    kept = visitor.welcome(kept)
    try:
        tickets = lab.jobs.submit(wanted, kept["owner"], again)
    except (QueueFull, SpecError) as error:
        return {results.view: refused(shown, [str(error)])}
    notes = {}
    for ticket in tickets:
        entry = lab.store.entry(*ticket.key)
        if ticket.state != "new" and entry:
            notes[sentences.shared(entry.created_s, ticket.state)] = True
    runs = [ticket.key.run_id for ticket in tickets]
    view = {"runs": runs, "notes": list(notes)}
    return {results.view: view, results.saved: {**kept, "runs": runs}, results.link: visitor.link(runs)}


def draw(lab: Lab, shown: dict[str, Any], owner: str, still: Callable[[], bool]) -> Iterator[list[Any]]:
    """The right column, again and again until the runs of the view have ended."""
    if not visitor.known(lab.store, shown["runs"], owner):
        status, *rest = recorded(lab)
        if shown["notes"]:
            status = {"tone": "bad", "lines": shown["notes"], "done": None}
        yield [status, *rest, gr.update(interactive=False), gr.update(visible=False)]
        return
    curves = None
    for snapshot in live.watch(lab, shown["runs"], owner, still):
        curves = curves or charts.Curves(snapshot.records)
        yield [
            sentences.status(snapshot, shown["notes"], bool(shown.get("bad"))),
            curves.value(),
            tables.results(snapshot.records),
            tables.samples(snapshot.records),
            anew.describe(snapshot.records, lab.home),
            gr.update(interactive=bool(snapshot.wanted)),
            gr.update(visible=snapshot.ended),
        ]
