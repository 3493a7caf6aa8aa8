"""What the Sweep tab draws of a sweep: its cells, curves and findings as one JSON value for assets/sweep.js.

Pure but for `SweepCurves`, which remembers how far it read each run, so that its packed strings only ever grow. Findings are made by
`experiments.sweeps`; here they are laid out. With `whole` False they are left out: they take the most time, and can follow.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any

from experiments import events
from experiments.analysis import Record
from experiments.catalog import tasks
from experiments.methods.lora import LoraSettings
from experiments.store import Key, Store
from experiments.sweeps import findings, guidance, planning
from experiments.sweeps.records import Cell, Progress

COSTS = (
    ("trainable", "trainable parameters", "", 0), ("train_s", "time to train", "s", 1), ("peak_mb", "peak memory", "MB", 0),
)  # fmt: skip
MOST_CURVES = 300
"""Runs whose curves are drawn: more lines cannot be told apart."""


class SweepCurves:
    """The packed curves of a sweep's runs, training and held-out, by run id."""

    def __init__(self, store: Store):
        self.store = store
        self._packed: dict[str, tuple[str, str]] = {}
        self._seen: dict[str, tuple[int, bool]] = {}

    def update(self, cells: Sequence[Cell]) -> Mapping[str, tuple[str, str]]:
        """Read what was told since; runs that had ended are not asked again."""
        for cell in cells[:MOST_CURVES]:
            seen, is_over = self._seen.get(cell.run_id, (-1, False))
            if cell.attempt is None or is_over:
                continue
            rows = self.store.events(Key(cell.run_id, cell.attempt), seen)
            self._add(cell.run_id, [row.event for row in rows])
            self._seen[cell.run_id] = (rows[-1].seq if rows else seen, cell.ended)
        return self._packed

    def _add(self, run_id: str, told: Sequence[events.Event]) -> None:
        train, held_out = self._packed.get(run_id, ("", ""))
        self._packed[run_id] = (train + _train(told), held_out + _held_out(told))


def of_records(records: Sequence[Record]) -> dict[str, tuple[str, str]]:
    """The packed curves of records."""
    return {r.run_id: (_train(r.steps), _held_out(r.held_out)) for r in records[:MOST_CURVES]}


def _train(told: Sequence[events.Event]) -> str:
    return "".join(f"{e.step},{_number(e.loss)};" for e in told if isinstance(e, events.Stepped))


def _held_out(told: Sequence[events.Event]) -> str:
    looks = [
        e for e in told if isinstance(e, events.Evaluated) and e.subject == "tuned" and e.held_out_loss is not None
    ]
    return "".join(f"{e.step},{_number(e.held_out_loss)};" for e in looks)


def _number(loss: float | None) -> str:
    return "" if loss is None else format(loss, ".4g")


def metrics(task: str) -> list[dict[str, Any]]:
    """What a cell can be coloured by: its key in a cell's metrics, its name and unit, which way is better."""
    score = tasks.find(task).metrics[0]
    return [
        {"key": "held_out", "label": "held-out loss", "unit": "nats a token", "digits": 3, "lower": True},
        {
            "key": "score",
            "label": score.label.lower(),
            "unit": score.unit,
            "digits": 1,
            "lower": not score.higher_is_better,
        },
        {"key": "forgetting", "label": "forgetting", "unit": "nats a token", "digits": 3, "lower": True},
        {"key": "train_s", "label": "time", "unit": "s", "digits": 1, "lower": True},
    ]


def value(found: Progress, curves: Mapping[str, tuple[str, str]], note: str = "", whole: bool = True) -> dict[str, Any]:
    """Everything that is drawn of a sweep."""
    kinds = metrics(found.spec.base.task)
    return {
        "id": found.sweep_id, "note": note, "state": found.state, "is_recorded": bool(note),
        "steps": found.spec.base.train.steps,
        "axes": [_axis(found, i) for i in range(len(found.spec.axes))],
        "metrics": kinds, "costs": [{"key": k, "label": label, "unit": unit, "digits": d} for k, label, unit, d in COSTS],
        "cells": [_cell(cell, found.spec.places, kinds, curves) for cell in found.cells],
        "found": {kind["key"]: _findings(found, kind) for kind in kinds} if whole else {},
        "left_out": max(0, len(found.cells) - MOST_CURVES),
        "cuts": not note and longest(found) is not None,
    }  # fmt: skip


