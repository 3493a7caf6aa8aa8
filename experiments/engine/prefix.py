"""The frozen lower part of a model, computed once a row: where a method trains the top blocks only, what enters the lowest of
them is the same at every step and for every run, so that it is kept and only the top of the model runs.

It promises the losses of the whole model, to the rounding of a sum (a test holds 1e-5), and the same bits whatever was kept
before: a row is always read alone, never beside others. Masks, positions and dropout above are the model's own, which is
called as ever; its lower blocks are stepped over. Nothing is kept where dropout is at work below, or where what is trained is
not inside blocks.

Shapes: B rows, T tokens of the longest, L of one row, D width.
"""

from __future__ import annotations

import os
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from experiments import methods
from experiments.accounting import LAYER, module_arch
from experiments.engine.data import Batch

if TYPE_CHECKING:
    from experiments.engine.models import Base
    from experiments.specs import RunSpec

MOST_MB = float(os.environ.get("LAB_PREFIX_MB", "512"))
Name = tuple[int, tuple[int, ...]]
"""The lowest block that trains, and the tokens of a row."""


class Kept:
    """What entered a block, by block and row, the longest unused dropped first; `most_mb` 0 keeps nothing."""

    def __init__(self, most_mb: float = MOST_MB):
        self.most_mb, self.mb = most_mb, 0.0
        self._rows: OrderedDict[Name, Tensor] = OrderedDict()

    def get(self, name: Name) -> Tensor | None:
        found = self._rows.get(name)
        if found is not None:
            self._rows.move_to_end(name)
        return found

    def put(self, name: Name, hidden_LD: Tensor) -> None:
        self._rows[name] = hidden_LD
        self.mb += _mb(hidden_LD)
        while self.mb > self.most_mb and len(self._rows) > 1:
            self.mb -= _mb(self._rows.popitem(last=False)[1])


def _mb(tensor: Tensor) -> float:
    return tensor.numel() * tensor.element_size() / 1e6


class Prefix:
    """The blocks of a base below `lowest`, as a tuned model of it uses them."""

    def __init__(self, base: Base, lowest: int):
        self.base, self.lowest, self.at_looks = base, lowest, False

    def hidden(self, batch: Batch) -> Tensor:
        """What enters the lowest block that trains, (B, T, D), zeros where rows are padded."""
        rows = [self._row(tuple(example.ids)) for example in batch.examples]
        hidden_BTD = rows[0].new_zeros(*batch.ids_BT.shape, rows[0].shape[-1])
        for i, hidden_LD in enumerate(rows):
            hidden_BTD[i, : len(hidden_LD)] = hidden_LD
        return hidden_BTD

    def _row(self, ids: tuple[int, ...]) -> Tensor:
        found = self.base.kept.get((self.lowest, ids))
        if found is None:
            found = _entering(self.base.model, self.lowest, ids)
            self.base.kept.put((self.lowest, ids), found)
        return found


class _Far(Exception):
    """The block was reached: what lies above need not run."""


@torch.no_grad()
def _entering(model: Any, block: int, ids: tuple[int, ...]) -> Tensor:
    """What enters this block for one row, (L, D)."""
    seen: list[Tensor] = []

    def stop(module: nn.Module, inputs: tuple[Any, ...], more: dict[str, Any]) -> None:
        seen.append(inputs[0] if inputs else more["hidden_states"])
        raise _Far

    hook = blocks(model)[block].register_forward_pre_hook(stop, with_kwargs=True)
    try:
        model(input_ids=torch.tensor([ids], device=model.device), use_cache=False)
    except _Far:
        pass
    finally:
        hook.remove()
    return seen[0][0].clone()


def blocks(model: Any) -> nn.ModuleList:
    """The blocks of a language model, bottom first, whatever wraps it. Raises `StopIteration` where there are none."""
    count = model.config.get_text_config().num_hidden_layers
    return next(m for m in model.modules() if isinstance(m, nn.ModuleList) and len(m) == count)


def find(spec: RunSpec, model: Any, base: Base) -> Prefix | None:
    """The frozen part below what this tuned model trains; None where there is none, or where it is not the same every time."""
    trained = [LAYER.search(name) for name, p in model.named_parameters() if p.requires_grad]
    if not base.kept.most_mb or not trained or any(found is None for found in trained) or _drops(base.model):
        return None
    if hasattr(model, "lab_prepared"):  # below, too, it is another model than the base
        return None
    told = methods.find(spec.method).footprint(module_arch(base.model), spec.settings).lowest
    lowest = min([told, *(int(found.group(1)) for found in trained if found)])
    return Prefix(base, lowest) if lowest else None


def _drops(model: Any) -> bool:
    """Whether the base itself drops activations while it trains."""
    config = model.config.get_text_config()
    return bool(getattr(config, "attention_dropout", 0.0)) or any(
        isinstance(m, nn.Dropout) and m.p > 0 for m in model.modules()
    )


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
