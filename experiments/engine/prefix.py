"""The frozen lower part of a model, computed once a row: where a method trains the top blocks only, what enters the lowest of
them is the same at every step and for every run, so that it is kept and only the top of the model runs.

It promises the losses of the whole model, to the rounding of a sum (a test holds 1e-5), and the same bits whatever was kept
before: a row is always read alone, or with the same others. Those are its neighbours in a task of few rows, which are all read
anyway, four at a time and joined (`engine.joining`), which takes half the time. Masks, positions and dropout above are the
model's own, which is called as ever; its lower blocks are stepped over. Nothing is kept where dropout is at work below, or
where what is trained is not inside blocks.

Shapes: B rows, T tokens of the longest, L of one row, D width.
"""

from __future__ import annotations

import hashlib
import os
import random
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import cached_property
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from experiments import methods
from experiments.accounting import LAYER, module_arch
from experiments.catalog import tasks
from experiments.engine import data
from experiments.engine.data import Batch, Example
from experiments.engine.joining import drops, in_their_places, joined

if TYPE_CHECKING:
    from experiments.engine.models import Base
    from experiments.specs import RunSpec

TOGETHER = 4
"""Rows read at once: two hundred joined tokens keep the cores as busy as more would, and the first step waits for no more."""

FEW_ROWS = 256
"""Of a task with no more to train on a run comes to nearly all before long."""


class Prefix:
    """The blocks of a base below `lowest`, as a run uses them. `on_disk`: whether other workers may know of its rows, never of a visitor's
    own."""

    def __init__(self, base: Base, lowest: int, spec: RunSpec):
        self.base, self.lowest, self.spec, self.at_looks = base, lowest, spec, False
        self.on_disk = spec.data is None
        self._turn = random.Random(os.getpid())  # of workers on the same rows each begins with another one

    def hidden(self, batch: Batch) -> Tensor:
        """What enters the lowest block that trains, (B, T, D), zeros where rows are padded; (1, P, D) where they are joined."""
        found = {}
        for i in self._turn.sample(range(len(batch.examples)), len(batch.examples)):
            found[i] = self._row(tuple(batch.examples[i].ids))
        rows = [found[i] for i in range(len(found))]
        if batch.sees_BTT is not None:
            return torch.cat([rows[0][: batch.shared], *(hidden_LD[batch.shared :] for hidden_LD in rows)])[None]
        hidden_BTD = rows[0].new_zeros(*batch.ids_BT.shape, rows[0].shape[-1])
        for i, hidden_LD in enumerate(rows):
            hidden_BTD[i, : len(hidden_LD)] = hidden_LD
        return hidden_BTD

    def _row(self, ids: tuple[int, ...]) -> Tensor:
        group, mark = self._together.get(ids, ((), ""))
        found = self.base.kept.get((self.lowest, ids, mark), self.on_disk)
        if found is None:
            batch = data.collate(group or [data.Example(ids, 1)], self.base.tokenizer.pad_token_id, self.base.device)
            for example, hidden_LD in zip(batch.examples, _entering(self.base.model, self.lowest, batch), strict=True):
                self.base.kept.put((self.lowest, tuple(example.ids), mark), hidden_LD, self.on_disk)
                if tuple(example.ids) == ids:
                    found = hidden_LD
        assert found is not None
        return found

    @cached_property
    def _together(self) -> dict[tuple[int, ...], tuple[list[Example], str]]:
        """Rows that are read with their neighbours, by their tokens: all of a group, and its mark. Which, depends on the task alone: a run
        that goes on for longer has the same bits."""
        from experiments.engine.evaluation import HELD_OUT_ROWS, encoded

        task = tasks.of(self.spec)
        split = task.split(None)
        found: dict[tuple[int, ...], tuple[list[Example], str]] = {}
        for rows in (split.held_out[:HELD_OUT_ROWS], split.train if len(split.train) <= FEW_ROWS else ()):
            examples = [encoded(self.base, task, row) for row in rows]
            for start in range(0, len(examples), TOGETHER):
                group = examples[start : start + TOGETHER]
                mark = hashlib.sha256(repr([e.ids for e in group]).encode()).hexdigest()[:16]
                found |= dict.fromkeys((tuple(e.ids) for e in group), (group, mark))
        return found


