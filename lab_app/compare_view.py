"""What the Compare tab draws of a comparison, as one JSON value for assets/compare.js, and the status above it. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from experiments.comparison import Comparison, report
from experiments.comparison.records import Metric, Row, Seed
from experiments.sweeps import findings
from experiments.sweeps.planning import duration

COSTS = ("trainable", "peak_mb", "train_s", "adapter_mb")
"""What a front is drawn against."""
WAITING = "waiting"


def value(found: Comparison, note: str = "") -> dict[str, Any]:
    """Everything that is drawn of a comparison."""
    return {
        "id": found.comparison_id, "note": note, "title": f"{found.spec.task.title}, {found.spec.budget.said}",
        "verdict": found.verdict, "method": report.METHOD, "notes": report.notes(found), "ended": found.state == "finished",
        "columns": [{"key": m.key, "label": m.label, "unit": m.unit, "help": m.help} for m in found.metrics],
        "base": report.base_cells(found)[2:],
        "rows": [_row(found, row, i) for i, row in enumerate(_sorted(found.rows))],
        "axes": [_axis(m) for m in found.metrics if m.compares],
        "costs": [{"key": m.key, "label": _named(m), "digits": m.digits} for m in found.metrics if m.key in COSTS],
        "fronts": _fronts(found),
        "scores": [{"key": m.key, "label": m.label} for m in found.spec.task.metrics],
    }  # fmt: skip


def _sorted(rows: Sequence[Row]) -> list[Row]:
    """Those with numbers first, the lowest held-out loss on top; the others as they were asked for."""
    return sorted(rows, key=lambda r: r.numbers["held_out"].mean if "held_out" in r.numbers else float("inf"))


def _axis(metric: Metric) -> dict[str, Any]:
    return {"key": metric.key, "label": _named(metric), "lower": metric.lower, "digits": metric.digits}


def _named(metric: Metric) -> str:
    return f"{metric.label}, {metric.unit}" if metric.unit else metric.label


def _row(found: Comparison, row: Row, i: int) -> dict[str, Any]:
    cells = [report.cell(found, row, m) for m in found.metrics]
    same = [r for r in _sorted(found.rows)[:i] if r.method == row.method]
    return {
        "label": row.label, "method": row.method, "nth": len(same) % 4, "rate": report.rate(row), "state": _state(row),
        "cells": [[c.text, c.is_best, c.is_close] for c in cells], "runs": [seed.run_id for seed in row.seeds],
        "points": {key: [n.mean, n.half_width] for key, n in row.numbers.items()},
        "trails": [_packed(seed) for seed in row.seeds if seed.trail],
        "changes": [change.model_dump() for change in row.changes],
    }  # fmt: skip


def _packed(seed: Seed) -> str:
    """A trail as `step,gain,forgetting;…`, which only grows."""
    return "".join(f"{step},{gain:.4g},{forgotten:.4g};" for step, gain, forgotten in seed.trail)


def _state(row: Row) -> str:
    if row.run is None:
        return f"left out: {row.note}"
    if row.state == "running" and len(row.rates) > 1 and sum(s == "finished" for _, s, _ in row.rates) == 0:
        return f"{len(row.rates)} rates race"
    done = sum(seed.status == "finished" for seed in row.seeds)
    return f"{done} of {len(row.seeds)} seeds" if row.state in ("running", "stopped") and row.seeds else row.state


def _fronts(found: Comparison) -> dict[str, dict[str, list[str]]]:
    """For each metric and each cost the methods that no other one beats in both, by cost."""
    fronts: dict[str, dict[str, list[str]]] = {}
    for m in (m for m in found.metrics if m.compares):
        fronts[m.key] = {}
        for cost in COSTS:
            rows = [row for row in found.rows if m.key in row.numbers and cost in row.numbers]
            pairs = [(r.numbers[cost].mean, r.numbers[m.key].mean * (1 if m.lower else -1)) for r in rows]
            fronts[m.key][cost] = [rows[i].label for i in findings.pareto(pairs)]
    return fronts


def status(found: Comparison, notes: Sequence[str] = (), mine: bool = True, bad: bool = False) -> dict[str, Any]:
    """What `drawn.status` shows: what is under way, how long it still takes, or how it ended."""
    busy = found.state in ("running", "stopping")
    lines = [*notes, *([] if mine else ["Somebody else's comparison: to look at. Start one of your own on the left."])]
    if found.state == "stopping":
        lines.append("Stopping after the step under way; what is done stays.")
    elif busy:
        left = f" About {duration(found.remaining_s)} left." if found.remaining_s is not None else ""
        lines.append(f"{found.stage}{left}")
    elif found.state == "finished":
        lines.append(f"Finished in {duration(found.elapsed_s)}.")
    else:
        lines.append(found.sentence)
    return {
        "tone": "bad" if bad or found.state == "failed" else "busy" if busy else "", "lines": lines,
        "done": found.share if busy else None,
    }  # fmt: skip
