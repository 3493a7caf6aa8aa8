"""How long and how fast to train: the same settings for every method, and the learning rate of each step.

The schedules are those of transformers' `get_scheduler`: warm-up from zero in a straight line, then constant, a straight line
to zero, or half a cosine to zero (Loshchilov & Hutter 2016, section 3). No torch.
"""

from __future__ import annotations

import math
from typing import Literal

from pydantic import BaseModel, ConfigDict

from experiments.methods.base import knob

Schedule = Literal["constant", "linear", "cosine"]


class TrainSettings(BaseModel):
    """How long and how fast to train; the same for every method but for the learning rate."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)
    steps: int = knob(
        40, "Steps", ge=0, le=5000, unit="steps",
        low="0 measures the untrained method; soft prompts need the most steps.",
        high="Past the point where held-out loss turns up the run only learns its rows by heart.",
    )  # fmt: skip
    batch_size: int = knob(
        4, "Batch", ge=1, le=128, unit="rows",
        low="One row a step is noisy.",
        high="Time and memory grow with it.",
    )  # fmt: skip
    learning_rate: float = knob(
        1e-3, "Learning rate", ge=0, le=10,
        low="Too low: the loss hardly moves.",
        high="Too high: the loss jumps, then stops being a number.",
    )  # fmt: skip
    schedule: Schedule = knob(
        "constant", "Schedule", later=True,
        low="constant: every step is as large as the rate says; right for short runs.",
        high="linear and cosine end at zero: the last steps only settle what was learnt.",
    )  # fmt: skip
    warmup: int = knob(
        0, "Warm-up", ge=0, le=5000, unit="steps", later=True,
        low="0: the first step is as large as any.",
        high="Some tens calm the start of a high rate; more than half of the run wastes it.",
    )  # fmt: skip
    accumulate: int = knob(
        1, "Accumulate", ge=1, le=64, unit="batches", later=True,
        low="1: an update after every batch.",
        high="Several batches make one update: the effect of a large batch in the memory of a small one, at its time.",
    )  # fmt: skip
    clip: float = knob(
        1.0, "Clip", ge=0, le=1000, later=True,
        low="Small: every step is shortened, as with a lower rate. 0 does not clip at all.",
        high="Large: one odd batch may throw the run off.",
    )  # fmt: skip
    weight_decay: float = knob(
        0.0, "Weight decay", ge=0, le=1, later=True,
        low="0: nothing pulls the weights back.",
        high="Above 0.1 what is learnt shrinks as fast as it grows. Norms and biases are left out.",
    )  # fmt: skip
    looks: int = knob(
        4, "Looks", ge=1, le=50, unit="looks", later=True,
        low="One look: only start and end of the held-out loss are seen.",
        high="Each costs a second or two on this model.",
    )  # fmt: skip
    patience: int = knob(
        0, "Patience", ge=0, le=50, unit="looks", later=True,
        low="0: trains to the last step. 1 stops at the first look that is no better than the best so far.",
        high="Stops after so many looks without a better one, and goes back to the best.",
    )  # fmt: skip
    thorough: bool = knob(
        False, "Thorough looks", later=True,
        low="Off: forgetting is measured once, at the end.",
        high="Also measures forgetting at every look, and the loss of every held-out row: what a comparison rests on.",
    )  # fmt: skip


def rate_at(train: TrainSettings, step: int) -> float:
    """The learning rate of this step, counted from 1."""
    return train.learning_rate * factor(train.schedule, step - 1, train.warmup, train.steps)


def factor(schedule: Schedule, done: int, warmup: int, steps: int) -> float:
    """The share of the learning rate after so many updates."""
    if done < warmup:
        return done / max(1, warmup)
    if schedule == "constant":
        return 1.0
    if schedule == "linear":
        return max(0.0, (steps - done) / max(1, steps - warmup))
    return max(0.0, 0.5 * (1 + math.cos(math.pi * (done - warmup) / max(1, steps - warmup))))


def look_steps(train: TrainSettings) -> set[int]:
    """After which steps the held-out rows are looked at: evenly, and never at the last, which gets the full look."""
    return {round(train.steps * i / train.looks) for i in range(1, train.looks)} - {0, train.steps}
