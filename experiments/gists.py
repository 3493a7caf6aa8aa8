"""The gist of a run: one flat row of what it was and what it brought, for lists of thousands.

Made by the one fold of `analysis` from the few events that matter, and kept in the store once the run has ended. A gist
can always be made anew from the events; `VERSION` is raised when its fields change.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from experiments import analysis, events
from experiments.catalog import tasks
from experiments.specs import RunSpec
from experiments.store import Entry, Key, Row, Store

VERSION = 1
TELLING = """SELECT seq, time_s, body FROM events WHERE run_id = :run AND attempt = :attempt AND (
    kind IN ('started', 'evaluated', 'finished', 'failed', 'cancelled', 'interrupted') OR seq IN (
        SELECT MIN(seq) FROM events WHERE run_id = :run AND attempt = :attempt AND kind = 'stepped' UNION
        SELECT MAX(seq) FROM events WHERE run_id = :run AND attempt = :attempt AND kind = 'stepped')) ORDER BY seq"""

Gist = dict[str, Any]


def gists(store: Store, entries: Sequence[Entry]) -> list[Gist]:
    """A gist for each entry. Those of runs that have ended are kept, so that they are made once."""
    kept = _kept(store, [entry.key for entry in entries if entry.ended])
    made = {entry.key: make(entry, _telling(store, entry.key)) for entry in entries if entry.key not in kept}
    keep(store, {entry.key: made[entry.key] for entry in entries if entry.ended and entry.key in made})
    return [kept.get(entry.key) or made[entry.key] for entry in entries]


def _kept(store: Store, keys: Sequence[Key]) -> dict[Key, Gist]:
    wanted = set(keys)
    if not wanted:
        return {}
    if len(wanted) < 50:  # a few by their key, many by one pass
        where = "WHERE run_id = ? AND attempt = ?"
        rows: Iterable[Any] = (
            r for key in wanted for r in store.connection.execute(f"SELECT * FROM gists {where}", key)
        )
    else:
        rows = store.connection.execute("SELECT run_id, attempt, body FROM gists")
    found = {key: json.loads(body) for run_id, attempt, body in rows if (key := Key(run_id, attempt)) in wanted}
    return {key: gist for key, gist in found.items() if gist.pop("version", None) == VERSION}


def keep(store: Store, made: Mapping[Key, Gist]) -> None:
    """Put gists of runs that have ended into the store."""
    if made:
        rows = [(*key, json.dumps({**gist, "version": VERSION})) for key, gist in made.items()]
        store.connection.execute("BEGIN IMMEDIATE")
        store.connection.executemany("INSERT OR REPLACE INTO gists VALUES (?, ?, ?)", rows)
        store.connection.execute("COMMIT")


def _telling(store: Store, key: Key) -> list[Row]:
    """The events a gist is made of: no samples, of the steps only the first and the last."""
    rows = store.connection.execute(TELLING, {"run": key.run_id, "attempt": key.attempt})
    return [Row(seq, time_s, events.parse(body)) for seq, time_s, body in rows]


def make(entry: Entry, rows: Iterable[Row]) -> Gist:
    """The gist of one entry from its telling events."""
    try:
        spec = RunSpec.model_validate_json(entry.spec)
    except ValueError:  # of a task or method that is not there any more: it is still listed
        return _asked(json.loads(entry.spec)) | {"status": entry.last}
    record = analysis.fold(analysis.Record(spec, *entry.key), rows)
    return of_record(record) | ({"status": entry.last} if entry.ended or entry.last == "queued" else {})


def of_record(record: analysis.Record) -> Gist:
    """The gist of a record, whole or folded from its telling events."""
    asked = _asked(record.spec.model_dump(mode="json"))
    return asked | {"status": record.status} | _brought(record)


def _asked(spec: Mapping[str, Any]) -> Gist:
    train = dict(spec.get("train") or {})
    names = ("model", "task", "method", "seed")
    return {**{n: spec.get(n) for n in names}, **train, "settings": dict(spec.get("settings") or {})}


def _brought(record: analysis.Record) -> Gist:
    started, finished, last = record.started, record.finished, record.steps[-1] if record.steps else None
    look = next((e for e in reversed(record.held_out) if e.held_out_loss is not None), None)
    metric = tasks.find(record.spec.task).metrics[0]
    return {
        "step": last.step if last else 0,
        "loss": last.loss if last else None,
        "base_held_out": record.base.held_out_loss if record.base else None,
        "held_out": look.held_out_loss if look else None,
        "metric": metric.label,
        "base_score": record.metric("base", metric.key),
        "score": record.metric("tuned", metric.key),
        "forgetting": record.forgetting,
        "trainable": started.trainable if started else None,
        "total": started.total if started else None,
        "step_s": record.seconds_per_step,
        "train_s": last.train_s if last else None,
        "peak_mb": finished.peak_mb if finished else None,
        "adapter_bytes": finished.adapter_bytes if finished else 0,
        "cause": record.cause,
    }