def _axis(found: Progress, i: int) -> dict[str, Any]:
    """An axis with its values in order: as they were given, or, of a range, those that were drawn, from small to large."""
    axis = found.spec.axes[i]
    values = list(axis.values)
    if axis.is_range:
        values = sorted({v for cell in found.cells if isinstance(v := cell.values.get(axis.place), int | float)})
    return {"place": axis.place, "label": axis.label, "values": values}


def _cell(cell: Cell, places: Sequence[str], kinds: Sequence[Mapping[str, Any]], curves: Any) -> dict[str, Any]:
    train, held_out = curves.get(cell.run_id, ("", ""))
    keys = dict.fromkeys([*(str(kind["key"]) for kind in kinds), *(key for key, *_ in COSTS)])
    return {
        "v": [cell.values.get(place) for place in places], "seed": cell.seed, "run": cell.run_id, "status": cell.status,
        "stored": cell.stored, "at": cell.metrics.get("step") or 0, "cause": cell.cause,
        "m": {key: cell.metric(key) for key in keys}, "d": train, "h": held_out,
    }  # fmt: skip


def _findings(found: Progress, kind: Mapping[str, Any]) -> dict[str, Any]:
    """What one metric says: the settings with their intervals, the verdict, what matters, the rules for alpha, the fronts."""
    key, lower, axes = str(kind["key"]), bool(kind["lower"]), found.spec.axes
    results = [(cell.values, cell.seed, cell.metric(key)) for cell in found.cells]
    compared = findings.compare(results, lower)
    rows = [
        {
            "v": [row.values.get(axis.place) for axis in axes], "mean": row.mean, "half": row.half_width,
            "seeds": row.seeds, "worse": row.told_apart, "cost": _costs(found.cells, row.values),
        }
        for row in compared.rows
    ]  # fmt: skip
    is_over = found.state not in ("running", "stopping")
    rules = guidance.guidance(results, lower)
    shares = guidance.importance(results, axes, lower) if is_over else {}
    labels = {axis.place: axis.label for axis in axes}
    return {
        "rows": rows, "noise": compared.noise, "seeds": compared.seeds, "verdict": findings.verdict(compared, axes),
        "importance": [[labels[place], share] for place, share in shares.items()],
        "rules": [[rule.title, rule.explained] for rule in rules.rules], "guidance": [rules.sentence, rules.twice],
        "front": {cost: _front(rows, cost, lower) for cost, *_ in COSTS},
    }  # fmt: skip


def _costs(cells: Sequence[Cell], values: Mapping[str, Any]) -> dict[str, float | None]:
    """What a setting took, as a mean over its seeds."""
    same = [cell for cell in cells if cell.values == values]
    told = {key: [number for cell in same if (number := cell.metric(key)) is not None] for key, *_ in COSTS}
    return {key: fmean(numbers) if numbers else None for key, numbers in told.items()}


def _front(rows: Sequence[Mapping[str, Any]], cost: str, lower: bool) -> list[int]:
    """The rows that no other one beats in both cost and metric."""
    known = [i for i, row in enumerate(rows) if row["cost"][cost] is not None]
    pairs = [(rows[i]["cost"][cost], rows[i]["mean"] * (1 if lower else -1)) for i in known]
    return [known[i] for i in findings.pareto(pairs)]


# one run cut to smaller ranks


def longest(found: Progress) -> Cell | None:
    """The run whose update can be cut to smaller ranks: of the finished plain LoRA runs of the largest rank the best; None where the
    sweep does not vary the rank."""
    ranked = [
        (cell.spec.settings.rank, -held_out, -cell.number, cell) for cell in found.cells
        if "settings.rank" in found.spec.places and isinstance(cell.spec.settings, LoraSettings)
        and not cell.spec.settings.dora and (held_out := cell.metric("held_out")) is not None
    ]  # fmt: skip
    return max(ranked, key=lambda one: one[:3])[3] if ranked else None


