"""Sweep: one run over many values of its settings. Choose on the left; on the right the map fills as cells finish, then what was found.

Sweeps run beside the page (`experiments.sweeps.running`); what is common to them and to comparisons is `lab_app.study`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

import gradio as gr

from experiments import events, sweeps
from experiments.analysis import Record
from experiments.comparison import table as comparisons
from experiments.jobs import QueueFull
from experiments.questions import RanksSpec
from experiments.specs import SpecError
from experiments.sweeps import table
from lab_app import anew, charts, drawn, live, study, sweep_form, sweep_parts, sweep_view, tables, visitor
from lab_app.lab import Lab
from lab_app.loss_chart import loss_chart
from lab_app.study import COMMON, QUIET, TAIL, View

if TYPE_CHECKING:
    from lab_app.layout import Page, Room

TITLE = "Sweep"
RECORDED = "A recorded sweep, trained earlier on another machine. Press Start for one of your own."
NONE = "Nothing was swept yet: press Start."
MOST_SHOWN = 8


def build(lab: Lab, page: Page, room: Room) -> None:
    """Draw the tab and wire it."""
    parts, saved = study.build(lab, page, room, KIND), page.saved
    plot, curve, said, further, found = parts.results

    def select(kept: Any, event: gr.EventData) -> tuple[Any, Any, Any]:
        return look(lab, visitor.owner(kept), _pressed(event))

    def train(kept: Any, event: gr.EventData) -> tuple[Any, Any, Any]:
        kept = visitor.welcome(kept)
        return kept, *train_further(lab, kept["owner"], anew.said(event))

    def cut(shown: View, kept: Any, seat: live.Seat) -> Iterator[Any]:
        for (drawn_value,) in live.seated(seat, partial(rank_curve, lab, shown, visitor.owner(kept)), 1):
            yield drawn_value

    plot.select(select, saved, [curve, said, further], **QUIET)
    further.apply(train, saved, [saved, parts.status, further], **COMMON)
    found.apply(cut, [parts.view, saved, gr.State(live.Seat())], [found], **TAIL)


def results() -> tuple[gr.HTML, ...]:
    """The map, what stands below it for a cell, and what was found."""
    plot = sweep_parts.sweep_map({}, "sweep-map")
    with gr.Column(elem_id="sweep-cell", elem_classes="lab-unseen"):
        curve, said = loss_chart({}, "sweep-curve"), drawn.answers({"cards": []}, "sweep-answers")
        further = anew.build("sweep-anew")
    return plot, curve, said, further, sweep_parts.results("sweep-found")


def newest(lab: Lab, owner: str) -> str:
    """The visitor's newest sweep; those of their comparisons are not shown here."""
    parts = comparisons.sweep_ids(lab.store, owner)
    return next((row.sweep_id for row in table.sweeps(lab.store, owner) if row.sweep_id not in parts), "")


def visible(lab: Lab, sweep_id: str, owner: str) -> bool:
    return table.visible(lab.store, sweep_id, owner) is not None


def begin(lab: Lab, value: Any, shown: View, owner: str) -> View:
    """Start what the form says, once what it asks is answered; the new view."""
    form = sweep_form.Draft.read(value)
    spec, problems = sweep_form.order(form)
    if spec is None:
        return study.refused(shown, list(dict.fromkeys(problems.values())))
    try:
        planned = sweeps.plan(sweep_form.with_weights(spec), lab.store)
    except SpecError as error:
        return study.refused(shown, [problem.sentence for problem in error.problems])
    if (question := sweep_form.asks(planned)) and form.sure != question:
        return study.refused(shown, [f"{question} Tick the box above Start first."])
    return study.started(lab.sweeper.start, planned.spec, shown, owner, [planned.changed] if planned.changed else [])


def resume(lab: Lab, sweep_id: str, shown: View, owner: str) -> View:
    found = table.find(lab.store, sweep_id, owner)
    return study.started(lab.sweeper.start, found.spec, shown, found.owner) if found else shown


def stop(lab: Lab, sweep_id: str, owner: str) -> None:
    lab.sweeper.stop(sweep_id, owner)


def filled(lab: Lab, shown: View, owner: str) -> Any:
    found = table.visible(lab.store, shown["id"], owner)
    spec = found.spec if found else lab.sweep[0].spec if lab.sweep else None
    return sweep_form.filled(spec) if spec else gr.skip()


def draw(lab: Lab, shown: View, owner: str, still: Callable[[], bool]) -> Iterator[list[Any]]:
    """The right column, again and again until the sweep of the view has ended: first without findings, which take longer."""
    row = table.visible(lab.store, shown["id"], owner) if shown["id"] else None
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
            can = study.buttons(is_mine and is_busy, is_mine and not is_busy and not _whole(found))
            for whole in (True,) if marker else (False, True):
                yield [head, sweep_view.value(found, packed, whole=whole), *can]
            marker = seen
        if not is_busy:
            return
        time.sleep(study.EVERY_S)


def _whole(found: sweeps.Progress) -> bool:
    """Whether nothing is left to go on with."""
    return all(cell.status not in ("waiting", "skipped", "cancelled", "interrupted") for cell in found.cells)


def _recorded(lab: Lab, shown: View) -> Iterator[list[Any]]:
    """The sweep that ships with the lab, marked as such."""
    head, can = study.resting(shown, RECORDED if lab.sweep else NONE), study.buttons(False, False)
    if not lab.sweep:
        yield [head, {}, *can]
        return
    found, records = lab.sweep
    packed = sweep_view.of_records(list(records.values()))
    for whole in (False, True):
        yield [head, sweep_view.value(found, packed, "Recorded.", whole), *can]


def rank_curve(lab: Lab, shown: View, owner: str, still: Callable[[], bool]) -> Iterator[list[Any]]:
    """One run of the sweep at every smaller rank, as the losses come; nothing is trained for it."""
    row = table.visible(lab.store, shown["id"], owner)
    found = sweeps.progress(lab.store, row.sweep_id, row.owner) if row else None
    cell = sweep_view.longest(found) if found else None
    if found is None or cell is None:
        return
    told: list[events.Event] = []
    try:
        asked = RanksSpec(model=cell.spec.model, weights=cell.spec.weights, runs=(cell.run_id,))
        key = lab.jobs.ask(asked, owner).key
    except (QueueFull, SpecError) as error:
        yield [sweep_view.rank_curve(found, cell, [events.Failed(cause=str(error))])]
        return
    while still() and not (told and isinstance(told[-1], events.END)):
        new = [event.event for event in lab.store.events(key)][len(told) :]
        told += new
        if new:
            yield [sweep_view.rank_curve(found, cell, told)]
        time.sleep(live.EVERY_S)


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


KIND = study.Kind(
    name="sweep", said="sweep", form=sweep_form.build, results=results, asked=visitor.asked_sweep, newest=newest, visible=visible,
    begin=begin, resume=resume, stop=stop, filled=filled, draw=draw,
)  # fmt: skip