class _Far(Exception):
    """The block was reached: what lies above need not run."""


@torch.no_grad()
def _entering(model: Any, block: int, batch: Batch) -> list[Tensor]:
    """What enters this block for each row, (L, D); joined where that saves work, else alone."""
    batch = joined(model, batch)
    if batch.sees_BTT is None and len(batch.examples) > 1:
        apart = [data.collate([example], 0, model.device) for example in batch.examples]
        return [hidden_LD for alone in apart for hidden_LD in _entering(model, block, alone)]
    seen: list[Tensor] = []

    def stop(module: nn.Module, inputs: tuple[Any, ...], more: dict[str, Any]) -> None:
        seen.append(inputs[0] if inputs else more["hidden_states"])
        raise _Far

    hook = blocks(model)[block].register_forward_pre_hook(stop, with_kwargs=True)
    try:
        with in_their_places(model, batch):
            model(input_ids=batch.ids_BT, attention_mask=batch.mask_BT, use_cache=False)
    except _Far:
        pass
    finally:
        hook.remove()
    first_SD, *rest = seen[0][0].split([batch.shared, *(len(e.ids) - batch.shared for e in batch.examples)])
    return [torch.cat([first_SD, hidden_LD]) for hidden_LD in rest]


def blocks(model: Any) -> nn.ModuleList:
    """The blocks of a language model, bottom first, whatever wraps it. Raises `StopIteration` where there are none."""
    count = model.config.get_text_config().num_hidden_layers
    return next(m for m in model.modules() if isinstance(m, nn.ModuleList) and len(m) == count)


def find(spec: RunSpec, model: Any, base: Base) -> Prefix | None:
    """The frozen part below what this tuned model trains; None where there is none, or where it is not the same every time."""
    trained = [LAYER.search(name) for name, p in model.named_parameters() if p.requires_grad]
    if not base.kept.most_mb or not trained or any(found is None for found in trained) or drops(base.model):
        return None
    if hasattr(model, "lab_prepared"):  # below, too, it is another model than the base
        return None
    told = methods.find(spec.method).footprint(module_arch(base.model), spec.settings).lowest
    lowest = min([told, *(int(found.group(1)) for found in trained if found)])
    return Prefix(base, lowest, spec) if lowest else None


@contextmanager
def on_the_way(model: Any) -> Iterator[None]:
    """Inside, a look at the model takes what is known of its frozen part, too."""
    known: Prefix | None = getattr(model, "frozen_prefix", None)
    if known is None:
        yield
        return
    known.at_looks = True
    try:
        yield
    finally:
        known.at_looks = False


@contextmanager
def stepped_over(model: Any, batch: Batch) -> Iterator[None]:
    """Inside, a model in training takes what is known of its frozen part instead of running it; nothing changes for one without.

    The looks at the end run all of it, as for the base: nothing trained has to be exactly nothing changed.
    """
    known: Prefix | None = getattr(model, "frozen_prefix", None)
    if known is None or not (model.training or known.at_looks) or not batch.examples:
        yield
        return
    hidden_BTD, stack = known.hidden(batch), blocks(model)

    def enter(
        module: nn.Module, inputs: tuple[Any, ...], more: dict[str, Any]
    ) -> tuple[tuple[Any, ...], dict[str, Any]]:
        return ((hidden_BTD, *inputs[1:]), more) if inputs else (inputs, {**more, "hidden_states": hidden_BTD})

    with ExitStack() as after:
        for block in stack[: known.lowest]:
            block.forward = _as_it_is
            after.callback(block.__dict__.pop, "forward")
        after.callback(stack[known.lowest].register_forward_pre_hook(enter, with_kwargs=True).remove)
        yield


def _as_it_is(hidden_states: Tensor, *others: Any, **more: Any) -> Tensor:
    return hidden_states
