"""What the lab itself measured, beside what the calculator says: its speed in training, and the peaks of its runs."""

from __future__ import annotations

from functools import cache
from typing import Any

from experiments import analysis, estimates, fitting, methods, objectives
from experiments.accounting import compute
from experiments.accounting.memory import Load
from experiments.analysis import Record
from experiments.catalog import models
from experiments.store import Store
from lab_app.calculator_costs import Speed
from lab_app.lab import Lab
from lab_app.tables import column

LATEST = 12
LONGEST = 1.25  # the batch at which a peak is measured holds longer rows than the mean one


def speeds(store: Store) -> tuple[Speed, ...]:
    """What training computes here, from the two measured steps of each model of the lab that has trained (LoRA, 4 × 64 tokens)."""
    found = []
    for entry in models.available():
        weights = estimates.ready_weights(entry)
        a_token: Any = store.recall(estimates.speed_key(weights, "lora")) if weights else None
        if weights and a_token and (known := _measured_step(entry.key, weights)):
            found.append(Speed(entry.title, known[0], known[1] / (a_token * 4 * 64)))
    return tuple(found)


@cache
def _measured_step(key: str, weights: str) -> tuple[int, float] | None:
    """Parameters of a model whose weights are here, and operations of the step that is measured on it."""
    arch = models.arch(models.find(key, local=True))
    if arch is None:
        return None
    lora, load = methods.find("lora"), Load(batch_size=4, tokens=64, learnt=100 * 24 / 64)
    return arch.total, compute.flops(arch, lora, lora.Settings(), load).total


def runs(lab: Lab) -> dict[str, Any]:
    """The latest finished runs of this lab and the recorded ones: predicted and measured peak side by side."""
    stored = [
        record for entry in lab.store.entries("train", limit=LATEST) if (record := analysis.load(lab.store, *entry.key))
    ]
    rows = [row for record in (*stored, *lab.shipped) if (row := _row(record))]
    labels = (
        ("run", ""),
        ("method", ""),
        ("rows × tokens", ""),
        ("predicted", "MB"),
        ("measured", "MB"),
        ("error", "%"),
    )
    columns = [column(label, unit, number=i > 1) for i, (label, unit) in enumerate(labels)]
    note = "Predicted from the architecture alone: the rows' mean length and a quarter for the longest batch, half of it learnt."
    return {"caption": "Peak memory of runs of this lab", "columns": columns, "rows": rows[:LATEST], "note": note}


def _row(record: Record) -> dict[str, Any] | None:
    finished, spec = record.finished, record.spec
    if finished is None or not finished.peak_mb or not record.steps:
        return None
    try:
        arch = models.arch(models.find(spec.model, local=True))
    except ValueError:
        return None
    if arch is None:
        return None
    objective = objectives.find(spec.objective)
    answers = objective.kept(spec.train.batch_size, spec.goal)
    tokens = max(round(LONGEST * record.steps[-1].tokens / record.steps[-1].step / answers), 1)
    predicted = fitting.peak_mb(spec, arch, tokens)
    error = 100 * (predicted - finished.peak_mb) / finished.peak_mb
    cells = [
        record.run_id,
        record.method.title + (f", {objective.key}" if objective.is_trls else ""),
        f"{answers} × {tokens}",
        f"{predicted:,.0f}",
        f"{finished.peak_mb:,.0f}",
        f"{error:+.0f}",
    ]
    return {"method": spec.method, "cells": cells}
