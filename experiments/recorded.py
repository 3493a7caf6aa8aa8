"""Real runs that ship with the lab, so that a newcomer sees a result before training anything.

One JSON-lines file a run in `assets/recorded`: the first line its spec, then its events as stored. Written from a store by
`python -m experiments record`, read with the same fold as every other run.
"""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path

from experiments import analysis, events
from experiments.specs import RunSpec
from experiments.store import Row, Store

FOLDER = Path(__file__).parents[1] / "assets" / "recorded"


@cache
def rows(run_id: str) -> tuple[RunSpec, tuple[Row, ...]]:
    """Spec and events of a recorded run. Raises `FileNotFoundError`."""
    first, *rest = (FOLDER / f"{run_id}.jsonl").read_text("utf8").splitlines()
    parsed = [json.loads(line) for line in rest]
    stored = tuple(Row(r["seq"], r["time_s"], events.ADAPTER.validate_python(r["event"])) for r in parsed)
    return RunSpec.model_validate_json(first), stored


def load() -> list[analysis.Record]:
    """The recorded comparison, in the order it was trained."""
    found = [rows(file.stem) for file in FOLDER.glob("*.jsonl")]
    found.sort(key=lambda pair: pair[1][0].time_s)
    return [analysis.fold(analysis.Record(spec, spec.run_id), stored) for spec, stored in found]


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
