"""Tail runs from the store: new events are folded into records, at most four snapshots a second.

A tail owns nothing. It may be cut off at any moment, by a closed tab or a lost network, and another one takes up the
same runs from the store. There is no back-pressure from the browser, hence the four a second.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import gradio as gr

from experiments import analysis, events
from experiments.analysis import Record
from experiments.questions import SampleSpec
from experiments.store import Key
from lab_app.lab import Lab

EVERY_S = 0.25


@dataclass
class Seat:
    """Who may draw into the outputs of one session: the tail that sat down last. The one before it ends by itself.

    Not by Gradio's `cancels`: cancelling a stream while the next one of the same event begins breaks the new one, too.
    """

    number: int = 0

    def take(self) -> Callable[[], bool]:
        """Sit down; the answer tells whether one still sits."""
        self.number += 1
        mine = self.number
        return lambda: self.number == mine


def seated(seat: Seat, frames: Callable[[Callable[[], bool]], Iterator[list[Any]]], width: int) -> Iterator[list[Any]]:
    """`frames(still)` as long as nobody else sits down. The last word of a tail that was sent away, or that has nothing to
    show, changes nothing; without one Gradio would empty its outputs."""
    still, is_empty = seat.take(), True
    for frame in frames(still):
        if not still():
            break
        is_empty = False
        yield frame
    if is_empty or not still():
        yield [gr.skip()] * width


@dataclass(frozen=True)
class Snapshot:
    """The runs of a view as they stand. `waiting`: jobs before them, None where none waits.
    `mine`: asked for by this visitor, `wanted`: still wanted by them; `leaving`: nobody wants it any more, not ended yet."""

    records: tuple[Record, ...]
    waiting: int | None
    mine: frozenset[Key]
    wanted: frozenset[Key]
    leaving: bool

    @property
    def ended(self) -> bool:
        return all(record.ended for record in self.records)


def key_of(record: Record) -> Key:
    return Key(record.run_id, record.attempt)


def open_runs(lab: Lab, run_ids: Sequence[str]) -> list[Record]:
    """The latest attempts at these runs, those that exist."""
    found = (analysis.load(lab.store, run_id) for run_id in run_ids)
    return [record for record in found if record is not None]


def watch(lab: Lab, run_ids: Sequence[str], owner: str, still: Callable[[], bool] = lambda: True) -> Iterator[Snapshot]:
    """Snapshots of these runs until all have ended (or not `still`); the first at once, then whenever something moved."""
    records, shown = open_runs(lab, run_ids), None
    while records and still():
        snapshot = look(lab, records, owner)
        marker = (snapshot.waiting, snapshot.wanted, snapshot.leaving, [r.seen for r in records])
        if marker != shown:
            shown = marker
            yield snapshot
        if snapshot.ended:
            return
        time.sleep(EVERY_S)
        for record in records:
            if not record.ended:
                analysis.fold(record, lab.store.events(key_of(record), record.seen))


def look(lab: Lab, records: Sequence[Record], owner: str) -> Snapshot:
    """How these runs stand for this visitor."""
    keys = [key_of(record) for record in records]
    active = [key_of(record) for record in records if not record.ended]
    places = [place for key in active if (place := lab.jobs.position(key))]
    return Snapshot(
        tuple(records),
        max(places, default=None),
        frozenset(key for key in keys if lab.store.asked(key, owner)),
        frozenset(key for key in active if owner in lab.store.owners(key)),
        bool(active) and not any(lab.store.is_wanted(key) for key in active),
    )


@dataclass
class Said:
    """One answer as far as it was written."""

    text: str = ""
    tokens: int = 0
    seconds: float = 0.0


@dataclass
class Written:
    """Side-by-side answers as far as they were written: a row a prompt, a column a model."""

    spec: SampleSpec
    rows: list[list[Said]]
    ended: bool = False
    sentence: str = ""

    @property
    def is_begun(self) -> bool:
        return any(said.text for row in self.rows for said in row)


def happened(lab: Lab, key: Key, still: Callable[[], bool] = lambda: True) -> Iterator[events.Event]:
    """The events of an attempt as they come, to its end."""
    seen = -1
    while still():
        for row in lab.store.events(key, seen):
            seen = row.seq
            yield row.event
            if isinstance(row.event, events.END):
                return
        time.sleep(EVERY_S)


def watch_answer(lab: Lab, key: Key, still: Callable[[], bool] = lambda: True) -> Iterator[Written]:
    """Side-by-side answers, growing."""
    entry = lab.store.entry(*key)
    if entry is None:
        return
    spec = SampleSpec.model_validate_json(entry.spec)
    written = Written(spec, [[Said() for _ in range(1 + len(spec.runs))] for _ in spec.prompts])
    seen = -1
    while still():
        rows = lab.store.events(key, seen)
        for row in rows:
            seen = row.seq
            _write(written, row.event)
        if rows or seen < 0:
            yield written
        if written.ended:
            return
        time.sleep(EVERY_S)


def _write(written: Written, event: events.Event) -> None:
    match event:
        case events.Progress():
            written.sentence = f"{event.stage}."
        case events.Wrote():
            written.sentence = ""
            said = written.rows[event.row][event.column]
            said.text += event.text
            said.tokens, said.seconds = event.tokens, event.elapsed_s
        case events.Failed():
            written.ended, written.sentence = True, f"{event.cause} {event.advice}".strip()
        case events.Cancelled():
            written.ended, written.sentence = True, "Stopped by you."
        case events.Interrupted():
            written.ended, written.sentence = True, event.cause
        case events.Finished():
            written.ended, written.sentence = True, ""
