"""Sweep: one run over many values of its settings. Choose on the left; on the right the map fills as cells finish, then what was found.

Sweeps run beside the page (`experiments.sweeps.running`); a tail draws what the store says of them. Anybody who has its link may look at a
sweep, only who asked for it can stop it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import gradio as gr

from experiments import sweeps
from experiments.analysis import Record
from experiments.comparison import table as comparisons
from experiments.jobs import QueueFull
from experiments.specs import SpecError
from experiments.sweeps import table
from lab_app import anew, charts, drawn, live, sweep_form, sweep_parts, sweep_view, tables, visitor
from lab_app.lab import Lab
from lab_app.loss_chart import loss_chart

if TYPE_CHECKING:
    from lab_app.layout import Page, Room

TITLE = "Sweep"
RECORDED = "A recorded sweep, trained earlier on another machine. Press Start for one of your own."
EVERY_S = 0.5
MOST_SHOWN = 8
QUIET: dict[str, Any] = {"queue": False, "show_progress": "hidden", "api_visibility": "private"}
TAIL: dict[str, Any] = {"concurrency_limit": None, "trigger_mode": "multiple"} | QUIET | {"queue": True}


@dataclass(frozen=True)
class Parts:
    """What the tab is made of. `view` is what it shows: {"sweep": id, "notes": sentences}."""

    view: gr.State
    form: gr.HTML
    start: gr.Button
    stop: gr.Button
    on: gr.Button
    status: gr.HTML
    link: gr.HTML
    use: gr.Button
    map: gr.HTML
    curve: gr.HTML
    answers: gr.HTML
    further: gr.HTML

    @property
    def drawn(self) -> list[Any]:
        return [self.status, self.map, self.stop, self.on]


def build(lab: Lab, page: Page, room: Room) -> None:
    """Draw the tab and wire it."""
    view = gr.State({"sweep": "", "notes": []})
    with gr.Row(elem_classes="columns-2"):
        with gr.Column(scale=2, min_width=320, elem_id="sweep-setup"):
            form = sweep_form.build(lab)
            with gr.Row(elem_id="sweep-actions"):
                start = gr.Button("Start", variant="primary", elem_id="sweep-start", min_width=90)
                stop = gr.Button("Stop", elem_id="sweep-stop", interactive=False, min_width=90)
                on = gr.Button("Go on", elem_id="sweep-on", visible=False, min_width=90)
        with gr.Column(scale=5, min_width=340, elem_id="sweep-results"):
            status = drawn.status({"lines": []}, "sweep-status")
            with gr.Row(elem_id="sweep-share"):
                link = drawn.link("", "sweep-link", "sweep")
                use = gr.Button("Use these settings", size="sm", elem_id="sweep-use", scale=1, min_width=160)
            plot = sweep_parts.sweep_map({}, "sweep-map")
            with gr.Column(elem_id="sweep-cell", elem_classes="lab-unseen"):
                curve, said = loss_chart({}, "sweep-curve"), drawn.answers({"cards": []}, "sweep-answers")
                further = anew.build("sweep-anew")
            sweep_parts.results("sweep-found")
    _wire(lab, page, room, Parts(view, form, start, stop, on, status, link, use, plot, curve, said, further))


def _wire(lab: Lab, page: Page, room: Room, parts: Parts) -> None:
    view, saved = parts.view, page.saved

    def arrive(kept: Any, shown: dict[str, Any], request: gr.Request) -> tuple[Any, Any, str]:
        kept = visitor.welcome(kept)
        shown = shown if shown["sweep"] else first(lab, kept["owner"], visitor.asked_sweep(request))
        return kept, shown, link(shown)

    def start(value: Any, shown: dict[str, Any], kept: Any) -> tuple[Any, Any, str]:
        kept = visitor.welcome(kept)
        shown = begin(lab, sweep_form.draft(value), shown, kept["owner"])
        return kept, shown, link(shown)

    def go_on(shown: dict[str, Any], kept: Any) -> dict[str, Any]:
        found = table.find(lab.store, shown["sweep"], visitor.owner(kept))
        return started(lab, found.spec, shown, found.owner) if found else shown

    def stop(shown: dict[str, Any], kept: Any) -> None:
        lab.sweeper.stop(shown["sweep"], visitor.owner(kept))

    def tail(shown: dict[str, Any], kept: Any, seat: live.Seat) -> Iterator[Any]:
        yield from live.seated(seat, partial(draw, lab, shown, visitor.owner(kept)), len(parts.drawn))

    def select(kept: Any, event: gr.EventData) -> tuple[Any, Any, Any]:
        return look(lab, visitor.owner(kept), _pressed(event))

    def further(kept: Any, event: gr.EventData) -> tuple[Any, Any, Any]:
        kept = visitor.welcome(kept)
        return kept, *train_further(lab, kept["owner"], anew.said(event))

    def use(shown: dict[str, Any], kept: Any) -> Any:
        found = table.visible(lab.store, shown["sweep"], visitor.owner(kept))
        spec = found.spec if found else lab.sweep[0].spec if lab.sweep else None
        return sweep_form.filled(spec) if spec else gr.skip()

    seat = gr.State(live.Seat())

    def follow(event: Any) -> None:
        """After an event that changed the view: draw it."""
        event.then(tail, [view, saved, seat], parts.drawn, **TAIL)

    opened, common = [saved, view, parts.link], {"concurrency_limit": 8, **QUIET, "queue": True}
    follow(gr.on(room.opens, arrive, [saved, view], opened, **common))
    follow(parts.start.click(start, [parts.form, view, saved], opened, **common))
    follow(parts.on.click(go_on, [view, saved], view, **common))
    parts.stop.click(stop, [view, saved], None, **QUIET)
    parts.map.select(select, saved, [parts.curve, parts.answers, parts.further], **QUIET)
    parts.further.apply(further, saved, [saved, parts.status, parts.further], **common)
    parts.use.click(use, [view, saved], parts.form, **QUIET)


def link(shown: Mapping[str, Any]) -> str:
    return f"?sweep={shown['sweep']}" if shown["sweep"] else ""


def first(lab: Lab, owner: str, asked: str) -> dict[str, Any]:
    """What the tab shows when it is opened: the sweep of the address, else the visitor's newest, else the recorded one."""
    if asked:
        is_here = table.visible(lab.store, asked, owner) is not None
        return {
            "sweep": asked if is_here else "",
            "notes": [] if is_here else ["This lab has no sweep of that address."],
        }
    parts = comparisons.sweep_ids(lab.store, owner) if owner else set()
    own = [row for row in table.sweeps(lab.store, owner) if row.sweep_id not in parts] if owner else []
    return {"sweep": own[0].sweep_id if own else "", "notes": []}


