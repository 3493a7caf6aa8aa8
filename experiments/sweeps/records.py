"""How far a sweep is and what it brought, as JSON-able records that the page and `--json` share.

`progress(store, sweep_id, owner)` folds the sweep's row and the gists of its runs; nothing is kept that could be made anew.
A value that is not measured yet is None.
"""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from experiments.analysis import Record
from experiments.gists import gists, of_record
from experiments.specs import RunSpec
from experiments.store import Entry, Store
from experiments.sweeps import findings, table
from experiments.sweeps.expansion import value_at
from experiments.sweeps.spec import SweepSpec, Value

Status = Literal[
    "waiting", "queued", "running", "finished", "diverged", "failed", "pruned", "cancelled", "interrupted", "skipped"
]
METRICS = (
    "held_out", "score", "forgetting", "loss", "step", "steps", "train_s", "step_s", "trainable", "peak_mb",
    "base_held_out", "base_score", "adapter_bytes",
)  # fmt: skip
"""What is told of a cell: as in `gists`."""


class Cell(BaseModel):
    """One cell: its values by place (those that its method has), its seed, its run, and what that brought.

    `stored`: it was there before the sweep, or somebody else trained it. "diverged" is a failed run whose loss was no number; "skipped"
    was never begun, because its setting was pruned or the sweep stopped.
    """

    model_config = ConfigDict(frozen=True)
    number: int
    values: dict[str, Value | None]
    seed: int
    run_id: str
    attempt: int | None = None
    spec: RunSpec
    status: Status = "waiting"
    stored: bool = False
    metrics: dict[str, float | None] = {}
    cause: str = ""

    @property
    def ended(self) -> bool:
        return self.status not in ("waiting", "queued", "running")

    def metric(self, name: str) -> float | None:
        """A finished cell's number; None for one that did not go to its end."""
        return self.metrics.get(name) if self.status == "finished" else None


class Progress(BaseModel):
    """A sweep as a whole. `remaining_s` None: not known yet. `noise`: the smallest difference of two settings that is told
    apart from chance, None with one seed. `rows`: one a setting, the mean of its seeds with an interval."""

    model_config = ConfigDict(frozen=True)
    sweep_id: str
    spec: SweepSpec
    state: table.State
    sentence: str = ""
    metric: str = "held_out"
    done: int
    total: int
    elapsed_s: float
    remaining_s: float | None = None
    cells: tuple[Cell, ...] = ()
    rows: tuple[findings.Row, ...] = ()
    best: findings.Row | None = None
    noise: float | None = None
    verdict: str = ""


def progress(store: Store, sweep_id: str, owner: str, metric: str = "held_out") -> Progress | None:
    """This owner's sweep as far as it is, None where they have none of this id. `metric` is one of `METRICS`."""
    found = table.find(store, sweep_id, owner)
    if found is None:
        return None
    made = cells(store, found, owner)
    compared = findings.compare([(c.values, c.seed, c.metric(metric)) for c in made], metric != "score")
    ended = sum(c.ended for c in made)
    elapsed_s = (found.ended_s or time.time()) - found.created_s
    return Progress(
        sweep_id=sweep_id, spec=found.spec, state=found.state, sentence=found.sentence, metric=metric,
        done=ended, total=max(len(made), 1), elapsed_s=round(elapsed_s, 1), remaining_s=_remaining_s(found, made),
        cells=tuple(made), rows=compared.rows, best=compared.best, noise=compared.noise,
        verdict=findings.verdict(compared, found.spec.axes),
    )  # fmt: skip


def recorded(spec: SweepSpec, runs: Sequence[Record]) -> Progress:
    """A finished sweep from the records of its cells, without a store."""
    made = []
    for number, run in enumerate(runs):
        values = {place: value for place in spec.places if (value := value_at(run.spec, place)) is not None}
        about: dict[str, Any] = {"number": number, "values": values, "seed": run.spec.seed, "run_id": run.run_id}
        gist = of_record(run)
        metrics = {name: gist.get(name) for name in METRICS}
        made.append(Cell(**about, attempt=1, spec=run.spec, status=_status(gist, ""), metrics=metrics, cause=run.cause))
    compared = findings.compare([(c.values, c.seed, c.metric("held_out")) for c in made])
    elapsed_s = sum(run.finished.elapsed_s for run in runs if run.finished)
    return Progress(
        sweep_id=spec.sweep_id, spec=spec, state="finished", done=len(made), total=max(len(made), 1),
        elapsed_s=round(elapsed_s, 1), remaining_s=0.0, cells=tuple(made), rows=compared.rows, best=compared.best,
        noise=compared.noise, verdict=findings.verdict(compared, spec.axes),
    )  # fmt: skip


def cells(store: Store, found: table.SweepRow, owner: str) -> list[Cell]:
    """The cells of a sweep with what their runs brought so far."""
    rows = table.cells(store, found.sweep_id, owner)
    entries = table.entries(store, found.sweep_id, owner)
    told = dict(zip(entries, gists(store, list(entries.values())), strict=True))
    return [_cell(found, row, entries.get(row.run_id), told.get(row.run_id)) for row in rows]


def _cell(found: table.SweepRow, row: table.CellRow, entry: Entry | None, gist: dict[str, Any] | None) -> Cell:
    spec = _spec(row.spec)
    values = {place: value_at(spec, place) for place in found.spec.places}
    about: dict[str, Any] = {"number": row.number, "values": {p: v for p, v in values.items() if v is not None}}
    about |= {"seed": spec.seed, "run_id": row.run_id, "spec": spec}
    if entry is None or gist is None:
        return Cell(**about, status="skipped" if row.mark == "skipped" else "waiting")
    return Cell(
        **about, attempt=entry.key.attempt, status=_status(gist, row.mark), stored=entry.created_s < found.created_s,
        metrics={name: gist.get(name) for name in METRICS}, cause=gist.get("cause") or "",
    )  # fmt: skip


@lru_cache(maxsize=20_000)
def _spec(text: str) -> RunSpec:
    """A cell's spec from its JSON, read once: a page asks for all cells again and again."""
    return RunSpec.model_validate_json(text)


def _status(gist: dict[str, Any], mark: table.Mark) -> Any:
    status, cause = gist["status"], gist.get("cause") or ""
    if status == "cancelled" and mark == "pruned":
        return "pruned"
    if status == "failed" and cause.startswith("Diverged"):
        return "diverged"
    return "running" if status == "preparing" else status


def _remaining_s(found: table.SweepRow, made: Sequence[Cell]) -> float | None:
    """From what the cells of this very sweep took, wall clock over those that were trained by it."""
    trained = [c for c in made if c.ended and not c.stored]
    left = sum(not c.ended for c in made)
    if not found.is_under_way or not left:
        return 0.0
    if not trained:
        return None
    return round((time.time() - found.created_s) / len(trained) * left, 1)


def as_json(found: Progress) -> str:
    """What `sweep --json` prints."""
    return json.dumps(found.model_dump(mode="json"))
