"""Sweeps in the store: who asked for which, how far it is, and which runs are its cells. The cells' events stand with the runs.

A sweep belongs to who asked for it: two who ask for the same one each have a row, and share the runs. What a process that is
gone left "running" is `unfinished`, and can be taken up again.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from experiments import shelf
from experiments.store import LAST, Entry, Key, Store, is_alive, this_process
from experiments.sweeps.spec import SweepSpec

State = Literal["running", "stopping", "stopped", "finished", "failed"]
Mark = Literal["", "pruned", "retried", "skipped"]


@dataclass(frozen=True)
class SweepRow:
    """One owner's sweep as it is stored; `sentence` says how it ended, `writer` is the process that runs it."""

    sweep_id: str
    owner: str
    spec: SweepSpec
    state: State
    sentence: str
    created_s: float
    ended_s: float | None
    writer: str

    @property
    def is_under_way(self) -> bool:
        return self.state in ("running", "stopping")


@dataclass(frozen=True)
class CellRow:
    """One cell of a sweep: its number, its run, its spec as JSON, and what the sweep did with it."""

    number: int
    run_id: str
    spec: str
    mark: Mark = ""


def open_sweep(store: Store, spec: SweepSpec, owner: str) -> bool:
    """Ask for a sweep, or take it up again; False where it is under way for this owner already."""
    found = find(store, spec.sweep_id, owner)
    if found and found.is_under_way and is_alive(found.writer):
        return False
    store.connection.execute(
        "INSERT INTO sweeps VALUES (:id, :owner, :spec, 'running', '', :now, NULL, :writer) ON CONFLICT (sweep_id, owner)"
        " DO UPDATE SET state = 'running', sentence = '', ended_s = NULL, writer = :writer",
        {"id": spec.sweep_id, "owner": owner, "spec": spec.model_dump_json(), "now": time.time(), "writer": this_process()},
    )  # fmt: skip
    store.connection.execute(
        "UPDATE cells SET mark = '' WHERE sweep_id = ? AND owner = ? AND mark = 'skipped'", (spec.sweep_id, owner)
    )
    return True


def find(store: Store, sweep_id: str, owner: str) -> SweepRow | None:
    """This owner's sweep; None where they have none of this id, whoever else may."""
    row = store.connection.execute(f"{SELECT} WHERE sweep_id = ? AND owner = ?", (sweep_id, owner)).fetchone()
    return _row(row) if row else None


def visible(store: Store, sweep_id: str, owner: str) -> SweepRow | None:
    """The sweep of this id as this visitor may look at it: their own, else the newest of anybody, as with a run by its id;
    None where there is none, or where its rows are somebody else's."""
    own = find(store, sweep_id, owner)
    if own is not None:
        return own
    found = everybodys(store, sweep_id)
    return found[0] if found and not is_private(found[0].spec) else None


def everybodys(store: Store, sweep_id: str) -> list[SweepRow]:
    """All who asked for the sweep of this id, the newest first."""
    rows = store.connection.execute(f"{SELECT} WHERE sweep_id = ? ORDER BY created_s DESC", (sweep_id,))
    return [_row(row) for row in rows]


def is_private(spec: SweepSpec) -> bool:
    """Whether the base or a value of an axis names rows that belong to one visitor."""
    values = [value for axis in spec.axes for value in axis.values]
    return shelf.is_private(spec.base.model_dump_json()) or any(str(value).startswith("data:") for value in values)


def sweeps(store: Store, owner: str, limit: int = 100) -> list[SweepRow]:
    """This owner's sweeps, the newest first."""
    rows = store.connection.execute(f"{SELECT} WHERE owner = ? ORDER BY created_s DESC LIMIT ?", (owner, limit))
    return [_row(row) for row in rows]


def unfinished(store: Store) -> list[SweepRow]:
    """Sweeps under way whose process is gone: what an app that starts again goes on with."""
    rows = store.connection.execute(f"{SELECT} WHERE state IN ('running', 'stopping') ORDER BY created_s")
    return [row for row in map(_row, rows.fetchall()) if not is_alive(row.writer)]


def stop(store: Store, sweep_id: str, owner: str) -> bool:
    """Ask that this owner's sweep stops; False where they have none under way."""
    done = store.connection.execute(
        "UPDATE sweeps SET state = 'stopping' WHERE sweep_id = ? AND owner = ? AND state = 'running'", (sweep_id, owner)
    )
    return done.rowcount > 0


def end(store: Store, sweep_id: str, owner: str, state: State, sentence: str) -> None:
    store.connection.execute(
        "UPDATE sweeps SET state = ?, sentence = ?, ended_s = ? WHERE sweep_id = ? AND owner = ?",
        (state, sentence, time.time(), sweep_id, owner),
    )


def state(store: Store, sweep_id: str, owner: str) -> str | None:
    sql = "SELECT state FROM sweeps WHERE sweep_id = ? AND owner = ?"
    found = store.connection.execute(sql, (sweep_id, owner)).fetchone()
    return found[0] if found else None


def add_cells(store: Store, sweep_id: str, owner: str, cells: Iterable[tuple[str, str]]) -> None:
    """Add cells (run id, spec as JSON) in this order; one that is there keeps its number and its mark."""
    db = store.connection
    db.execute("BEGIN IMMEDIATE")
    try:
        (first,) = db.execute(
            "SELECT COALESCE(MAX(number), -1) + 1 FROM cells WHERE sweep_id = ? AND owner = ?", (sweep_id, owner)
        ).fetchone()
        rows = [(sweep_id, owner, first + i, run_id, spec, "") for i, (run_id, spec) in enumerate(cells)]
        db.executemany("INSERT OR IGNORE INTO cells VALUES (?, ?, ?, ?, ?, ?)", rows)
    except BaseException:
        db.execute("ROLLBACK")
        raise
    db.execute("COMMIT")


def mark(store: Store, sweep_id: str, owner: str, run_id: str, said: Mark) -> None:
    """Note what the sweep did with a cell."""
    store.connection.execute(
        "UPDATE cells SET mark = ? WHERE sweep_id = ? AND owner = ? AND run_id = ?", (said, sweep_id, owner, run_id)
    )


def cells(store: Store, sweep_id: str, owner: str) -> list[CellRow]:
    """The cells of this owner's sweep so far, in order."""
    rows = store.connection.execute(
        "SELECT number, run_id, spec, mark FROM cells WHERE sweep_id = ? AND owner = ? ORDER BY number",
        (sweep_id, owner),
    )
    return [CellRow(*row) for row in rows]


def entries(store: Store, sweep_id: str, owner: str) -> dict[str, Entry]:
    """The latest attempt at each run of this owner's sweep that was begun, by run id, in the order of the cells."""
    rows = store.connection.execute(
        f"""SELECT r.run_id, r.attempt, r.kind, r.spec, r.created_s, {LAST} FROM cells c JOIN runs r ON r.run_id = c.run_id
            WHERE c.sweep_id = ? AND c.owner = ? AND r.attempt = (SELECT MAX(attempt) FROM runs WHERE run_id = c.run_id)
            ORDER BY c.number""", (sweep_id, owner),
    )  # fmt: skip
    return {row[0]: Entry(Key(*row[:2]), *row[2:]) for row in rows}


SELECT = "SELECT sweep_id, owner, spec, state, sentence, created_s, ended_s, writer FROM sweeps"


def _row(row: tuple) -> SweepRow:
    return SweepRow(row[0], row[1], SweepSpec.model_validate_json(row[2]), *row[3:])
