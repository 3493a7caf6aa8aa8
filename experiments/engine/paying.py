"""What pays the answers of online RL: a rule, a reward model of the store, or both, each with its weight.

A reward that is no number, or that fails, ends the run with one sentence; so does one that pays every answer the same for the
first steps: nothing could be learnt from it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from experiments import rewards
from experiments.catalog.tasks.base import Row
from experiments.engine import scorer
from experiments.rewards import Asked, Rule

if TYPE_CHECKING:
    from experiments.engine.trainers import Order

Payment = Callable[..., list[float]]
ALIKE_STEPS = 5  # steps in a row from the first on, in which all answers are paid the same


def payments(order: Order) -> dict[Payment, float]:
    """What pays, as TRL calls it, with its weight."""
    goal: Any = order.spec.goal
    found: dict[Payment, float] = {}
    weight = goal.judge_weight if goal.judge else 0.0
    if goal.reward != "none":
        found[_by_rule(rewards.find(goal.reward), goal)] = 1.0 - weight
    if goal.judge:
        found[_by_model(order, goal.judge)] = weight if found else 1.0
    return found


def text(completion: Any) -> str:
    """An answer or a prompt, whether TRL gives it as text or as a turn of a conversation."""
    return completion if isinstance(completion, str) else completion[-1]["content"]


def _by_rule(rule: Rule, goal: Any) -> Payment:
    def pay(completions: Sequence[Any], asked: Sequence[str], facts: Sequence[Any], **_: Any) -> list[float]:
        found = []
        for said, prompt, known in zip(map(text, completions), asked, facts, strict=True):
            try:
                value = float(rule.pay(Asked(prompt, said, tuple(known), goal.words, goal.word)))
            except Exception as error:
                raise ValueError(
                    f"The reward “{rule.title}” failed on an answer: {error or type(error).__name__}."
                ) from error
            if not math.isfinite(value):
                raise ValueError(f"The reward “{rule.title}” gave an answer no number.")
            found.append(value)
        return found

    pay.__name__ = rule.key
    return pay


def _by_model(order: Order, run_id: str) -> Payment:
    model = order.tuned(run_id)
    if not isinstance(model, scorer.Scorer):
        raise ValueError(f"Run {run_id} is no reward model: train one with the objective “reward”.")

    def pay(completions: Sequence[Any], asked: Sequence[str], **_: Any) -> list[float]:
        rows = [Row(prompt, text(said)) for prompt, said in zip(asked, completions, strict=True)]
        found: list[float] = scorer.scores(model, order.base, rows, order.task).tolist()
        if not all(map(math.isfinite, found)):
            raise ValueError(f"The reward model {run_id} gave an answer no number.")
        return found

    pay.__name__ = "judge"
    return pay