def begin(lab: Lab, form: sweep_form.Draft, shown: Mapping[str, Any], owner: str) -> dict[str, Any]:
    """Start what the form says, once what it asks is answered; the new view."""
    spec, problems = sweep_form.order(form)
    if spec is None:
        return refused(shown, list(dict.fromkeys(problems.values())))
    try:
        planned = sweeps.plan(sweep_form.with_weights(spec), lab.store)
    except SpecError as error:
        return refused(shown, [problem.sentence for problem in error.problems])
    if (question := sweep_form.asks(planned)) and form.sure != question:
        return refused(shown, [f"{question} Tick the box above Start first."])
    return started(lab, planned.spec, shown, owner, [planned.changed] if planned.changed else [])


def started(
    lab: Lab, spec: sweeps.SweepSpec, shown: Mapping[str, Any], owner: str, notes: list[str] | None = None
) -> dict[str, Any]:
    try:
        return {"sweep": lab.sweeper.start(spec, owner), "notes": notes or [], "turn": time.time()}
    except (QueueFull, SpecError) as error:
        return refused(shown, [str(error)])


def refused(shown: Mapping[str, Any], reasons: list[str]) -> dict[str, Any]:
    """The same view, and why nothing was started."""
    return {"sweep": shown["sweep"], "notes": ["Nothing was started.", *reasons], "bad": True}


