"""The loss of a causal language model, with logits made only where they are needed.

Shapes: B rows, T tokens, D width, V vocabulary, N learnt tokens. The head is the dearest matrix product of a small model;
of a row of 60 tokens perhaps 20 are learnt, so it is given only the hidden states that predict those.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from experiments.engine import head
from experiments.engine.data import Batch
from experiments.engine.joining import in_their_places, joined
from experiments.engine.prefix import stepped_over


@contextmanager
def head_only_at(model: Any, where_BT: Tensor) -> Iterator[None]:
    """Inside, the model's logits have shape (N, V): those of the marked positions, row by row.

    Soft prompts make the hidden states longer on the left; the marks are for the last T positions.
    """
    length = where_BT.shape[1]

    def select(head: Any, inputs: tuple[Tensor, ...]) -> tuple[Tensor]:
        return (inputs[0][:, -length:][where_BT],)

    hook = model.get_output_embeddings().register_forward_pre_hook(select)
    try:
        yield
    finally:
        hook.remove()


def answer_logits(model: Any, batch: Batch) -> Tensor:
    """The logits from which each learnt token of the batch is predicted, row by row, shape (N, V)."""
    return _predicting(model, batch).float()


def _predicting(model: Any, batch: Batch) -> Tensor:
    """The model's output where the next token is learnt, shape (N, V)."""
    batch = joined(model, batch)
    before_BT = torch.zeros_like(batch.learn_BT)
    before_BT[:, :-1] = batch.learn_BT[:, 1:]  # token t is predicted from position t - 1
    with head_only_at(model, before_BT), stepped_over(model, batch), in_their_places(model, batch):
        logits_NV: Tensor = model(input_ids=batch.ids_BT, attention_mask=batch.mask_BT, use_cache=False).logits
    return logits_NV


def token_losses(model: Any, batch: Batch) -> Tensor:
    """Negative log-likelihood in nats of each learnt token of the batch, shape (N,)."""
    return torch.nn.functional.cross_entropy(
        answer_logits(model, batch), batch.ids_BT[batch.learn_BT], reduction="none"
    )


def completion_loss(model: Any, batch: Batch) -> Tensor:
    """Mean loss of the batch's learnt tokens, nats: a scalar with a gradient."""
    frozen = head.frozen(model)
    if frozen is None:
        return token_losses(model, batch).mean()
    with head.left_out(frozen):
        hidden_ND = _predicting(model, batch)
    return head.losses(hidden_ND, batch.ids_BT[batch.learn_BT], frozen).mean()
