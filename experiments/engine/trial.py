"""A model in training: what is trained, by what, and what that has taken so far. One step is `backward`, then `update`."""

from __future__ import annotations

import contextlib
import math
import random
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import torch

from experiments import methods, objectives
from experiments.catalog import tasks
from experiments.engine import data, memory, prefix, scorer
from experiments.engine.context import with_examples
from experiments.engine.joining import drops, joined
from experiments.engine.loss import completion_loss
from experiments.engine.models import Base, fresh, named, own
from experiments.recipe import rate_at
from experiments.specs import RunSpec


@dataclass
class Trial:
    """A model in training: what is trained, by what, how many of its `steps` are done, and what that has taken so far."""

    model: Any
    parameters: list[torch.nn.Parameter]
    optimizer: torch.optim.Optimizer | None
    pad_id: int
    clip: float = 1.0
    method: methods.Method | None = None
    steps: int = 0
    step: int = 0
    train_s: float = 0.0
    tokens: int = 0
    tokens_before: int = 0
    """What a run that goes on had read before a trainer of TRL's, which counts from zero, began."""
    meter: memory.Meter = field(default_factory=memory.Meter)

    def backward(self, *batches: list[data.Example]) -> tuple[float | None, float | None]:
        """Mean loss a learnt token and gradient norm on these rows; the gradients of all batches add up and wait for
        `update`. None for what is not finite."""
        made = [joined(self.model, data.collate(rows, self.pad_id, self.model.device)) for rows in batches]
        learnt = [int(batch.learn_BT.sum()) for batch in made]
        if not sum(learnt):
            raise ValueError("The prompts of a whole batch fill the context: no token of an answer is left to learn.")
        total = torch.zeros((), device=self.model.device)
        with self._timed():
            for batch, count in zip(made, learnt, strict=True):
                if count:
                    self.tokens += batch.tokens
                    with self.meter.over("backward", batch.ids_BT.numel()):
                        loss = completion_loss(self.model, batch) * (count / sum(learnt))
                        loss.backward()
                    total += loss.detach()
            if self.method and self.method.penalty:
                self.method.penalty(self.model).backward()
            norm = torch.nn.utils.clip_grad_norm_(self.parameters, self.clip or math.inf)
            return _finite(total), _finite(norm)

    def update(self, times: float = 1.0) -> None:
        """One step of the optimizer at so many times its learning rate, then clean gradients."""
        assert self.optimizer is not None
        for group in self.optimizer.param_groups:
            group["lr"] = group["full_lr"] * times
        with self._timed(), self.meter.over("update", 1):
            self.optimizer.step()
            self.updated()
        self.optimizer.zero_grad(set_to_none=True)

    def updated(self) -> None:
        """The optimizer has taken a step; the gradients are still there."""
        assert self.optimizer is not None
        self.step += 1
        if self.method and self.method.after_update:
            self.method.after_update(self.model, self.step, self.steps)
        if not self.meter.parameters_mb:  # the same after every update
            self.meter.parameters_mb = sum(map(memory.tensor_mb, self.parameters))
            self.meter.gradients_mb = sum(memory.tensor_mb(p.grad) for p in self.parameters)
            states = (v for p in self.parameters for v in self.optimizer.state[p].values())
            self.meter.state_mb = sum(map(memory.tensor_mb, states))

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


def begin(spec: RunSpec, base: Base, first: Any = None) -> Trial:
    """A fresh model with the method attached and an optimizer over exactly what it trains. `first`: the tuned model that it begins
    with.

    Raises `ValueError` where the examples of few-shot do not fit the context, or where what is trained is not in `first`.
    """
    method, tree = methods.find(spec.method), fresh(base)
    if method.prepare:
        method.prepare(tree, spec.settings)
    model: Any = method.attach(tree, spec.settings, base.tokenizer)
    if method.prepare:
        model.lab_prepared = named(spec.method, spec.settings)
    if shown := method.examples(spec.settings):
        task = tasks.of(spec)
        rows = task.split(None).train
        chosen = random.Random(spec.seed).sample(rows, min(shown, len(rows)))
        model = with_examples(model, base.tokenizer, chosen, task.max_length, task.template)
    if first is not None:
        _take_over(model, first)
    if objectives.find(spec.objective).scores:
        model = scorer.with_head(model).to(base.device)
    parameters = own(model, base)
    model.frozen_prefix, model.lab_drops = prefix.find(spec, model, base), drops(model)
    trial = Trial(
        model.train(), parameters, optimizer(spec, model) if parameters else None, base.tokenizer.pad_token_id,
        spec.train.clip, method, spec.train.steps,
    )  # fmt: skip
    if method.prepare:
        trial.meter.packed_away_mb = memory.weights_mb(base.model) - memory.weights_mb(model)
    return trial


def optimizer(spec: RunSpec, model: Any) -> torch.optim.Optimizer:
    """AdamW, or the method's own, over what trains."""
    make, found = methods.find(spec.method).optimizer, groups(model, spec)
    return make(spec.settings, found) if make else torch.optim.AdamW(found, fused=True)


def _take_over(model: Any, first: Any) -> None:
    """Begin with the trained numbers of another model. Raises `ValueError` where they are not all there."""
    known = dict(first.named_parameters())
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            if name not in known or known[name].shape != parameter.shape:
                raise ValueError(
                    "The run to begin with has another method or other settings, or keeps only a part of what it trained: choose "
                    "one of the same method and settings."
                )
            parameter.data = known[name].detach().clone()


def groups(model: Any, spec: RunSpec) -> list[dict[str, Any]]:
    """The trainable parameters by how fast they learn and whether they decay, which vectors (norms, biases) never do."""
    train, factor = spec.train, methods.find(spec.method).rate_factor
    found = dict[tuple[float, float], list[torch.nn.Parameter]]()
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            decay = train.weight_decay if parameter.dim() > 1 else 0.0
            found.setdefault((factor(spec.settings, name, parameter.dim()), decay), []).append(parameter)
    rates = {times: train.learning_rate * times for times, _ in found}
    return [
        {"params": found[times, decay], "lr": rates[times], "full_lr": rates[times], "weight_decay": decay}
        for times, decay in sorted(found)
    ]


def times_at(spec: RunSpec, step: int) -> float:
    """The schedule's share of every learning rate at this step, counted from 1."""
    return rate_at(spec.train.model_copy(update={"learning_rate": 1.0}), step)
