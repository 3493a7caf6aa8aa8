"""Comparisons in the store: who asked for which, what the budget gave each method, and how far it is. Their runs are cells of sweeps.

As with sweeps, a comparison belongs to who asked for it, and two who ask for the same one share the runs.
"""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from experiments import shelf
from experiments.comparison.budgets import Fit, fitted
from experiments.comparison.parts import part
from experiments.comparison.spec import ComparisonSpec
from experiments.specs import RunSpec
from experiments.store import Store, is_alive, this_process
from experiments.sweeps.table import State

SELECT = """SELECT comparison_id, owner, spec, fits, state, sentence, created_s, began_s, ended_s, writer, workers FROM comparisons"""
MINE = "WHERE comparison_id = ? AND owner = ?"


@dataclass(frozen=True)
class ComparisonRow:
    """One owner's comparison as it is stored. `fits` is empty until what a step takes was measured; `began_s` is when this
    process took it up, with so many workers."""

    comparison_id: str
    owner: str
    spec: ComparisonSpec
    fits: tuple[Fit, ...]
    state: State
    sentence: str
    created_s: float
    began_s: float
    ended_s: float | None
    writer: str
    workers: int

    @property
    def is_under_way(self) -> bool:
        return self.state in ("running", "stopping")


def open_comparison(store: Store, spec: ComparisonSpec, owner: str, workers: int = 1) -> bool:
    """Ask for a comparison, or take it up again; False where it is under way for this owner already."""
    found = find(store, spec.comparison_id, owner)
    if found and found.is_under_way and is_alive(found.writer):
        return False
    store.connection.execute(
        "INSERT INTO comparisons VALUES (:id, :owner, :spec, '', 'running', '', :now, :now, NULL, :writer, :workers)"
        " ON CONFLICT (comparison_id, owner) DO UPDATE SET"
        " state = 'running', sentence = '', began_s = :now, ended_s = NULL, writer = :writer, workers = :workers",
        {"id": spec.comparison_id, "owner": owner, "spec": spec.model_dump_json(), "now": time.time(),
         "writer": this_process(), "workers": workers},
    )  # fmt: skip
    return True


def set_fits(store: Store, comparison_id: str, owner: str, fits: Sequence[Fit]) -> None:
    """Keep what the budget gave each method, so that a comparison taken up again has the same runs."""
    said = [{**asdict(f), "run": f.run.model_dump(mode="json") if f.run else None} for f in fits]
    store.connection.execute(f"UPDATE comparisons SET fits = ? {MINE}", (json.dumps(said), comparison_id, owner))


def find(store: Store, comparison_id: str, owner: str) -> ComparisonRow | None:
    """This owner's comparison; None where they have none of this id."""
    row = store.connection.execute(f"{SELECT} {MINE}", (comparison_id, owner)).fetchone()
    return _row(row) if row else None


def visible(store: Store, comparison_id: str, owner: str) -> ComparisonRow | None:
    """The comparison of this id as this visitor may look at it: their own, else the newest of anybody that is on no private rows."""
    own = find(store, comparison_id, owner)
    if own is not None:
        return own
    found = newest(store, comparison_id)
    is_private = found is not None and shelf.is_private(found.spec.runs[0].model_dump_json())
    return None if is_private else found


def newest(store: Store, comparison_id: str) -> ComparisonRow | None:
    """The comparison of this id that was asked for last, by whomever."""
    rows = store.connection.execute(f"{SELECT} WHERE comparison_id = ? ORDER BY created_s DESC", (comparison_id,))
    return next(map(_row, rows), None)


def comparisons(store: Store, owner: str, limit: int = 100) -> list[ComparisonRow]:
    """This owner's comparisons, the newest first."""
    rows = store.connection.execute(f"{SELECT} WHERE owner = ? ORDER BY created_s DESC LIMIT ?", (owner, limit))
    return [_row(row) for row in rows]


def sweep_ids(store: Store, owner: str) -> set[str]:
    """The sweeps that are parts of this owner's comparisons."""
    found = comparisons(store, owner)
    return {part(row.spec, run).sweep_id for row in found for run in fitted(row.fits)}


def unfinished(store: Store) -> list[ComparisonRow]:
    """Comparisons under way whose process is gone."""
    rows = store.connection.execute(f"{SELECT} WHERE state IN ('running', 'stopping') ORDER BY created_s")
    return [row for row in map(_row, rows.fetchall()) if not is_alive(row.writer)]


def stop(store: Store, comparison_id: str, owner: str) -> bool:
    """Ask that this owner's comparison stops; False where they have none under way."""
    sql = f"UPDATE comparisons SET state = 'stopping' {MINE} AND state = 'running'"
    return store.connection.execute(sql, (comparison_id, owner)).rowcount > 0


def end(store: Store, comparison_id: str, owner: str, state: State, sentence: str) -> None:
    sql = f"UPDATE comparisons SET state = ?, sentence = ?, ended_s = ? {MINE}"
    store.connection.execute(sql, (state, sentence, time.time(), comparison_id, owner))


def state(store: Store, comparison_id: str, owner: str) -> str | None:
    found = store.connection.execute(f"SELECT state FROM comparisons {MINE}", (comparison_id, owner)).fetchone()
    return found[0] if found else None


def _row(row: tuple) -> ComparisonRow:
    fits = [{**f, "run": RunSpec.model_validate(f["run"]) if f["run"] else None} for f in json.loads(row[3] or "[]")]
    return ComparisonRow(
        row[0], row[1], ComparisonSpec.model_validate_json(row[2]), tuple(Fit(**f) for f in fits), *row[4:]
    )