def rank_curve(found: Progress, cell: Cell, told: Sequence[events.Event]) -> dict[str, Any]:
    """A run at every smaller rank, as far as it is told, and what that says in a sentence."""
    cuts = [event for event in told if isinstance(event, events.Ranked)]
    points = [[cut.rank, cut.held_out_loss, cut.kept] for cut in cuts if cut.rank and cut.held_out_loss is not None]
    end = told[-1] if told else None
    lines = [f"{end.cause} {end.advice}".strip()] if isinstance(end, events.Failed) else []
    if isinstance(end, events.Finished):
        lines = [_enough(cuts), CUT_EXPLAINED]
    name = findings.named(cell.values) + f", seed {cell.seed}"
    return {"id": found.sweep_id, "name": name, "points": points, "lines": lines, "ended": isinstance(end, events.END)}


CUT_EXPLAINED = (
    "The two curves need not agree: a run trained at rank k had no more than k directions from its first step, and often another "
    "alpha / rank, so that it may have found others."
)
ENOUGH = 0.95


def _enough(cuts: Sequence[events.Ranked]) -> str:
    """The smallest rank that keeps nearly all that the run gained on the base."""
    losses = {cut.rank: cut.held_out_loss for cut in cuts}
    base, whole = losses.get(0), losses.get(max(losses, default=0))
    if base is None or whole is None or base <= whole:
        return "This run gained nothing on the base, so nothing of it is lost at a smaller rank."
    enough = (
        cut for cut in cuts if cut.held_out_loss is not None and base - cut.held_out_loss >= ENOUGH * (base - whole)
    )
    least = min(enough, key=lambda cut: cut.rank)
    return (
        f"Cut to rank {least.rank}, it keeps {least.kept:.0%} of its update and has a held-out loss of {least.held_out_loss:.3f}, of "
        f"{whole:.3f} whole and {base:.3f} for the base: {ENOUGH:.0%} of the gain or more."
    )


def status(found: Progress, notes: Sequence[str] = (), mine: bool = True, bad: bool = False) -> dict[str, Any]:
    """What `drawn.status` shows: how far it is and how long it still takes, or how it ended."""
    stored = sum(cell.stored for cell in found.cells)
    is_busy = found.state in ("running", "stopping")
    lines = [*notes, *([] if mine else ["Somebody else's sweep: to look at. Start one of your own on the left."])]
    lines += [_now(found, stored)] if is_busy else [_end(found, stored)]
    lost = [cell for cell in found.cells if cell.status in ("diverged", "failed", "interrupted")]
    if lost:
        first = f" {lost[0].cause}" if lost[0].cause else ""
        lines.append(f"{len(lost)} {'cell' if len(lost) == 1 else 'cells'} failed and the sweep went on.{first}")
    tone = "bad" if bad or found.state == "failed" else "busy" if is_busy else ""
    return {"tone": tone, "lines": lines, "done": found.done / found.total if is_busy else None}


def _now(found: Progress, stored: int) -> str:
    text = f"{found.done} of {found.total} cells" + (f", {stored} of them stored before" if stored else "")
    if found.state == "stopping":
        return f"{text}. Stopping after the step under way; what is done stays."
    if found.done < found.total and all(cell.status in ("waiting", "queued") for cell in found.cells if not cell.ended):
        return f"{text}. Waiting for its turn."
    if found.remaining_s is None:
        return f"{text}; how long it takes is known after the first."
    return f"{text}; about {planning.duration(found.remaining_s)} left."


def _end(found: Progress, stored: int) -> str:
    done = sum(cell.status == "finished" for cell in found.cells)
    text = f"{done} of {found.total} cells trained" + (f", {stored} of them before" if stored else "")
    text += f", in {planning.duration(found.elapsed_s)}." if not stored else "."
    pruned = sum(cell.status == "pruned" for cell in found.cells)
    text += f" {pruned} hopeless ones were stopped early." if pruned else ""
    return f"{text} {found.sentence}".strip()
