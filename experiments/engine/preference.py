"""What a model makes of pairs: how likely each answer is to it, and how often the better one wins.

Shapes: P pairs, or P answers with a thumb up and Q with a thumb down. A log-probability is the sum over the tokens that a row learns, in
nats, as in DPO (Rafailov et al. 2023).
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


def judged(task: tasks.Task) -> tuple[Sequence[Row], Sequence[Row]]:
    """The held-out answers that are to gain, and those that are to lose: of pairs one each, of thumbs all there are."""
    if task.thumbs:
        split = task.split(None)
        return split.held_out[:PAIRS], split.disliked[:PAIRS]
    return pairs(task), [worse(pair) for pair in pairs(task)]


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
    """Log-probabilities of the held-out answers, better and worse: shape (P,) each of P pairs; of thumbs of any number each."""

    better_P: Tensor
    worse_P: Tensor
    paired: bool = True

    def metrics(self, base: Preferences | None = None) -> dict[str, float]:
        """How often the better answer is likelier; against a base also how often it gained. A tie is half a win."""
        if not len(self.better_P) or not len(self.worse_P):
            return {}
        if not self.paired:
            return self._of_thumbs(base)
        margin_P = self.better_P - self.worse_P
        found = {PREFERS.key: wins(margin_P)}
        if base is not None:
            found[GAINED.key] = wins(margin_P - (base.better_P - base.worse_P))
        return found

    def _of_thumbs(self, base: Preferences | None) -> dict[str, float]:
        """How often an answer that is liked gained more than one that is not, over all couples of both (the area under the ROC
        curve). Answers to different prompts are only held against each other by what they gained."""
        if base is None:
            return {}
        gain_P, gain_Q = self.better_P - base.better_P, self.worse_P - base.worse_P
        return {GAINED.key: wins((gain_P[:, None] - gain_Q[None, :]).flatten())}


def wins(margin_P: Tensor) -> float:
    """The share above zero, in %."""
    return float(100 * ((margin_P > 0).double() + 0.5 * (margin_P == 0).double()).mean())


def measure(model: Any, base: Base, task: tasks.Task, between: Callable[[], None]) -> Preferences:
    """How likely the held-out answers that were judged are to this model."""
    liked, disliked = judged(task)
    both = log_probabilities(model, base, [*liked, *disliked], task, between)
    return Preferences(both[: len(liked)], both[len(liked) :], not task.thumbs)
