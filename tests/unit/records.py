"""Records as if their events had come from a store."""

from __future__ import annotations

from experiments import events, specs
from experiments.analysis import Record
from experiments.specs import RunSpec


def record(method: str, **train) -> Record:
    """A run that was asked for and has not begun."""
    spec = specs.build(RunSpec, {"model": "any", "task": "pirate", "method": method, "train": train})
    return Record(spec, spec.run_id)


def step(number: int, loss: float | None) -> events.Stepped:
    return events.Stepped(
        step=number, loss=loss, gradient_norm=1.0, learning_rate=1e-3, tokens=360 * number, train_s=0.5 * number
    )


def running(method: str, losses: list[float | None], **train) -> Record:
    run = record(method, **train)
    run.status = "running"
    run.started = events.Started(
        trainable=460_800, total=134_975_808, rows=140, device="cpu", threads=2, resting_mb=700, versions={}
    )
    run.steps = [step(i, loss) for i, loss in enumerate(losses, start=1)]
    return run


def finished(method: str) -> Record:
    run = running(method, [3.0 - 0.05 * i for i in range(40)])
    run.status, run.ended_s = "finished", 1_700_000_000.0
    run.base = events.Evaluated(
        subject="base", step=0, held_out_loss=3.1, general_loss=2.9, metrics={"style": 12.0, "facts": 50.0}
    )
    run.held_out = [
        events.Evaluated(subject="tuned", step=0, held_out_loss=3.1),
        events.Evaluated(subject="tuned", step=40, held_out_loss=0.8, general_loss=2.95, metrics={"style": 96.0}),
    ]
    run.finished = events.Finished(
        elapsed_s=60, train_s=20, peak_mb=1240.2, adapter_path="adapters/x", adapter_bytes=1_848_576
    )
    return run
