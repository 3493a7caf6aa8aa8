"""The shelf as the page draws it: packed rows, and what is said of the runs that were selected. Pure functions.

Rows travel as one JSON string: Gradio walks through every list and dict that it sends, which for thousands of runs takes
longer than all else; a string it leaves alone.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

from experiments import differences, methods, shelf
from experiments.analysis import Record
from experiments.gists import of_record
from experiments.store import Entry, Key
from lab_app import charts, tables

FIELDS = (
    "run_id", "attempt", "origin", "name", "note", "pinned", "created_s", "status", "method", "title", "settings", "task",
    "model", "seed", "steps", "step", "loss", "base_held_out", "held_out", "metric", "base_score", "score", "forgetting",
    "trainable", "step_s", "peak_mb",
)  # fmt: skip


def pack(items: Sequence[shelf.Item]) -> str:
    """Rows of `FIELDS`, each with an object of its other fields at the end, to filter by."""
    rows = [_row(item) for item in items]
    return json.dumps({"fields": FIELDS, "rows": rows}, separators=(",", ":"))


def _row(item: shelf.Item) -> list[Any]:
    key, gist, flat = item.entry.key, item.gist, shelf.flat(item)
    flat |= {
        "run_id": key.run_id, "attempt": key.attempt, "origin": item.origin, "created_s": round(item.entry.created_s),
        "name": item.name, "note": item.note, "pinned": item.pinned, "title": _title(gist["method"]),
        "settings": settings(gist),
    }  # fmt: skip
    head = [_short(flat.pop(field, None)) for field in FIELDS]
    return [*head, {name: _short(value) for name, value in flat.items() if value not in (None, "")}]


def _short(value: Any) -> Any:
    return float(f"{value:.5g}") if isinstance(value, float) else value


def _title(key: Any) -> str:
    try:
        return methods.find(str(key)).title
    except ValueError:
        return str(key)


def settings(gist: Mapping[str, Any]) -> str:
    """The settings that are not the method's own: “rank 16, alpha 32”; "" where all are."""
    usual = _usual(str(gist["method"]))
    own = {name: value for name, value in gist["settings"].items() if usual.get(name) != value}
    return ", ".join(f"{name.replace('_', ' ')} {differences.show(name, value)}" for name, value in own.items())


@cache
def _usual(method: str) -> dict[str, Any]:
    try:
        return dict(methods.find(method).Settings().model_dump(mode="json"))
    except ValueError:
        return {}


def recorded(records: Sequence[Record]) -> list[shelf.Item]:
    """The recorded runs as items of the shelf."""
    return [
        shelf.Item(Entry(Key(r.run_id, r.attempt), "train", "", r.ended_s or 0.0, r.status), "recorded", of_record(r))
        for r in records
    ]


def detail(records: Sequence[Record], mine: bool, kept: tuple[str, str, bool]) -> dict[str, Any]:
    """What stands below the table: what differs in one sentence, settings side by side, name and note of one's own.

    `mine` and `kept` (name, note, pin) are of the run where one alone is selected.
    """
    lines = differences.side_by_side([record.spec for record in records])
    labels = charts.names(records)
    unequal = [line for line in lines if not line.equal]
    equal = [line for line in lines if line.equal]
    return {
        "runs": [record.run_id for record in records],
        "labels": labels,
        "sentence": differences.sentence([record.spec for record in records]),
        "cause": records[0].cause if len(records) == 1 else "",
        "mine": mine,
        "name": kept[0],
        "note": kept[1],
        "adapter": bool(len(records) == 1 and records[0].finished and records[0].finished.adapter_path),
        "different": _table(unequal, records, labels),
        "equal": _table(equal, records[:1], ["value"]),
    }


def _table(lines: Sequence[differences.Line], records: Sequence[Record], labels: Sequence[str]) -> dict[str, Any]:
    columns = [tables.column("setting", number=False), *(tables.column(label, number=False) for label in labels)]
    rows = [{"cells": [line.title, *(_value(line, value) for value in line.values[: len(records)])]} for line in lines]
    return {"columns": columns, "rows": rows}


def _value(line: differences.Line, value: Any) -> str:
    return tables.NONE if value is None else differences.show(line.place, value)
