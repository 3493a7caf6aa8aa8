"""From events to records and from records to rows: one fold for the live chart, the stored run, the tables and the CLI.

No plotting and no reading of files here.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean
from typing import Any, get_args

from experiments import advice, events, methods
from experiments.catalog import tasks
from experiments.methods.lora_mix import Way
from experiments.specs import RunSpec


@dataclass
class Record:
    """A run as far as its events tell. Built by `fold`; every value not measured yet is None."""

    spec: RunSpec
    run_id: str
    attempt: int = 1
    status: str = "queued"
    seen: int = -1
    """Number of the last event folded in."""
    progress: events.Progress | None = None
    started: events.Started | None = None
    steps: list[events.Stepped] = field(default_factory=list)
    groups: list[events.Grouped] = field(default_factory=list)
    held_out: list[events.Evaluated] = field(default_factory=list)
    """Looks at the run's own model along the way, by step."""
    base: events.Evaluated | None = None
    judged: dict[str, events.Judged] = field(default_factory=dict)
    """Base and tuned row by row, by subject, where the run looked thoroughly."""
    samples: list[events.Sampled] = field(default_factory=list)
    finished: events.Finished | None = None
    cause: str = ""
    advice: str = ""
    ended_s: float | None = None

    @property
    def method(self) -> methods.Method:
        return methods.find(self.spec.method)

    @property
    def ended(self) -> bool:
        return self.status in ("finished", "failed", "cancelled", "interrupted")

    @property
    def tuned(self) -> events.Evaluated | None:
        """The last look, the one with the task's metrics where the run got that far."""
        return self.held_out[-1] if self.held_out else None

    @property
    def seconds_per_step(self) -> float | None:
        """Mean over the steps after the first, which warms up; of the first where there is no other."""
        if len(self.steps) > 1:
            first, last = self.steps[0], self.steps[-1]
            return (last.train_s - first.train_s) / (last.step - first.step)
        return self.steps[0].train_s if self.steps else None

    @property
    def forgetting(self) -> float | None:
        """Loss on general text, tuned minus base, nats a token: above zero something was forgotten."""
        if self.tuned is None or self.base is None:
            return None
        if self.tuned.general_loss is None or self.base.general_loss is None:
            return None
        return self.tuned.general_loss - self.base.general_loss

    def metric(self, subject: str, key: str) -> float | None:
        look = self.base if subject == "base" else self.tuned
        return (look.metrics or {}).get(key) if look else None


def fold(record: Record, rows: Iterable[Any]) -> Record:
    """Add stored rows to a record, in place, and return it. Rows that were folded before are passed over."""
    for row in rows:
        if row.seq > record.seen:
            record.seen = row.seq
            _add(record, row.event, row.time_s)
    return record


def _add(record: Record, event: events.Event, time_s: float) -> None:
    match event:
        case events.Progress():
            record.status, record.progress = "preparing", event
        case events.Started():
            record.status, record.progress, record.started = "running", None, event
        case events.Stepped():
            record.steps.append(event)
        case events.Grouped():
            record.groups.append(event)
        case events.Evaluated(subject="base"):
            record.base = event
        case events.Evaluated():
            record.held_out.append(event)
        case events.Judged():
            record.judged[event.subject] = event
        case events.Sampled():
            record.samples.append(event)
        case events.Finished():
            record.status, record.finished, record.ended_s = "finished", event, time_s
        case events.Failed():
            record.status, record.cause, record.advice, record.ended_s = "failed", event.cause, event.advice, time_s
        case events.Cancelled():
            record.status, record.ended_s = "cancelled", time_s
            record.cause = f"Stopped at step {event.step}."
        case events.Interrupted():
            record.status, record.cause, record.ended_s = "interrupted", event.cause, time_s


def load(store: Any, run_id: str, attempt: int | None = None) -> Record | None:
    """The record of a stored run, its latest attempt by default; None where there is none, or where its task is gone."""
    entry = store.entry(run_id, attempt)
    if entry is None or entry.kind != "train":
        return None
    try:
        spec = RunSpec.model_validate_json(entry.spec)
    except ValueError:
        return None
    return fold(Record(spec, entry.key.run_id, entry.key.attempt), store.events(entry.key))


def lowest_mix(found: Iterable[events.Mixed]) -> tuple[Way, float] | None:
    """The way of mixing with the lowest held-out loss, as a mean over all tasks, and that mean; None where no mix gave a number."""
    losses: dict[Way, list[float | None]] = {}
    for look in found:
        if look.name in get_args(Way):
            losses.setdefault(look.name, []).append(look.held_out_loss)  # type: ignore[arg-type]
    means = {way: fmean(each) for way, each in losses.items() if None not in each}  # type: ignore[arg-type]
    return min(means.items(), key=lambda one: one[1]) if means else None


def summary(record: Record, home: Path) -> dict[str, Any]:
    """A record as one JSON object: what `python -m experiments run --json` prints; the adapter's path is under `home`."""
    tuned, base, started, finished = record.tuned, record.base, record.started, record.finished
    return {
        "run_id": record.run_id,
        "attempt": record.attempt,
        "status": record.status,
        "cause": record.cause or None,
        "spec": record.spec.model_dump(mode="json"),
        "trainable": started.trainable if started else None,
        "total": started.total if started else None,
        "resumed_at": started.resumed_at if started else None,
        "stopped_at": finished.stopped_at if finished else None,
        "context_tokens": started.context_tokens if started else None,
        "curve": [{"step": s.step, "loss": s.loss, **(s.measures or {})} for s in record.steps],
        "held_out": [{"step": e.step, "loss": e.held_out_loss} for e in record.held_out],
        "metrics": {
            "base": base.metrics if base else None,
            "tuned": tuned.metrics if tuned else None,
            "baselines": base.baselines if base else None,
        },
        "generation": tuned.generation.model_dump() if tuned and tuned.generation else None,
        "general_loss": {"base": base.general_loss if base else None, "tuned": tuned.general_loss if tuned else None},
        "forgetting": record.forgetting,
        "advice": [
            {"when": when, "field": a.field, "sentence": a.sentence}
            for when, found in (("before", advice.before(record.spec)), ("after", advice.after(record)))
            for a in found
        ],
        "samples": [s.model_dump(mode="json", exclude={"kind"}) for s in record.samples],
        "seconds_per_step": record.seconds_per_step,
        "train_s": record.steps[-1].train_s if record.steps else 0.0,
        "elapsed_s": finished.elapsed_s if finished else None,
        "peak_mb": finished.peak_mb if finished else None,
        "adapter_path": str(home / finished.adapter_path) if finished and finished.adapter_path else None,
        "adapter_bytes": finished.adapter_bytes if finished else None,
        "versions": started.versions if started else None,
    }


def verdict(records: Sequence[Record]) -> str:
    """One sentence on a finished comparison: which method led on the task's first metric and what it cost."""
    done = [r for r in records if r.status == "finished" and r.tuned and r.tuned.metrics and r.method.trains]
    if not done:
        return ""
    metric = tasks.find(done[0].spec.task).metrics[0]
    scores = {r.run_id: r.metric("tuned", metric.key) for r in done}
    best = max(done, key=lambda r: (scores[r.run_id] or 0.0) * (1 if metric.higher_is_better else -1))
    base = best.metric("base", metric.key)
    start = f"{best.method.title} reached {metric.label.lower()} {scores[best.run_id]:.0f} {metric.unit}".strip()
    return start + (f", from {base:.0f} for the base." if base is not None else ".")
