"""What a sweep will take, said before it starts, and what a time budget allows. No torch, nothing is fetched.

Seconds are `estimates`': measured here where anything was. A budget is met by what costs least knowledge first: fewer seeds,
then fewer steps, then fewer values on each axis, both ends kept.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from experiments import estimates
from experiments.store import Store
from experiments.sweeps.expansion import Expansion, expand
from experiments.sweeps.spec import Axis, SweepSpec

MANY = 2_000  # a grid from this size on asks before it starts
LEAST_STEPS = 10
HALVED = 0.5  # of the steps is what successive halving leaves, roughly


@dataclass(frozen=True)
class Plan:
    """The sweep that would be run, with its cells; `seconds` None: nothing was measured with this model yet.

    `asks` is what to ask before such a sweep starts, "" where nothing is. `changed` says what a budget left out.
    """

    spec: SweepSpec
    expansion: Expansion
    stored: int
    seconds: float | None
    basis: str
    asks: str = ""
    changed: str = ""

    @property
    def cells(self) -> int:
        return len(self.expansion.points)

    @property
    def sentence(self) -> str:
        """`9 cells, 2 of them stored already; about 4 min.`"""
        text = f"{self.cells:,} cell{'s' if self.cells != 1 else ''}"
        text += f", {self.stored:,} of them stored already" if self.stored else ""
        text += f"; about {duration(self.seconds)}." if self.seconds is not None else "; how long is not known yet."
        if self.expansion.impossible:
            text += f" {len(self.expansion.impossible)} combinations cannot run: {self.expansion.impossible[0][1]}"
        return text + (f" {self.changed}" if self.changed else "")


def plan(spec: SweepSpec, store: Store, workers: int = 1) -> Plan:
    """The plan of a sweep within its budget. Raises `SpecError`."""
    found = _plan(spec, store, workers)
    if spec.budget_s is None or found.seconds is None or found.seconds <= spec.budget_s or spec.search != "grid":
        return found  # random and tpe stop when the time is over
    for smaller in shrunk(spec):
        found = _plan(smaller, store, workers)
        if found.seconds is not None and found.seconds <= spec.budget_s:
            break
    seconds = found.seconds or 0.0
    said = f"To fit into {duration(spec.budget_s)}: {_difference(spec, found.spec)}."
    if seconds > spec.budget_s:
        said = f"Even its smallest form takes {duration(seconds)}; it will be stopped after {duration(spec.budget_s)}."
    return Plan(found.spec, found.expansion, found.stored, seconds, found.basis, found.asks, said)


def _plan(spec: SweepSpec, store: Store, workers: int) -> Plan:
    expansion = expand(spec)
    missing, stored, seconds, basis, known = [], 0, 0.0, "", True
    for run in expansion.specs:
        entry = store.entry(run.run_id)
        if entry is not None and entry.last == "finished":
            stored += 1
        else:
            missing.append(run)
    cached: dict[str, tuple[float | None, str]] = {}
    for run in missing:
        sort = f"{run.method} {run.train.steps} {run.train.batch_size} {run.train.accumulate} {run.model} {run.task}"
        if sort not in cached:
            found = estimates.before(run, store)
            cached[sort] = found.seconds, found.basis
        a_cell, basis = cached[sort]
        known, seconds = known and a_cell is not None, seconds + (a_cell or 0.0)
    total = seconds / max(workers, 1) * (HALVED if spec.prune == "halving" else 1.0)
    return Plan(spec, expansion, stored, round(total, 1) if known else None, basis, _asks(expansion, total, known))


def _asks(expansion: Expansion, seconds: float, known: bool) -> str:
    count = len(expansion.points)
    if count < MANY:
        return ""
    return f"{count:,} cells{f', about {duration(seconds)}' if known else ''}: are you sure?"


def shrunk(spec: SweepSpec) -> Iterator[SweepSpec]:
    """The same sweep smaller and smaller: one seed, then half the steps, then every other value of the longest axis."""
    while True:
        if len(spec.seeds) > 1:
            spec = spec.model_copy(update={"seeds": spec.seeds[:1]})
        elif spec.base.train.steps >= 2 * LEAST_STEPS:
            train = spec.base.train.model_copy(update={"steps": spec.base.train.steps // 2})
            spec = spec.model_copy(update={"base": spec.base.model_copy(update={"train": train})})
        elif max(len(a.values) for a in spec.axes) > 2:
            longest = max(spec.axes, key=lambda a: len(a.values))
            axes = tuple(_thinned(a) if a is longest else a for a in spec.axes)
            spec = spec.model_copy(update={"axes": axes})
        else:
            return
        yield spec


def _thinned(axis: Axis) -> Axis:
    kept = axis.values[::2] if len(axis.values) % 2 else (*axis.values[:-1:2], axis.values[-1])
    return axis.model_copy(update={"values": kept if len(kept) < len(axis.values) else (kept[0], kept[-1])})


def _difference(asked: SweepSpec, got: SweepSpec) -> str:
    parts = []
    if len(got.seeds) < len(asked.seeds):
        parts.append(f"{len(got.seeds)} seed instead of {len(asked.seeds)}")
    if got.base.train.steps < asked.base.train.steps:
        parts.append(f"{got.base.train.steps} steps instead of {asked.base.train.steps}")
    for before, after in zip(asked.axes, got.axes, strict=True):
        if len(after.values) < len(before.values):
            parts.append(f"{before.label} {', '.join(map(str, after.values))}")
    return ", ".join(parts)


def duration(seconds: float) -> str:
    """A time for people: 40 s, 3 min, 2.5 h."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"
