"""The steps of an objective that TRL carries out, as the lab's own events: the loss and all else are the trainer's own log.

A trainer owns its loop, so it runs in lockstep (`engine.lockstep`): between two of its steps everything that the lab's own loop
does, looks, checkpoints and Stop, is done by the one who asks for the next event.
"""

from __future__ import annotations

import contextlib
import math
import tempfile
import time
from collections.abc import Callable, Generator
from typing import Any

from transformers import TrainerCallback

from experiments import events, objectives, recipe
from experiments.engine import lockstep, paying, randomness, trainers
from experiments.engine.randomness import RandomState
from experiments.engine.trainers import Order

NAMES = {
    "logps/chosen": "chosen_logp", "logps/rejected": "rejected_logp", "rewards/margins": "margin",
    "rewards/accuracies": "accuracy", "completions/mean_length": "length", "completions/clipped_ratio": "cut",
}  # fmt: skip
"""TRL's names of what it logs → the lab's; others keep their own."""


class Telling(TrainerCallback):
    """Tells each step as events while a trainer works: times it, weighs it, and passes its log on."""

    def __init__(self, order: Order, tell: Callable[[events.Event], None]):
        self.order, self.tell = order, tell
        self.kept = set(objectives.find(order.spec.objective).measures)
        self.trainer: Any = None
        self._alike = 0
        self._stream: Any = (
            randomness.get_states()
        )  # making and starting a trainer seeds and draws: the first step has it back
        self._phase = contextlib.ExitStack()
        self._began = 0.0
        self._longest = 0

    def on_step_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        if self._stream is not None:
            randomness.set_states(self._stream)
            self._stream = None
        self._phase.enter_context(self.order.trial.meter.over("backward", self._size(state.global_step)))
        self._began = time.perf_counter()  # giving freed memory back, before it is measured, is no part of the step

    def _size(self, step: int) -> int:
        """What the meter takes a step for, the first one being 0: it measures the first and the longest one, which takes too long for
        every step; where answers are still to be written, nobody knows which that is: steps 0, 1, 3, 7 …"""
        if hasattr(self.order.spec.goal, "group"):
            return (step + 1).bit_length()
        if not step:
            self._longest = longest(self.trainer.train_dataset, self.order)
        return 2 if step == self._longest else int(not step)

    def on_pre_optimizer_step(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self._phase.close()
        self._phase.enter_context(self.order.trial.meter.over("update", 1))

    def on_optimizer_step(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        trial = self.order.trial
        self._phase.close()
        trial.updated()

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self.order.trial.train_s += time.perf_counter() - self._began

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, Any] | None = None, **_: Any) -> None:
        if logs and "loss" in logs:  # the last log of a training is a summary
            step = state.global_step + self.order.done
            event = stepped(self.order, step, logs, self.kept)
            if group := self._group(step):
                self.tell(group)
            self.tell(event)
            self._watch(event)

    def _group(self, step: int) -> events.Grouped | None:
        """What was tried for the first prompt of this step, where answers are tried at all."""
        size = getattr(self.order.spec.goal, "group", 0)
        if not size or self.trainer is None:
            return None
        logs, weights = self.trainer._logs, self.trainer.reward_weights.tolist()
        paid = [list(logs["rewards"][name])[:size] for name in self.trainer.reward_func_names]
        return events.Grouped(
            step=step, prompt=paying.text(list(logs["prompt"])[0]),
            answers=tuple(map(paying.text, list(logs["completion"])[:size])),
            rewards=tuple(sum(w * r for w, r in zip(weights, each, strict=True)) for each in zip(*paid, strict=True)),
            advantages=tuple(list(logs["advantages"])[:size]),
        )  # fmt: skip

    def _watch(self, event: events.Stepped) -> None:
        """Raises `ValueError` where all answers are paid the same from the first step on."""
        spread = (event.measures or {}).get("reward_std")
        self._alike = self._alike + 1 if spread == 0 and self._alike == event.step - 1 else -1
        if self._alike == paying.ALIKE_STEPS:
            raise ValueError(f"All answers of the first {paying.ALIKE_STEPS} steps score the same: nothing to learn.")


def longest(rows: Any, order: Order) -> int:
    """Which of the steps that are left, from 0, reads the longest of these tokenized rows, which are in the order of the steps."""
    a_step = order.spec.train.batch_size * order.spec.train.accumulate
    sizes = [sum(len(value) for value in row.values() if isinstance(value, list)) for row in rows]
    return sizes.index(max(sizes)) // a_step


def stepped(order: Order, step: int, logs: dict[str, Any], kept: set[str]) -> events.Stepped:
    """One log of a trainer as an event; what is not a finite number is left out."""
    named = {NAMES.get(name, name): finite(value) for name, value in logs.items()}
    order.trial.tokens = order.trial.tokens_before + int(logs.get("num_tokens") or 0)
    return events.Stepped(
        step=step, loss=named["loss"], gradient_norm=named.get("grad_norm"),
        learning_rate=recipe.rate_at(order.spec.train, step), tokens=order.trial.tokens,
        train_s=round(order.trial.train_s, 4),
        measures={name: value for name, value in named.items() if name in kept and value is not None} or None,
    )  # fmt: skip


def finite(value: Any) -> float | None:
    """The number, or None for what is none."""
    number = float(value) if isinstance(value, int | float) else math.nan
    return number if math.isfinite(number) else None


def steps(order: Order, random_state: RandomState) -> Generator[events.Event, None, None]:
    """Train the steps that are left, one event each. Raises what the trainer raises."""
    order.trial.tokens_before = order.trial.tokens
    with tempfile.TemporaryDirectory(prefix="trainer-") as folder:
        order = Order(**{**vars(order), "folder": folder})

        def work(tell: Callable[[events.Event], None]) -> None:
            telling = Telling(order, tell)
            trainer = telling.trainer = trainers.build(order, telling)
            trainer.train()

        yield from lockstep.events_of(work, random_state)
