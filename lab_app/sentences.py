"""What the page says about runs: plain sentences from snapshots and records. Pure functions."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from experiments import advice, events, methods
from experiments.analysis import Record, verdict
from experiments.catalog import models, tasks
from experiments.estimates import Estimate
from experiments.specs import RunSpec
from lab_app.charts import names
from lab_app.live import Snapshot, key_of
from lab_app.tables import share

PUT_RIGHT = "Put right what is marked above; then the cost is shown here."


def status(snapshot: Snapshot, notes: Sequence[str] = (), bad: bool = False) -> dict[str, Any]:
    """What `drawn.Status` shows of a view."""
    records = snapshot.records
    bad = bad or any(r.status in ("failed", "interrupted") for r in records)
    lines = [*notes, *_ends(snapshot), *filter(None, (_now(snapshot), snapshot.ended and verdict(records)))]
    lines += [against] if (against := packed_against_plain(records)) else []
    return {"tone": "bad" if bad else "" if snapshot.ended else "busy", "lines": lines, "done": done(records)}


def done(records: Sequence[Record]) -> float | None:
    """The share of the work that is done, None once there is nothing to wait for."""
    active = [r for r in records if not r.ended]
    if not active:
        return None
    if (progress := active[0].progress) and progress.total:
        return min(1.0, progress.done / progress.total)
    total = sum(r.spec.train.steps for r in records) or 1
    return min(1.0, sum(r.steps[-1].step for r in records if r.steps) / total)


def _now(snapshot: Snapshot) -> str:
    """What goes on this moment."""
    active = [r for r in snapshot.records if not r.ended]
    if not active:
        return ""
    if snapshot.leaving:
        return "Stopping after the step under way."
    if snapshot.waiting:
        return f"Waiting: {snapshot.waiting} before you."
    if progress := next((r.progress for r in active if r.progress), None):
        return preparing(progress)
    running = [r for r in active if r.status == "running"]
    if not running:
        return "Starting."
    return _running(running)


def preparing(progress: events.Progress) -> str:
    """How far the work before the first step is."""
    if progress.unit == "bytes":
        of = f" of {progress.total / 1e6:,.0f}" if progress.total else ""
        return f"{progress.stage}: {progress.done / 1e6:,.0f}{of} MB."
    if progress.total:
        return f"{progress.stage}: {progress.done:,} of {progress.total:,} {progress.unit}".rstrip() + "."
    return f"{progress.stage}."


def _running(running: Sequence[Record]) -> str:
    at = {r.steps[-1].step if r.steps else 0 for r in running}
    steps = {r.spec.train.steps for r in running if r.method.trains}
    if not any(steps) or all(r.steps and r.steps[-1].step == r.spec.train.steps for r in running if r.method.trains):
        return "Asking the held-out questions."
    if at == {0}:
        return "Measuring the model before the first step."
    left = sum(
        (r.spec.train.steps - (r.steps[-1].step if r.steps else 0)) * (r.seconds_per_step or 0.0) for r in running
    )
    where = (
        f"Step {max(at)} of {max(steps)}"
        if len(running) == 1
        else f"Step {max(at)} of {max(steps)} for {len(running)} methods"
    )
    return f"{where}; about {duration(left)} of training left, then the held-out questions."


def _ends(snapshot: Snapshot) -> list[str]:
    """How each run that has ended did; those that ended alike share a sentence."""
    labels = names(snapshot.records)
    found: dict[str, list[str]] = {}
    for record, name in zip(snapshot.records, labels, strict=True):
        if sentence := _end(record, key_of(record) in snapshot.mine):
            found.setdefault(sentence, []).append(name)
        elif not record.ended and key_of(record) in snapshot.mine - snapshot.wanted and not snapshot.leaving:
            found.setdefault("You left; others who started the same run still want it, so it goes on.", []).append(name)
    alone = len(snapshot.records) == 1
    return [sentence if alone else f"{', '.join(who)}: {sentence}" for sentence, who in found.items()]


def _end(record: Record, mine: bool) -> str:
    step = record.steps[-1].step if record.steps else 0
    match record.status:
        case "cancelled":
            return f"Stopped by {'you' if mine else 'the one who started it'} at step {step}."
        case "failed":
            return f"Failed at step {step}: {record.cause} {record.advice}".strip()
        case "interrupted":
            return f"Interrupted at step {step}: {record.cause} Press Start again: it goes on from its last checkpoint."
    return " ".join(found.sentence for found in advice.after(record))


def packed_against_plain(records: Sequence[Record]) -> str:
    """What packing the base costs in time, beside LoRA on the base as it is; empty where not both have finished."""
    took = {r.spec.method: r.seconds_per_step for r in records if r.status == "finished" and r.seconds_per_step}
    if not {"lora", "qlora"} <= took.keys():
        return ""
    return f"A step of QLoRA took {took['qlora'] / took['lora']:.1f} × one of LoRA here: packed weights are unpacked at each use."


def shared(created_s: float, state: str) -> str:
    """Said of a run that was not started just now."""
    at = time.strftime("%H:%M", time.localtime(created_s))
    if time.strftime("%j%Y", time.localtime(created_s)) != time.strftime("%j%Y"):
        at = time.strftime("%d %B, ", time.localtime(created_s)).lstrip("0") + at
    if state == "shared":
        return f"The same run was started at {at}; you watch it together."
    return f"Same as a run of {at}, shown again."


def fold_title(key: str, summary: str, wrong: bool) -> str:
    """The title of a method's form: its values, and whether one of them needs a look."""
    title = methods.find(key).title + (f": {summary}" if summary else "")
    return f"{title} — needs a look" if wrong else title


