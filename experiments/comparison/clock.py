"""How long a comparison takes: foretold from two steps of each method, and while it runs from how fast this machine gets through that.

Pure but for `clock`, which asks the store when a run was begun.
"""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import BaseModel, ConfigDict

from experiments import calibrated, estimates, fitting
from experiments.calibrated import Calibration
from experiments.catalog import models
from experiments.comparison import budgets, table
from experiments.comparison.parts import Cost, cost, part
from experiments.comparison.spec import ComparisonSpec, labels
from experiments.specs import RunSpec
from experiments.store import Store
from experiments.sweeps import SweepSpec
from experiments.sweeps import table as sweep_table
from experiments.sweeps.planning import duration
from experiments.sweeps.records import Cell

PRIOR = 0.05  # share of the plan that counts as done at the foretold speed, when the speed of the machine is learnt on the way


class Clock(BaseModel):
    """One method: foretold seconds in all, and of that done, before this process took it up and since; and when, in seconds since 1970,
    the first run since was begun."""

    model_config = ConfigDict(frozen=True)
    total_s: float | None
    before_s: float = 0.0
    since_s: float = 0.0
    begun_s: float | None = None
    ended: bool = False


def clock(
    store: Store,
    found: table.ComparisonRow,
    stored: sweep_table.SweepRow | None,
    here: Sequence[Cell],
    foretold: Cost | None,
) -> Clock:
    """How far a method is, from its cells."""
    ended = stored is not None and not stored.is_under_way and bool(here) and all(c.ended for c in here)
    if foretold is None or stored is None:
        return Clock(total_s=foretold.total_s if foretold else None, ended=ended)
    entries, done, begun = sweep_table.entries(store, stored.sweep_id, found.owner), {True: 0.0, False: 0.0}, []
    for cell in here:
        if entry := entries.get(cell.run_id):
            is_since = entry.created_s >= found.began_s
            done[is_since] += _spent_s(cell, foretold)
            begun += [entry.created_s] if is_since else []
    begun_s = min(begun, default=None)
    return Clock(total_s=foretold.total_s, before_s=done[False], since_s=done[True], begun_s=begun_s, ended=ended)


def _spent_s(cell: Cell, foretold: Cost) -> float:
    """What of a cell is done, in foretold seconds."""
    if cell.status == "finished":
        return foretold.run_s
    step = int(cell.metrics.get("step") or 0)
    return foretold.until_s(0, min(step, foretold.sweep.base.train.steps))


def time_left(clocks: Sequence[Clock], now_s: float, workers: int = 1) -> tuple[float | None, float]:
    """Seconds that are left, None where a method was not measured yet, and the share that is done; `now_s` since 1970.

    The foretold seconds, at the speed at which this process got through those behind it; at first the foretold speed, shared among
    the workers, counts, too.
    """
    if not clocks or any(c.total_s is None for c in clocks):
        return None, 0.0
    total = sum(c.total_s or 0.0 for c in clocks)
    left = sum(0.0 if c.ended else max(0.0, (c.total_s or 0.0) - c.before_s - c.since_s) for c in clocks)
    prior_s, begun = PRIOR * total, [c.begun_s for c in clocks if c.begun_s is not None]
    if not prior_s:
        return 0.0, 1.0
    took_s = max(0.0, now_s - min(begun)) if begun else 0.0
    done_s = sum(c.since_s if not c.ended else (c.total_s or 0.0) - c.before_s for c in clocks if c.begun_s is not None)
    pace = (prior_s / max(workers, 1) + took_s) / (prior_s + done_s)
    return round(left * pace, 1), 1 - left / total


def guess(run: RunSpec, store: Store) -> Calibration | None:
    """What two steps of a run said here, or, before they were taken, what the lab's estimates and its memory model say; None where
    this model was never timed here."""
    if known := calibrated.known(store, run):
        return known
    none = run.model_copy(update={"train": run.train.model_copy(update={"steps": 0})})
    whole, around = (estimates.before(r, store).seconds for r in (run, none))
    arch = models.arch(models.find(run.model, local=True))
    if whole is None or around is None or arch is None:
        return None
    a_step_s = max(0.0, whole - around) / max(run.train.steps, 1)
    look_s = around / (run.train.looks + 4)  # the last look and its answers take as long as some on the way
    more_s = estimates.general_s(run, store) if run.train.thorough else 0.0
    around += (run.train.looks - 1) * more_s  # the last look reads the general text anyway
    return Calibration(a_step_s=a_step_s, around_s=around, look_s=look_s + more_s, peak_mb=fitting.needed_mb(run, arch))


def plan(spec: ComparisonSpec, store: Store, workers: int = 1) -> tuple[float | None, list[str]]:
    """Seconds that a comparison would take, by `guess`, None where something is not known; and a sentence a method."""
    fits = budgets.fit(spec, lambda run: guess(run, store))
    total, lines, is_known = 0.0, [], True
    for name, fit in zip(labels(spec.runs), fits, strict=True):
        if fit.run is None:
            lines.append(f"{name} is left out: {fit.sentence}")
            continue
        sweep, known = part(spec, fit.run), guess(fit.run, store)
        took = cost(sweep, known).total_s / max(workers, 1) if known else None
        is_known, total = is_known and took is not None and fit.is_known, total + (took or 0.0)
        is_measured = calibrated.known(store, fit.run) is not None
        lines.append(f"{name}: {_said(sweep, fit.sentence, took, is_measured)}")
    return (round(total, 1) if is_known else None), lines


def _said(sweep: SweepSpec, sentence: str, seconds: float | None, is_measured: bool) -> str:
    rates, seeds = len(sweep.axes[0].values), len(sweep.seeds)
    parts = [f"{rates} rates" if rates > 1 else "", f"{seeds} seed{'s' if seeds > 1 else ''}", sentence.rstrip(".")]
    took = f"about {duration(seconds)}" if seconds is not None else "measured at the start"
    took += "" if is_measured or seconds is None else " by a guess, measured at the start"
    return ", ".join(p for p in (*parts, took) if p) + "."
