"""The one loop for supervised methods: `run(spec, …)` yields what happens, and a run is a pure function of its spec.

It promises: same spec, same losses, bit for bit on one machine and number of threads, alone or raced; only what the method
names is trained; the base is never changed. A method plugs in through `attach`, never through a flag here. The loop knows
of no queue and no page: between two pieces of work it calls `between`, which may raise `Unwanted`.
"""

from __future__ import annotations

import contextlib
import math
import random
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Literal

import torch

from experiments import events, methods
from experiments.catalog import tasks
from experiments.engine import adapters, data, evaluation, generation, memory
from experiments.engine.context import with_examples
from experiments.engine.loss import completion_loss
from experiments.engine.models import Base, fresh, own
from experiments.engine.provenance import commit, versions
from experiments.engine.randomness import RandomState
from experiments.specs import RunSpec

GRADIENT_CLIP = 1.0  # the largest gradient norm that is let through, as in TRL
LOOKS = 4  # looks at the held-out rows after the one at step 0


class Unwanted(BaseException):
    """Nobody wants this run any more. Not an `Exception`: no library on the way may take it for a failure of its own."""


@dataclass
class Trial:
    """A model in training: what is trained, by what, and what that has taken so far."""

    model: Any
    parameters: list[torch.nn.Parameter]
    optimizer: torch.optim.Optimizer | None
    pad_id: int
    train_s: float = 0.0
    tokens: int = 0
    meter: memory.Meter = field(default_factory=memory.Meter)

    def backward(self, examples: list[data.Example]) -> tuple[float | None, float | None]:
        """Loss and gradient norm on these rows; the gradients wait for `update`. None for what is not finite."""
        batch = data.collate(examples, self.pad_id, self.model.device)
        if not batch.learn_BT.any():
            raise ValueError("The prompts of a whole batch fill the context: no token of an answer is left to learn.")
        self.tokens += batch.tokens
        with self._timed(), self.meter.over("backward", batch.ids_BT.numel()):
            loss = completion_loss(self.model, batch)
            loss.backward()
            norm = torch.nn.utils.clip_grad_norm_(self.parameters, GRADIENT_CLIP)
            return _finite(loss), _finite(norm)

    def update(self) -> None:
        """One step of the optimizer, then clean gradients."""
        assert self.optimizer is not None
        with self._timed(), self.meter.over("update", 1):
            self.optimizer.step()
        if not self.meter.parameters_mb:  # the same after every update
            self.meter.parameters_mb = sum(map(memory.tensor_mb, self.parameters))
            self.meter.gradients_mb = sum(memory.tensor_mb(p.grad) for p in self.parameters)
            states = (v for p in self.parameters for v in self.optimizer.state[p].values())
            self.meter.state_mb = sum(map(memory.tensor_mb, states))
        self.optimizer.zero_grad(set_to_none=True)

    @contextlib.contextmanager
    def at_rest(self) -> Iterator[Any]:
        """The model in evaluation mode, for a look at it."""
        self.model.eval()
        yield self.model
        self.model.train()

    @contextlib.contextmanager
    def _timed(self) -> Iterator[None]:
        began = time.perf_counter()
        yield
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        self.train_s += time.perf_counter() - began


def _finite(value: torch.Tensor) -> float | None:
    number = float(value.detach())
    return number if math.isfinite(number) else None


def begin(spec: RunSpec, base: Base) -> Trial:
    """A fresh model with the method attached and an optimizer over exactly what it trains.

    Raises `ValueError` where the examples of few-shot do not fit the context.
    """
    method = methods.find(spec.method)
    model = method.attach(fresh(base), spec.settings, base.tokenizer)
    if shown := method.examples(spec.settings):
        task = tasks.of(spec)
        rows = task.split(None).train
        chosen = random.Random(spec.seed).sample(rows, min(shown, len(rows)))
        model = with_examples(model, base.tokenizer, chosen, task.max_length, task.template)
    parameters = own(model, base)
    optimizer = (
        torch.optim.AdamW(groups(model, spec), lr=spec.train.learning_rate, weight_decay=0.0, fused=True)
        if parameters
        else None
    )
    return Trial(model.train(), parameters, optimizer, base.tokenizer.pad_token_id)


def groups(model: Any, spec: RunSpec) -> list[dict[str, Any]]:
    """The trainable parameters by how fast they learn; all in one group but for methods that say otherwise."""
    factor, found = methods.find(spec.method).rate_factor, dict[float, list[torch.nn.Parameter]]()
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            found.setdefault(factor(spec.settings, name, parameter.dim()), []).append(parameter)
    return [{"params": found[times], "lr": spec.train.learning_rate * times} for times in sorted(found)]


def look_steps(steps: int) -> set[int]:
    """After which steps the held-out rows are looked at: evenly, and never at the last, which gets the full look."""
    return {round(steps * i / LOOKS) for i in range(1, LOOKS)} - {0, steps}


