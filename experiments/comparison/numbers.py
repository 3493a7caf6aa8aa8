"""What was measured of one method over its finished seeds, and of the base: a number with an interval for each metric. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence

from experiments.analysis import Record
from experiments.comparison import intervals, items
from experiments.comparison.intervals import Number


def of_method(done: Sequence[Record]) -> dict[str, Number]:
    """Everything measured of one method, over its finished seeds."""
    if not done:
        return {}
    found: dict[str, Number | None] = {"held_out": intervals.crossed(items.losses(done))}
    found["perplexity"] = _exponential(found["held_out"])
    found["forgetting"] = intervals.crossed(items.forgetting(done))
    for key in {k for r in done for k in (r.tuned.metrics if r.tuned and r.tuned.metrics else {})}:
        found[key] = intervals.crossed(items.scores(done, key))
    found |= {key: intervals.over_seeds([v for r in done if (v := _measured(r, key)) is not None]) for key in COSTS}
    for key in ("trainable", "adapter_mb"):  # the same whatever the seed
        if (number := found[key]) is not None:
            found[key] = Number(mean=number.mean, half_width=0.0, is_exact=True)
    return {key: number for key, number in found.items() if number is not None}


COSTS = ("trainable", "step_s", "train_s", "peak_mb", "adapter_mb", "tokens_per_s")


def _measured(run: Record, key: str) -> float | None:
    if key == "trainable":
        return float(run.started.trainable) if run.started else None
    if key == "step_s":
        return run.seconds_per_step
    if key == "train_s":
        return run.finished.train_s if run.finished else None
    if key == "peak_mb":
        return run.finished.peak_mb if run.finished else None
    if key == "adapter_mb":
        return run.finished.adapter_bytes / 1e6 if run.finished else None
    how = run.tuned.generation if run.tuned else None
    return how.tokens_per_s if how else None


def _exponential(loss: Number | None) -> Number | None:
    """Perplexity from a loss; its interval is the loss's, to first order."""
    if loss is None or loss.mean > 50:
        return None
    mean = math.exp(loss.mean)
    return Number(mean=mean, half_width=mean * loss.half_width if loss.half_width is not None else None)


def of_base(run: Record | None) -> dict[str, Number]:
    """What the base has of each metric, over the same items."""
    if run is None:
        return {}
    judged, found = run.judged.get("base"), dict[str, Number | None]()
    found["held_out"] = intervals.crossed(items.base_losses(run))
    found["perplexity"] = _exponential(found["held_out"])
    for key in {k for s in judged.scores for k in s} if judged else ():
        found[key] = intervals.crossed([[s[key] for s in judged.scores if key in s]])  # type: ignore[union-attr]
    return {key: number for key, number in found.items() if number is not None}
