"""From the store to a `Comparison`: the stored comparison, its sweeps and its runs. Nothing is kept that could be made anew."""

from __future__ import annotations

import time
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from experiments import analysis, calibrated
from experiments.analysis import Record
from experiments.comparison import intervals, items, numbers, table
from experiments.comparison.clock import Clock, clock, time_left
from experiments.comparison.intervals import Number
from experiments.comparison.parts import cost, part
from experiments.comparison.records import Comparison, Metric, Row, Seed, metrics_of
from experiments.comparison.spec import ComparisonSpec, labels
from experiments.store import Key, Store
from experiments.sweeps import SweepSpec
from experiments.sweeps import table as sweep_table
from experiments.sweeps.halving import rungs
from experiments.sweeps.records import Cell, cells


def progress(store: Store, comparison_id: str, owner: str, whole: bool = True) -> Comparison | None:
    """This owner's comparison as far as it is, None where they have none of this id. `whole` False leaves out the examples."""
    found = table.find(store, comparison_id, owner)
    return fold(store, found, whole) if found else None


def fold(store: Store, found: table.ComparisonRow, whole: bool = True) -> Comparison:
    """A stored comparison with what its sweeps and runs brought so far."""
    spec = found.spec
    fits = found.fits or [table.Fit(run) for run in spec.runs]
    names, columns = labels(spec.runs), metrics_of(spec)
    made: list[tuple[Row, list[Record]]] = []
    clocks: list[Clock] = []
    for name, asked, fit in zip(names, spec.runs, fits, strict=True):
        if fit.run is None:
            made.append((Row(label=name, method=asked.method, run=None, note=fit.sentence, state="left out"), []))
            continue
        row, runs, its_clock = _method(store, found, name, fit, whole)
        made.append((row, runs))
        clocks.append(its_clock)
    return _whole(found, columns, made, clocks, whole)


def _method(
    store: Store, found: table.ComparisonRow, name: str, fit: table.Fit, whole: bool
) -> tuple[Row, list[Record], Clock]:
    assert fit.run is not None
    sweep = part(found.spec, fit.run)
    stored = sweep_table.find(store, sweep.sweep_id, found.owner)
    known = calibrated.known(store, fit.run)
    foretold = cost(sweep, known) if known else None
    here = cells(store, stored, found.owner) if stored else []
    rate = _chosen(sweep, here)
    runs = [r for c in here if rate is not None and _rate(c) == rate and (r := _record(store, c))]
    measured = numbers.of_method([r for r in runs if r.status == "finished"])
    row = Row(
        label=name, method=fit.run.method, run=fit.run, sweep_id=sweep.sweep_id, note=fit.sentence,
        state=_state(stored, here), rate=rate, numbers=measured,
        rates=tuple((_rate(c), c.status, c.metrics.get("held_out")) for c in here if c.seed == sweep.seeds[0]),
        first_rung=_first_rung(store, sweep, here) if whole else (),
        seeds=tuple(Seed(seed=r.spec.seed, run_id=r.run_id, status=r.status, trail=trail(r)) for r in runs),
    )  # fmt: skip
    return row, runs, clock(store, found, stored, here, foretold)


def _first_rung(store: Store, sweep: SweepSpec, here: Sequence[Cell]) -> tuple[float | None, ...]:
    """Held-out losses of all rates at the first rung, in their order; empty without a race."""
    steps = rungs(sweep.base.train) if sweep.prune == "halving" else []
    found = []
    for cell in here if steps else ():
        if cell.seed == sweep.seeds[0]:
            looks = record.held_out if (record := _record(store, cell)) else []
            found.append(next((e.held_out_loss for e in looks if e.step == steps[0]), None))
    return tuple(found)


def _rate(cell: Cell) -> float:
    return cell.spec.train.learning_rate


