"""What a model makes of pairs: how likely each answer is to it, and how often the better one wins.

Shapes: P pairs. A log-probability is the sum over the tokens that a row learns, in nats, as in DPO (Rafailov et al. 2023).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from experiments.catalog import tasks
from experiments.catalog.tasks.base import GAINED, PREFERS, Pair, Row
from experiments.engine import data
from experiments.engine.loss import token_losses
from experiments.engine.models import Base

PAIRS = 60  # held-out pairs that are measured: 1.7 points a pair
BATCH = 16


def worse(pair: Pair) -> Row:
    """The pair's row with the worse answer in place of the better one."""
    return replace(pair, completion=pair.rejected)


def pairs(task: tasks.Task) -> tuple[Pair, ...]:
    """The held-out pairs that are measured."""
    return tuple(row for row in task.split(None).held_out[:PAIRS] if isinstance(row, Pair))


@torch.no_grad()
def log_probabilities(
    model: Any, base: Base, rows: Sequence[Row], task: tasks.Task, between: Callable[[], None] = lambda: None
) -> Tensor:
    """log π(completion | prompt) of each row, shape (len(rows),), on the CPU in float64."""
    found = torch.zeros(len(rows), dtype=torch.float64)
    examples = [data.encode(base.tokenizer, row, task.max_length, task.template) for row in rows]
    for part, batch in data.batches(examples, base.tokenizer.pad_token_id, model.device, BATCH):
        losses_N = token_losses(model, batch).double().cpu()
        for i, losses in zip(part, losses_N.split(batch.learn_BT.sum(1).tolist()), strict=True):
            found[i] = -losses.sum()
        between()
    return found


@dataclass(frozen=True)
class Preferences:
    """Log-probabilities of the held-out pairs' answers, shape (P,) each."""

    better_P: Tensor
    worse_P: Tensor

    def metrics(self, base: Preferences | None = None) -> dict[str, float]:
        """How often the better answer is likelier; against a base also how often it gained. A tie is half a win."""
        if not len(self.better_P):
            return {}
        margin_P = self.better_P - self.worse_P
        found = {PREFERS.key: wins(margin_P)}
        if base is not None:
            found[GAINED.key] = wins(margin_P - (base.better_P - base.worse_P))
        return found


def wins(margin_P: Tensor) -> float:
    """The share above zero, in %."""
    return float(100 * ((margin_P > 0).double() + 0.5 * (margin_P == 0).double()).mean())


def measure(model: Any, base: Base, task: tasks.Task, between: Callable[[], None]) -> Preferences:
    """How likely the held-out pairs' answers are to this model."""
    held_out = pairs(task)
    rows = [*held_out, *map(worse, held_out)]
    both = log_probabilities(model, base, rows, task, between)
    return Preferences(both[: len(held_out)], both[len(held_out) :])