def run(spec: RunSpec, base: Base, folder: Path, between: Callable[[], None] = lambda: None) -> Iterator[events.Event]:
    """Train as the spec says on a loaded base; save the adapter into `folder`. Ends with Finished, Failed or Cancelled."""
    began = time.perf_counter()
    step = done = 0
    try:
        random_state = RandomState(spec.seed)
        with random_state:
            trial = begin(spec, base)
        task = tasks.of(spec)
        rows = task.split(None).train

        @cache
        def example(i: int) -> data.Example:  # on first use: encoding thousands of rows would hold up the first step
            return data.encode(base.tokenizer, rows[i], task.max_length, task.template)

        yield _started(base, trial, len(rows))
        if base_is_known := evaluation.base_is_known(base, task):
            yield evaluation.base_look(base, task, between)
        for step, batch in enumerate(data.order(len(rows), spec.train.batch_size, spec.train.steps, spec.seed), 1):
            between()
            examples = [example(i) for i in batch]
            with random_state:
                loss, norm = trial.backward(examples)
            done = step
            yield events.Stepped(
                step=step, loss=loss, gradient_norm=norm, learning_rate=spec.train.learning_rate,
                tokens=trial.tokens, train_s=round(trial.train_s, 4),
            )  # fmt: skip
            if loss is None or norm is None:
                yield diverged(spec, step)
                return
            if step == 1:  # nothing is updated yet
                yield from _untrained(spec, trial, base, task, between)
            with random_state:
                trial.update()
            if step in look_steps(spec.train.steps):
                yield from _look(trial, base, task, step, between, samples=step == round(spec.train.steps / 2))
        if step == 0:  # none was asked for
            yield from _untrained(spec, trial, base, task, between)
        with trial.at_rest() as model:
            if step:
                yield _sampled(model, base, task, step, between)
            yield evaluation.full_look(model, base, task, step, between)
        if not base_is_known:
            yield evaluation.base_look(base, task, between)
        leaves = bool(trial.parameters or generation.virtual_tokens(trial.model))
        size = adapters.save(trial.model, folder) if leaves else 0
        yield events.Finished(
            elapsed_s=round(time.perf_counter() - began, 3), train_s=round(trial.train_s, 3),
            peak_mb=round(trial.meter.peak_mb(base.resting_mb), 1),
            adapter_path=f"{folder.parent.name}/{folder.name}" if leaves else None, adapter_bytes=size,
        )  # fmt: skip
    except Unwanted:
        yield events.Cancelled(step=done)


def _started(base: Base, trial: Trial, rows: int) -> events.Started:
    return events.Started(
        trainable=sum(p.numel() for p in trial.parameters),
        total=base.total,
        context_tokens=generation.virtual_tokens(trial.model),
        rows=rows,
        device=torch.cuda.get_device_name() if torch.cuda.is_available() else "cpu",
        threads=torch.get_num_threads(),
        resting_mb=round(base.resting_mb, 1),
        versions=versions(),
        commit=commit(),
    )


def _look(
    trial: Trial, base: Base, task: tasks.Task, step: int, between: Callable[[], None], samples: bool = True
) -> Iterator[events.Event]:
    with trial.at_rest() as model:
        if samples:
            yield _sampled(model, base, task, step, between)
        yield evaluation.look(model, base, task, step, between)


def _untrained(
    spec: RunSpec, trial: Trial, base: Base, task: tasks.Task, between: Callable[[], None]
) -> Iterator[events.Event]:
    """The base's answers, and the method before its first update; where that is the base, what is known of it is told."""
    said = evaluation.base_probes(base, task, between)
    yield _answers("base", 0, task, said)
    if methods.find(spec.method).starts_at_base(spec.settings):
        yield _answers("tuned", 0, task, said)
        loss = evaluation.base_held_out_loss(base, task, between)
        yield events.Evaluated(subject="tuned", step=0, held_out_loss=loss)
    else:
        yield from _look(trial, base, task, 0, between)


def _sampled(model: Any, base: Base, task: tasks.Task, step: int, between: Callable[[], None]) -> events.Sampled:
    said = generation.answers(model, base.tokenizer, task.asked, task.max_new_tokens, between, task.template)
    return _answers("tuned", step, task, said)


def _answers(subject: Literal["base", "tuned"], step: int, task: tasks.Task, said: Sequence[str]) -> events.Sampled:
    pairs = tuple(events.Answer(prompt=p, answer=a) for p, a in zip(task.probes, said, strict=True))
    return events.Sampled(subject=subject, step=step, answers=pairs)


def diverged(spec: RunSpec, step: int) -> events.Failed:
    """What to say when the loss is no longer a number."""
    low, high = methods.find(spec.method).usual_rates
    rate = spec.train.learning_rate
    advice = f"Usual rates for {methods.find(spec.method).title} are {low:g} to {high:g}; this run had {rate:g}."
    return events.Failed(cause=f"Diverged at step {step}: the loss is no longer a number.", advice=advice)


def seconds_per_token(base: Base) -> float:
    """This machine's speed: the faster of two LoRA steps of 4 × 64 tokens after a first one, in seconds a token."""
    spec = RunSpec.model_validate({"model": base.key or "any", "task": tasks.TASKS[0].key, "method": "lora"})
    trial = begin(spec, base)
    ids = range(min(1000, base.model.config.get_text_config().vocab_size - 64))
    rows = [data.Example(tuple(ids[i : i + 64]), 40) for i in range(4)]
    taken = []
    for _ in range(3):
        before = trial.train_s
        trial.backward(rows)
        trial.update()
        taken.append(trial.train_s - before)
    return min(taken[1:]) / (4 * 64)
