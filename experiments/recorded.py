"""Real runs that ship with the lab, so that a newcomer sees a result before training anything.

One JSON-lines file a run in `assets/recorded`: the first line its spec, then its events as stored. Beside that comparison one
run of each method and of each objective on a real model, in `assets/recorded/methods`: its spec and of its events those that
the page draws. One path, in `assets/recorded/path`, a line a stage, kept as those are. One sweep, in `assets/recorded/sweep`:
the first line its spec, then a line a cell, kept as those runs are. Written from a store by `python -m experiments record`,
and so is one comparison; read with the same fold as every other run.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Any

from experiments import analysis, events, methods, objectives
from experiments.analysis import Record
from experiments.comparison import Comparison, fold
from experiments.comparison import table as comparisons
from experiments.specs import RunSpec
from experiments.store import Row, Store
from experiments.sweeps import Progress, SweepSpec, records, table

FOLDER = Path(__file__).parents[1] / "assets" / "recorded"


@cache
def rows(run_id: str) -> tuple[RunSpec, tuple[Row, ...]]:
    """Spec and events of a recorded run. Raises `FileNotFoundError`."""
    if (file := FOLDER / "methods" / f"{run_id}.json").exists():
        return _kept(file.read_text("utf8"))
    first, *rest = (FOLDER / f"{run_id}.jsonl").read_text("utf8").splitlines()
    parsed = [json.loads(line) for line in rest]
    stored = tuple(Row(r["seq"], r["time_s"], events.ADAPTER.validate_python(r["event"])) for r in parsed)
    return RunSpec.model_validate_json(first), stored


def load() -> list[analysis.Record]:
    """The recorded comparison, in the methods' order."""
    return _folded(FOLDER.glob("*.jsonl"))


@cache
def gallery() -> tuple[analysis.Record, ...]:
    """One run of each method on a real model, in the methods' order, then one of each other objective."""
    return tuple(_folded((FOLDER / "methods").glob("*.json")))


def _folded(files: Iterable[Path]) -> list[analysis.Record]:
    """These runs by their objective, then by their method."""
    found = [rows(file.stem) for file in files]
    order = ([objective.key for objective in objectives.OBJECTIVES], [method.key for method in methods.METHODS])
    found.sort(key=lambda pair: (order[0].index(pair[0].objective), order[1].index(pair[0].method)))
    return [analysis.fold(analysis.Record(spec, spec.run_id), stored) for spec, stored in found]


def record_method(store: Store, run_id: str, folder: Path = FOLDER / "methods") -> Path:
    """Write a finished run of the store beside those of the other methods and objectives, in the place of its own earlier one. Raises
    `ValueError` where it has not finished."""
    entry = store.entry(run_id)
    if entry is None or entry.last != "finished":
        raise ValueError(f"Run “{run_id[:40]}” is not a finished run of this store.")
    spec = RunSpec.model_validate_json(entry.spec)
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.glob("*.json"):
        earlier, _ = _kept(old.read_text("utf8"))
        if (earlier.method, earlier.objective) == (spec.method, spec.objective):
            old.unlink()
    target = folder / f"{run_id}.json"
    told = store.events(entry.key)
    target.write_text(_line(spec, _drawn([row.event for row in told]), told[-1].time_s) + "\n", "utf8")
    return target


@cache
def path() -> tuple[analysis.Record, ...]:
    """The recorded path from imitation to rewards, its stages in order."""
    found = [_kept(line) for file in (FOLDER / "path").glob("*.jsonl") for line in file.read_text("utf8").splitlines()]
    return tuple(analysis.fold(analysis.Record(spec, spec.run_id), stored) for spec, stored in found)


def record_path(store: Store, run_id: str, folder: Path = FOLDER / "path") -> Path:
    """Write the stages that end with this run, a line each, in the place of the path of before. Raises `ValueError` where one has not
    finished."""
    lines: list[str] = []
    last = run_id
    while last:
        entry = store.entry(last)
        if entry is None or entry.last != "finished":
            raise ValueError(f"Run “{last[:40]}” is not a finished run of this store.")
        spec, told = RunSpec.model_validate_json(entry.spec), store.events(entry.key)
        lines.insert(0, _line(spec, _drawn([row.event for row in told]), told[-1].time_s))
        last = spec.after
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.glob("*.jsonl"):
        old.unlink()
    target = folder / f"{run_id}.jsonl"
    target.write_text("\n".join(lines) + "\n", "utf8")
    return target


def _line(spec: RunSpec, told: list[dict[str, Any]], at_s: float = 0.0) -> str:
    """A run as JSON: its spec, the events that are drawn, and the Unix time of its end."""
    said = {"spec": spec.model_dump(mode="json"), "at_s": round(at_s), "events": told}
    return json.dumps(said, separators=(",", ":"))


