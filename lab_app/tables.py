"""Records to table rows and answer cards: pure functions, drawn by `drawn.Table` and `drawn.Answers`."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Sequence
from typing import Any

from experiments import events
from experiments.analysis import Record
from experiments.catalog import tasks
from lab_app.charts import names

NONE = "–"
ARROW = " → "
WITHOUT_MODEL = {"echo": "echo of the prompt", "majority": "always the commoner answer"}
"""What the baselines of tasks are called; another one by its key."""


def column(label: str, unit: str = "", help: str = "", number: bool = True) -> dict[str, Any]:
    return {"label": label, "unit": unit, "help": help, "number": number}


def shown(value: float | None, digits: int = 0) -> str:
    """A number with thousands separators, or a dash where nothing was measured."""
    return NONE if value is None else f"{value:,.{digits}f}"


def share(part: int, whole: int) -> str:
    """A percentage with two sensible digits: 0.34, 12, 100."""
    percent = 100 * part / whole if whole else 0.0
    return f"{percent:.0f}" if percent >= 10 or not percent else f"{percent:.2g}"


def span(before: float | None, after: float | None, digits: int) -> str:
    """Base → tuned; one of them alone as long as the other is not measured."""
    if before is None or after is None:
        return shown(after if before is None else before, digits)
    return shown(before, digits) + ARROW + shown(after, digits)


def state(record: Record) -> str:
    """Where a run stands, in two or three words."""
    at = record.steps[-1].step if record.steps else 0
    return {
        "queued": "waiting",
        "preparing": "preparing",
        "running": f"step {at} of {record.spec.train.steps}",
        "cancelled": f"stopped at {at}",
        "failed": f"failed at {at}",
        "interrupted": f"interrupted at {at}",
    }.get(record.status, record.status)


def results(records: Sequence[Record]) -> dict[str, Any]:
    """The comparison as a table, one row a run."""
    metrics = tasks.metrics(records[0].spec) if records else ()
    columns = [
        column("method", number=False),
        column("state", number=False),
        column("trainable", "parameters", "How many numbers the method may change."),
        column("share", "%", "Trainable parameters as a share of all parameters of the model with the method."),
        column("step time", "s", "Mean time of a training step after the first."),
        column(
            "peak memory",
            "MB",
            "The most memory the run needed: the resting process, its own tensors, one step on top.",
        ),
        column("held-out loss", "nats a token", "Base → tuned, on rows that were not trained on. Lower is better."),
        *(column(m.label.lower(), m.unit, f"{m.help} Base → tuned.") for m in metrics),
        column("forgetting", "nats a token", "Rise of the loss on general text. Above 0: something was forgotten."),
        column("adapter", "MB", "What must be stored and shared beside the base model."),
    ]
    rows = [
        {"method": r.spec.method, "cells": _cells(r, name, metrics)}
        for r, name in zip(records, names(records), strict=True)
    ]
    rows += _without_model(records, metrics, len(columns))
    return {"caption": "What each method cost and what it brought", "columns": columns, "rows": rows}


def _cells(record: Record, name: str, metrics: Sequence[tasks.Metric]) -> list[str]:
    started, finished = record.started, record.finished
    base, last = record.base, next((e for e in reversed(record.held_out) if e.held_out_loss is not None), None)
    return [
        name,
        state(record),
        shown(started.trainable if started else None),
        share(started.trainable, started.total) if started else NONE,
        shown(record.seconds_per_step, 2),
        shown(finished.peak_mb if finished else None),
        span(base.held_out_loss if base else None, last.held_out_loss if last else None, 2),
        *(span(record.metric("base", m.key), record.metric("tuned", m.key), 0) for m in metrics),
        NONE if record.forgetting is None else f"{round(record.forgetting, 2) or 0.0:+.2f}",
        shown(finished.adapter_bytes / 1e6, 2) if finished and finished.adapter_bytes else NONE,
    ]


def _without_model(records: Sequence[Record], metrics: Sequence[tasks.Metric], width: int) -> list[dict[str, Any]]:
    """A row for each way to do without a model: what a tuned one has to beat, beside the base."""
    found = next((r.base.baselines for r in records if r.base and r.base.baselines), {})
    rows = []
    for key, scores in found.items():
        told = [shown(scores.get(m.key)) for m in metrics]
        before = [WITHOUT_MODEL.get(key, key), "no model"] + [NONE] * 5
        rows.append({"method": "", "cells": [*before, *told, *[NONE] * (width - len(before) - len(told))]})
    return rows


def example_rows(rows: Iterable[tasks.Row]) -> dict[str, Any]:
    """A few rows of a task; of pairs both answers."""
    some = list(rows)
    if pairs := [row for row in some if isinstance(row, tasks.Pair)]:
        columns = [
            column("prompt", number=False),
            column("better answer", number=False),
            column("worse answer", number=False),
        ]
        return {"columns": columns, "rows": [{"cells": [row.prompt, row.completion, row.rejected]} for row in pairs]}
    columns = [column("prompt", number=False), column("answer to learn", number=False)]
    return {"columns": columns, "rows": [{"cells": [row.prompt, row.completion]} for row in some]}


def marks(base: str, other: str) -> list[list[int]]:
    """Ranges of characters in `other` whose words are not in `base` at that place: what to mark."""
    words = [(m.group(), m.start(), m.end()) for m in re.finditer(r"\S+", other)]
    matcher = difflib.SequenceMatcher(None, base.split(), [w for w, _, _ in words], autojunk=False)
    ranges = []
    for tag, _, _, first, end in matcher.get_opcodes():
        if tag in ("replace", "insert") and end > first:
            ranges.append([words[first][1], words[end - 1][2]])
    return ranges


def answer(name: str, method: str, text: str, state: str = "", base: str | None = None) -> dict[str, Any]:
    """One column of a card; with `base`, the words that differ from it are marked."""
    ranges = marks(base, text) if base is not None else []
    return {"name": name, "method": method, "state": state, "text": text, "marks": ranges, "earlier": []}


def samples(records: Sequence[Record]) -> dict[str, Any]:
    """What base and tuned say to the task's probe prompts, the newest answer first in each column."""
    prompts = list(dict.fromkeys(a.prompt for r in records for s in r.samples for a in s.answers))
    return {"cards": [_card(prompt, records) for prompt in prompts]}


def _card(prompt: str, records: Sequence[Record]) -> dict[str, Any]:
    base = next((said[-1][1] for r in records if (said := _said(r, "base", prompt))), None)
    columns = [] if base is None else [answer("base", "base", base.answer)]
    for record, name in zip(records, names(records), strict=True):
        if record.method.trains and (said := _said(record, "tuned", prompt)):
            (step, newest), earlier = said[-1], said[:-1]
            new = answer(name, record.spec.method, newest.answer, f"step {step}", base.answer if base else None)
            new["earlier"] = [{"state": f"step {at}", "text": old.answer} for at, old in reversed(earlier)]
            columns.append(new)
    reference = base.reference if base else None
    return {"prompt": prompt, "note": f"Written for the task: {reference}" if reference else "", "columns": columns}


def _said(record: Record, subject: str, prompt: str) -> list[tuple[int, events.Answer]]:
    return [(s.step, a) for s in record.samples if s.subject == subject for a in s.answers if a.prompt == prompt]