def about_model(entry: models.ModelEntry | None, speed: str | None, fetching: str = "") -> str:
    """Facts of a model, in one line. `fetching`: how far its fetching is, where one was begun."""
    if entry is None:
        return ""
    facts = [entry.summary]
    if entry.parameters:
        facts.append(f"{entry.parameters:,} parameters.")
    if not models.is_ready(entry):
        facts.append(fetching or "It is fetched when the first run starts.")
    if speed:
        facts.append(f"Takes {speed}.")
    return " ".join(facts)


def about_task(key: str) -> str:
    return tasks.find(key).summary if key in {t.key for t in tasks.TASKS} else ""


def costs(found: Sequence[tuple[RunSpec, Estimate, float | None]]) -> tuple[list[tuple[str, str]], str]:
    """What a start would take, of specs with their estimate and foretold peak in MB: (method, what it trains and its peak) a line,
    and the time."""
    titles = [methods.find(spec.method).title for spec, _, _ in found]
    lines = [_trains(spec, estimate) + _peak(estimate, foretold_mb) for spec, estimate, foretold_mb in found]
    return list(zip(titles, lines, strict=True)), takes(list(zip(titles, (e for _, e, _ in found), strict=True)))


def takes(each: Sequence[tuple[str, Estimate]]) -> str:
    """Seconds of all of these, by name, and of each where there are several."""
    seconds = [(name, estimate.seconds) for name, estimate in each if estimate.seconds is not None]
    if len(seconds) < len(each):
        return "How long it takes is known after the first run of this model here."
    apart = ": " + ", ".join(f"{name} {duration(s)}" for name, s in seconds) if len(seconds) > 1 else ""
    basis = ", ".join(dict.fromkeys(estimate.basis for _, estimate in each))
    return f"About {duration(sum(s for _, s in seconds))}{apart} ({basis})."


def _trains(spec: RunSpec, estimate: Estimate) -> str:
    if not methods.find(spec.method).trains:
        return " trains nothing."
    if estimate.trainable is None or estimate.total is None:
        return ": counted once the model is here."
    part = share(estimate.trainable, estimate.total)
    why = f" That is {estimate.formula}." if estimate.formula else ""
    return f" trains {estimate.trainable:,} of {estimate.total:,} parameters ({part} %).{why}"


def _peak(estimate: Estimate, foretold_mb: float | None) -> str:
    """What was measured beats what was foretold."""
    if estimate.peak_mb is not None:
        return f" Needs {estimate.peak_mb:,.0f} MB of memory at its highest (measured in two steps)."
    return f" Needs about {foretold_mb:,.0f} MB of memory at its highest (calculated)." if foretold_mb else ""


def duration(seconds: float) -> str:
    """40 s, 3 min, 1 h 20 min."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"