def _kept(line: str) -> tuple[RunSpec, tuple[Row, ...]]:
    """Spec and events of what `_line` wrote."""
    said = json.loads(line)
    told = (
        Row(i, said.get("at_s", 0.0), events.ADAPTER.validate_python(event)) for i, event in enumerate(said["events"])
    )
    return RunSpec.model_validate(said["spec"]), tuple(told)


def record(store: Store, run_id: str, folder: Path = FOLDER) -> Path:
    """Write a finished run of the store into the folder of recorded ones. Raises `ValueError` where it has not finished."""
    entry = store.entry(run_id)
    if entry is None or entry.last != "finished":
        raise ValueError(f"Run “{run_id[:40]}” is not a finished run of this store.")
    lines = [entry.spec]
    for row in store.events(entry.key):
        event = row.event.model_dump(mode="json", exclude_none=True)
        lines.append(json.dumps({"seq": row.seq, "time_s": round(row.time_s, 3), "event": event}))
    folder.mkdir(parents=True, exist_ok=True)
    target = folder / f"{run_id}.jsonl"
    target.write_text("\n".join(lines) + "\n", "utf8")
    return target


# A sweep: dozens of runs, so that what is not drawn of them is left out


@cache
def sweep(folder: Path = FOLDER / "sweep") -> tuple[Progress, dict[str, Record]] | None:
    """The recorded sweep and the records of its runs; None where none ships. Read once, when somebody opens its tab."""
    file = next(iter(sorted(folder.glob("*.jsonl"))), None)
    if file is None:
        return None
    first, *lines = file.read_text("utf8").splitlines()
    found = {}
    for line in lines:
        spec, told = _kept(line)
        found[spec.run_id] = analysis.fold(Record(spec, spec.run_id), told)
    return records.recorded(SweepSpec.model_validate_json(first), list(found.values())), found


def record_sweep(store: Store, sweep_id: str, folder: Path = FOLDER / "sweep") -> Path:
    """Write a finished sweep of the store into the folder of the recorded one. Raises `ValueError` where it has not finished."""
    found = next((row for row in table.everybodys(store, sweep_id) if row.state == "finished"), None)
    if found is None:
        raise ValueError(f"“{sweep_id[:40]}” is not a finished sweep of this store.")
    lines = [found.spec.model_dump_json()]
    for cell in table.cells(store, found.sweep_id, found.owner):
        entry = store.entry(cell.run_id)
        told = _drawn([row.event for row in store.events(entry.key)]) if entry else []
        lines.append(_line(RunSpec.model_validate_json(cell.spec), told))
    folder.mkdir(parents=True, exist_ok=True)
    target = folder / f"{found.sweep_id}.jsonl"
    target.write_text("\n".join(lines) + "\n", "utf8")
    return target


@cache
def comparison() -> Comparison | None:
    """The recorded comparison; None where none ships."""
    file = next(iter(sorted((FOLDER / "comparison").glob("*.json"))), None)
    return Comparison.model_validate_json(file.read_text("utf8")) if file else None


def record_comparison(store: Store, comparison_id: str, folder: Path = FOLDER / "comparison") -> Path:
    """Write a finished comparison of the store into the folder of the recorded one. Raises `ValueError` where it has not finished."""
    row = comparisons.newest(store, comparison_id)
    if row is None or row.state != "finished":
        raise ValueError(f"“{comparison_id[:40]}” is not a finished comparison of this store.")
    folder.mkdir(parents=True, exist_ok=True)
    target = folder / f"{comparison_id}.json"
    target.write_text(
        json.dumps(_short(fold(store, row).model_dump(mode="json")), separators=(",", ":")) + "\n", "utf8"
    )
    return target


def _drawn(told: list[events.Event]) -> list[dict[str, Any]]:
    """Of a run's events those that are drawn of a cell: every number, but only what base and tuned said at the end."""
    said = [e for e in told if isinstance(e, events.Sampled)]
    kept: list[Any] = [next((s for s in said if s.subject == "base"), None), said[-1] if said else None]
    tried = [e for e in told if isinstance(e, events.Grouped)]
    kept.append(next((g for g in reversed(tried) if len(set(g.rewards)) > 1), None))
    numbers = (events.Started, events.Stepped, events.Evaluated, events.Failed, events.Finished)
    chosen = [e for e in told if isinstance(e, numbers) or any(e is k for k in kept)]
    return [_short(e.model_dump(mode="json", exclude_none=True)) for e in chosen]


def _short(value: Any) -> Any:
    """The same with numbers of five digits."""
    if isinstance(value, dict):
        return {key: _short(part) for key, part in value.items()}
    if isinstance(value, list):
        return [_short(part) for part in value]
    return float(f"{value:.5g}") if isinstance(value, float) else value
