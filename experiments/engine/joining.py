"""The rows of a batch as one, with what they all begin with read once.

A chat template puts the same words before every question, a question stands before each of its answers, and padding is read for
nothing: of four rows of a task with SmolLM2's template about 40 % of the tokens need not be run. So the common beginning is
followed by the rest of each row; every token keeps the place it has in its own row and sees its own row only. Losses and
gradients are those of the rows apart, to the rounding of a sum (a test holds 1e-5 for every method).

Not done where it is no shorter; where something is dropped at random, which would drop the beginning alike in all rows; and for a
model that, asked at its loading, does not read a joined row as it reads rows apart (`works`): one that knows places by other
means than positions, or keeps a state from token to token.

Shapes: B rows, T tokens of the longest, P tokens joined, S soft tokens that a method puts before them.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from experiments.engine.context import WithContext
from experiments.engine.data import Batch, Example, collate

GAP = 1e-3
"""Of the largest logit: where two differ by more, it is by more than rounding."""


def joined(model: Any, batch: Batch) -> Batch:
    """The batch with its rows joined, where this model can be given it and it saves work; else as it is."""
    language_model = inner(model)
    if batch.sees_BTT is not None:
        return batch
    thinned = model.training and getattr(model, "lab_drops", True)
    if not getattr(language_model, "lab_joins", False) or isinstance(model, WithContext) or thinned:
        return batch
    shared = common(batch.examples)
    long = sum(len(e.ids) - shared for e in batch.examples) + shared
    rows, longest = batch.ids_BT.shape
    config = language_model.config.get_text_config()
    window = getattr(config, "sliding_window", None)
    if window and 2 * longest > window:  # half of it, as soft tokens may stand before a row
        return batch
    # A token takes about 12 W² multiplications in a block of width W, and 2 W for each token that attention looks at
    if long * (6 * config.hidden_size + long) >= rows * longest * (6 * config.hidden_size + longest):
        return batch
    return join(batch, shared)


def common(examples: Sequence[Example]) -> int:
    """How many tokens all these rows begin with, up to the last that nothing learnt is predicted from."""
    alike = len(os.path.commonprefix([list(e.ids) for e in examples]))
    return max(0, min(alike, *(e.start - 1 for e in examples)))


def join(batch: Batch, shared: int) -> Batch:
    """These rows as one that begins with the first `shared` tokens of all, (1, P)."""
    ids, places = list(batch.examples[0].ids[:shared]), list(range(shared))
    owners, learn = [-1] * shared, [False] * shared
    for i, e in enumerate(batch.examples):
        ids += e.ids[shared:]
        places += range(shared, len(e.ids))
        owners += [i] * (len(e.ids) - shared)
        learn += [at >= max(e.start, 1) for at in range(shared, len(e.ids))]
    device = batch.ids_BT.device
    owner_P = torch.tensor(owners, device=device)
    sees_PP = ((owner_P[:, None] == owner_P) | (owner_P < 0)).tril()
    ids_1P = torch.tensor([ids], device=device)
    return replace(
        batch, ids_BT=ids_1P, mask_BT=torch.ones_like(ids_1P), learn_BT=torch.tensor([learn], device=device),
        shared=shared, places_BT=torch.tensor([places], device=device), sees_BTT=sees_PP[None],
    )  # fmt: skip


@contextmanager
def in_their_places(model: Any, batch: Batch) -> Iterator[None]:
    """Inside, the model sees the tokens of a joined batch in the places they have in their rows; nothing changes for another."""
    if batch.sees_BTT is None:
        yield
        return
    length = batch.ids_BT.shape[1]

    def enter(
        module: nn.Module, inputs: tuple[Any, ...], how: dict[str, Any]
    ) -> tuple[tuple[Any, ...], dict[str, Any]]:
        read = how.get("inputs_embeds")
        read = next(t for t in (read, how.get("input_ids"), *inputs) if t is not None)
        return inputs, how | _how(batch, how["attention_mask"].shape[1] - length, read.shape[1] - length, model.dtype)

    hook = inner(model).base_model.register_forward_pre_hook(enter, with_kwargs=True)
    try:
        yield
    finally:
        hook.remove()


def _how(batch: Batch, soft: int, read: int, dtype: torch.dtype) -> dict[str, Tensor]:
    """Mask and positions behind `soft` tokens, of which so many are read with the text; the others stand as keys and values."""
    assert batch.sees_BTT is not None and batch.places_BT is not None
    sees_BTT, places_BT = batch.sees_BTT, batch.places_BT + soft
    if soft:
        sees_BTT = torch.cat([sees_BTT.new_ones(1, sees_BTT.shape[1], soft), sees_BTT], dim=2)
    if read:
        first_SK = sees_BTT.new_ones(read, sees_BTT.shape[2]).tril()
        sees_BTT = torch.cat([first_SK[None], sees_BTT], dim=1)
        places_BT = torch.cat([torch.arange(read, device=places_BT.device)[None], places_BT], dim=1)
    mask_BTK = torch.zeros(sees_BTT.shape, dtype=dtype, device=sees_BTT.device)
    mask_BTK.masked_fill_(~sees_BTT, torch.finfo(dtype).min)
    return {"attention_mask": mask_BTK[:, None], "position_ids": places_BT}


@torch.no_grad()
def works(model: Any) -> bool:
    """Whether this model reads two short rows joined as it reads each of them alone."""

    def logits(batch: Batch) -> Tensor:
        with in_their_places(model, batch):
            found: Tensor = model(input_ids=batch.ids_BT, attention_mask=batch.mask_BT, use_cache=False).logits[0, 2:]
        return found

    ids = [i % model.config.get_text_config().vocab_size for i in range(3, 13)]
    rows = [Example(tuple(ids[:5]), 3), Example((*ids[:3], *ids[6:]), 3)]
    try:
        apart_PV = torch.cat([logits(collate([row], 0, model.device)) for row in rows])
        joined_PV = logits(join(collate(rows, 0, model.device), 2))
    except (AttributeError, IndexError, KeyError, RuntimeError, StopIteration, TypeError, ValueError):
        return False
    return bool((apart_PV - joined_PV).abs().max() < GAP * apart_PV.abs().max())


def inner(model: Any) -> Any:
    """The language model itself, inside what a method put around it."""
    return model.get_base_model() if hasattr(model, "get_base_model") else model


def drops(model: Any) -> bool:
    """Whether anything of this model is dropped at random while it trains; a trial asks once and writes it on its model."""
    rates = [
        m.p if isinstance(m, nn.Dropout) else m.dropout
        for m in model.modules()
        if isinstance(m, nn.Dropout | nn.RNNBase)
    ]
    return any(rates) or bool(getattr(inner(model).config.get_text_config(), "attention_dropout", 0.0))
