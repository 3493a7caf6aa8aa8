"""Stored runs, as a training would have left them."""

from __future__ import annotations

from experiments import events, specs
from experiments.specs import RunSpec
from experiments.store import Key, Store


def spec(method: str = "lora", seed: int = 0, steps: int = 2, **settings) -> RunSpec:
    data = {"model": "any", "task": "pirate", "method": method, "seed": seed, "settings": settings}
    return specs.build(RunSpec, {**data, "train": {"steps": steps}})


def told(steps: int = 2) -> list[events.Event]:
    """What a small finished run tells."""
    return [
        events.Started(
            trainable=460_800, total=134_975_808, rows=140, device="cpu", threads=2, resting_mb=700, versions={}
        ),
        events.Evaluated(subject="base", step=0, held_out_loss=3.1, general_loss=2.9, metrics={"style": 12.0}),
        *(
            events.Stepped(
                step=i, loss=3.0 - i / 4, gradient_norm=1.0, learning_rate=1e-3, tokens=100 * i, train_s=0.5 * i
            )
            for i in range(1, steps + 1)
        ),
        events.Sampled(subject="tuned", step=steps, answers=(events.Answer(prompt="P", answer="A" * 100),)),
        events.Evaluated(subject="tuned", step=steps, held_out_loss=0.8, general_loss=2.95, metrics={"style": 96.0}),
        events.Finished(elapsed_s=60, train_s=20, peak_mb=1240, adapter_path="adapters/x", adapter_bytes=1_848_576),
    ]


def put(store: Store, run: RunSpec, owner: str = "ann", end: bool = True) -> Key:
    """Ask for a run as this owner; with `end` it finishes at once."""
    key, state = store.open(run.run_id, "train", run.model_dump_json(), owner)
    if state == "new":
        for event in told(run.train.steps) if end else told(run.train.steps)[:3]:
            store.append(key, event)
    return key