def draw(lab: Lab, shown: dict[str, Any], owner: str, still: Callable[[], bool]) -> Iterator[list[Any]]:
    """The right column, again and again until the sweep of the view has ended: first without findings, which take longer."""
    row = table.visible(lab.store, shown["sweep"], owner) if shown["sweep"] else None
    if row is None:
        yield from _recorded(lab, shown)
        return
    curves, marker, is_mine = sweep_view.SweepCurves(lab.store), None, row.owner == owner
    while still():
        found = sweeps.progress(lab.store, row.sweep_id, row.owner)
        if found is None:
            return
        seen = (found.state, [(cell.status, cell.metrics.get("step")) for cell in found.cells])
        is_busy, packed = found.state in ("running", "stopping"), curves.update(found.cells) if seen != marker else {}
        if seen != marker:
            head = sweep_view.status(found, shown["notes"], is_mine, bool(shown.get("bad")))
            buttons = [
                gr.update(interactive=is_mine and is_busy),
                gr.update(visible=is_mine and not is_busy and not _whole(found)),
            ]
            for whole in (True,) if marker else (False, True):
                yield [head, sweep_view.value(found, packed, whole=whole), *buttons]
            marker = seen
        if not is_busy:
            return
        time.sleep(EVERY_S)


def _whole(found: sweeps.Progress) -> bool:
    """Whether nothing is left to go on with."""
    return all(cell.status not in ("waiting", "skipped", "cancelled", "interrupted") for cell in found.cells)


def _recorded(lab: Lab, shown: Mapping[str, Any]) -> Iterator[list[Any]]:
    """The sweep that ships with the lab, marked as such."""
    buttons = [gr.update(interactive=False), gr.update(visible=False)]
    lines = shown["notes"] or [RECORDED if lab.sweep else "Nothing was swept yet: press Start."]
    head = {"tone": "bad" if shown["notes"] else "", "lines": lines, "done": None}
    if not lab.sweep:
        yield [head, {}, *buttons]
        return
    found, records = lab.sweep
    packed = sweep_view.of_records(list(records.values()))
    for whole in (False, True):
        yield [head, sweep_view.value(found, packed, "Recorded.", whole), *buttons]


def _pressed(event: gr.EventData) -> list[str]:
    """The run ids of the cell that was pressed; whatever else came, only ids come through."""
    runs = event._data.get("runs") if isinstance(event._data, Mapping) else None
    found = [r for r in runs if isinstance(r, str) and visitor.RUN_ID.fullmatch(r)] if isinstance(runs, list) else []
    return found[:MOST_SHOWN]


def find(lab: Lab, owner: str, runs: list[str]) -> list[Record]:
    """The records of these runs, those of them that this visitor may see; of the recorded sweep, too."""
    shipped = lab.sweep[1] if lab.sweep else {}
    here = set(visitor.known(lab.store, runs, owner))
    records = [live.open_runs(lab, [r]) if r in here else [shipped[r]] if r in shipped else [] for r in runs]
    return [record for found in records for record in found]


def look(lab: Lab, owner: str, runs: list[str]) -> tuple[Any, Any, Any]:
    """What stands below the map for a cell: its runs' curves, the answers of the first, and how to go on from it."""
    records = find(lab, owner, runs)
    if not records:
        return {}, {"cards": []}, {"runs": []}
    return charts.Curves(records).value(), tables.samples(records[:1]), anew.describe(records, lab.home)


def train_further(lab: Lab, owner: str, told: Mapping[str, Any]) -> tuple[Any, Any]:
    """Train runs of a cell longer or with one change: a sentence, and what is wrong, at its field."""
    records = find(lab, owner, told["runs"][:MOST_SHOWN])
    wanted, wrong = anew.wanted(records, told, lab.home)
    if wrong:
        return gr.skip(), anew.describe(records, lab.home) | {"wrong": wrong, "stamp": time.time()}
    try:
        tickets = lab.jobs.submit(wanted, owner)
    except (QueueFull, SpecError) as error:
        return {"tone": "bad", "lines": ["Nothing was started.", str(error)]}, gr.skip()
    count = f"{len(tickets)} run{'' if len(tickets) == 1 else 's'}"
    return {"lines": [f"{count} asked for: to be found on Runs, the newest first."]}, gr.skip()