def _state(stored: sweep_table.SweepRow | None, here: Sequence[Cell]) -> str:
    if stored is None or not here:
        return "waiting"
    if stored.state == "finished":
        return "finished" if any(c.status == "finished" for c in here) else "failed"
    return str(stored.state)


def _chosen(sweep: SweepSpec, here: Sequence[Cell]) -> float | None:
    """The rate a method has: the one left with the lowest held-out loss at the first seed; while they race, the one ahead so far."""
    first = [c for c in here if c.seed == sweep.seeds[0]]
    done = [c for c in first if c.status == "finished"]
    alive = done or [c for c in first if c.status in ("running", "queued", "waiting")] or first
    told = [c for c in alive if c.metrics.get("held_out") is not None]
    if told:
        return _rate(min(told, key=lambda c: c.metrics["held_out"] or 0.0))
    return _rate(alive[0]) if len(alive) == 1 else None


def _record(store: Store, cell: Cell) -> Record | None:
    if cell.attempt is None:
        return None
    if cell.status == "finished":
        return _ended(store, Key(cell.run_id, cell.attempt))
    return analysis.load(store, cell.run_id, cell.attempt)


@lru_cache(maxsize=256)
def _ended(store: Store, key: Key) -> Record | None:
    """The record of a run that has finished, read once: a page asks for it again and again."""
    return analysis.load(store, *key)


def trail(run: Record) -> tuple[tuple[int, float, float], ...]:
    """(step, gain, forgetting) at each look that measured both: gain is held-out loss, base minus tuned; forgetting general loss, tuned
    minus base."""
    base = run.base
    if base is None or base.held_out_loss is None or base.general_loss is None:
        return ()
    looks = {e.step: e for e in run.held_out if e.held_out_loss is not None and e.general_loss is not None}
    return tuple(
        (
            step,
            round(base.held_out_loss - (e.held_out_loss or 0.0), 4),
            round((e.general_loss or 0.0) - base.general_loss, 4),
        )
        for step, e in sorted(looks.items())
    )


def _whole(
    found: table.ComparisonRow,
    columns: tuple[Metric, ...],
    made: Sequence[tuple[Row, list[Record]]],
    clocks: Sequence[Clock],
    whole: bool,
) -> Comparison:
    now = found.ended_s or time.time()
    done = [[r for r in runs if r.status == "finished"] for _, runs in made]
    rows, best = _compared(columns, [row for row, _ in made], done)
    if whole:
        rows = [_with_changes(found.spec, row, runs) for row, runs in zip(rows, done, strict=True)]
    left, share = time_left(clocks, now, found.workers)
    first = next((runs[0] for runs in done if runs), None)
    planned = (
        sum(c.total_s or 0.0 for c in clocks) / max(found.workers, 1)
        if clocks and all(c.total_s is not None for c in clocks)
        else None
    )
    return Comparison(
        comparison_id=found.comparison_id, spec=found.spec, state=found.state, sentence=found.sentence,
        stage=_stage(found, rows), created_s=found.created_s, elapsed_s=round(now - found.began_s, 1),
        planned_s=planned, remaining_s=left if found.is_under_way else 0.0, share=share if found.is_under_way else 1.0,
        metrics=_used(columns, rows), rows=tuple(rows), base=numbers.of_base(first), best=best,
        verdict=verdict(columns, rows, best), made_with=_made_with(first),
    )  # fmt: skip


def _used(columns: Sequence[Metric], rows: Sequence[Row]) -> tuple[Metric, ...]:
    """The columns of which anything was measured, or all where nothing was yet."""
    used = [m for m in columns if any(m.key in row.numbers for row in rows)]
    return tuple(used or columns)


def _stage(found: table.ComparisonRow, rows: Sequence[Row]) -> str:
    """What is under way, in words."""
    if not found.is_under_way:
        return ""
    if not found.fits:
        return "Two steps of each method are measured."
    now = next((row for row in rows if row.state in ("running", "stopping")), None)
    if now is None:
        return "Waiting for its turn."
    racing = sum(status in ("running", "queued", "waiting") for _, status, _ in now.rates)
    tried = len(now.rates)
    if racing and tried > 1:
        return f"{now.label}: {tried} learning rates race, {racing} left."
    return f"{now.label}: its seeds at rate {now.rate:g}." if now.rate is not None else f"{now.label}."


def _compared(
    columns: Sequence[Metric], rows: Sequence[Row], done: Sequence[list[Record]]
) -> tuple[list[Row], dict[str, str]]:
    """The rows with their differences to the best one in each metric that compares, and who that is."""
    best: dict[str, str] = {}
    against: list[dict[str, Number]] = [{} for _ in rows]
    for m in (m for m in columns if m.compares):
        here = [i for i, row in enumerate(rows) if m.key in row.numbers]
        if len(here) < 2:
            continue
        lead = min(here, key=lambda i: rows[i].numbers[m.key].mean * (1 if m.lower else -1))
        best[m.key] = rows[lead].label
        level = intervals.level_for(len(here) - 1)
        for i in here:
            if i != lead and (number := _difference(m.key, done[i], done[lead], level)):
                against[i][m.key] = number
    return [
        row.model_copy(update={"against": a, "close": tuple(k for k, n in a.items() if n.holds_zero)})
        for row, a in zip(rows, against, strict=True)
    ], best


def _difference(metric: str, mine: list[Record], lead: list[Record], level: float) -> Number | None:
    """A method minus the best one, over the seeds and items that both have."""
    if metric in ("held_out", "forgetting"):
        of = items.losses if metric == "held_out" else items.forgetting
        return intervals.paired(*_same_seeds(mine, lead, of), level)
    kept = sorted(set(items.scored(mine, metric)) & set(items.scored(lead, metric)))
    return intervals.paired(*_same_seeds(mine, lead, lambda runs: items.scores(runs, metric, kept)), level)


def _same_seeds(mine: list[Record], lead: list[Record], of: Any) -> tuple[Any, Any]:
    shared = {r.spec.seed for r in mine} & {r.spec.seed for r in lead}
    pairs = [[r for r in runs if r.spec.seed in shared or len(runs) == 1] for runs in (mine, lead)]
    return of(pairs[0]), of(pairs[1])


def _with_changes(spec: ComparisonSpec, row: Row, runs: list[Record]) -> Row:
    if not runs:
        return row
    held_out = spec.task.split(None).held_out
    found = [items.changes(runs, m.key, held_out) for m in spec.task.metrics]
    return row.model_copy(update={"changes": tuple(c for c in found if c and c.items)})


def _made_with(run: Record | None) -> dict[str, str]:
    """Versions, commit, device and threads of the runs."""
    if run is None or run.started is None:
        return {}
    started = run.started
    return {**started.versions, "device": started.device, "threads": str(started.threads),
            **({"commit": started.commit} if started.commit else {})}  # fmt: skip


def verdict(columns: Sequence[Metric], rows: Sequence[Row], best: dict[str, str]) -> str:
    """One sentence on the held-out loss that names a winner only where it is more than chance."""
    key = next((m.key for m in columns if m.key in best), None)
    ranked = sorted((r for r in rows if key in r.numbers), key=lambda r: r.numbers[key].mean) if key else []
    if len(ranked) < 2 or key is None:
        return ""
    lead, others = ranked[0], ranked[1:]
    close = [r.label for r in others if key in r.close or key not in r.against]
    start = f"{lead.label} has the lowest held-out loss, {lead.numbers[key].mean:.3f}"
    if not close:
        return f"{start}; the next is {others[0].label} with {others[0].numbers[key].mean:.3f}."
    same = " and ".join([", ".join(close[:-1]), close[-1]] if len(close) > 1 else close)
    return f"{start}; {same} {'is' if len(close) == 1 else 'are'} too close to call."
