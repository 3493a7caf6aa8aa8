"""The head and the loss of a language model at once, some words of the vocabulary at a time, so that the scores of all words are never
there together.

With the head frozen, the gradient of a learnt token's loss is the mean row of the head under softmax, less the row of the right word. Both
sums need one pass over the head: the running maximum m and sum z of the softmax are corrected as larger scores come (Milakov &
Gimelshein 2018), the running mean row with them (as attention's output in Dao et al. 2022). So each part of the head is
read once for both products while it is near the processor, and the three tables of N × V numbers that softmax and its gradient
take are not made: on SmolLM2 a quarter of the head's time and nearly all of its memory.

Not done where the head is trained or has an adapter, nor for a model that does more to its scores than the head (`is_all`).

Shapes: N learnt tokens, D width, V vocabulary, C words at a time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from experiments.accounting.activations import WORDS_AT_A_TIME
from experiments.engine.joining import inner

WORDS = WORDS_AT_A_TIME  # fewer make small products, more do not stay near the processor


def frozen(model: Any) -> nn.Linear | None:
    """The head of a model in training, where loss and head can be done at once; else None."""
    head = model.get_output_embeddings()
    if not getattr(inner(model), "lab_head_is_all", False) or type(head) is not nn.Linear:
        return None
    if head.weight.dtype is not torch.float32:  # the sums need it
        return None
    return None if any(p.requires_grad for p in head.parameters()) else head


def left_out(head: nn.Linear) -> AbstractContextManager[None]:
    """Inside, the model gives what enters its head in the place of logits."""
    return _instead(head, lambda hidden: hidden)


@contextmanager
def _instead(head: nn.Linear, forward: Callable[[Tensor], Tensor]) -> Iterator[None]:
    vars(head)["forward"] = forward
    try:
        yield
    finally:
        del vars(head)["forward"]


def losses(hidden_ND: Tensor, words_N: Tensor, head: nn.Linear) -> Tensor:
    """Negative log-likelihood in nats of each word, from what enters the head: (N,), with a gradient for `hidden_ND` alone."""
    found: Tensor = _Losses.apply(hidden_ND, words_N, head.weight, head.bias)
    return found


class _Losses(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, hidden_ND: Tensor, words_N: Tensor, head_VD: Tensor, bias_V: Tensor | None) -> Tensor:
        m_N = hidden_ND.new_full((len(hidden_ND),), -torch.inf)
        z_N, row_ND = torch.zeros_like(m_N), torch.zeros_like(hidden_ND)
        for start in range(0, len(head_VD), WORDS):
            part_CD = head_VD[start : start + WORDS]
            scores_NC = hidden_ND @ part_CD.T
            if bias_V is not None:
                scores_NC += bias_V[start : start + WORDS]
            higher_N = torch.maximum(m_N, scores_NC.amax(1))
            scores_NC.sub_(higher_N[:, None]).exp_()
            fewer_N = (m_N - higher_N).exp_()
            z_N.mul_(fewer_N).add_(scores_NC.sum(1))
            row_ND.mul_(fewer_N[:, None]).addmm_(scores_NC, part_CD)
            m_N = higher_N
        right_ND = head_VD[words_N]
        score_N = (hidden_ND * right_ND).sum(1)
        if bias_V is not None:
            score_N += bias_V[words_N]
        ctx.save_for_backward(row_ND.div_(z_N[:, None]).sub_(right_ND))
        return m_N + z_N.log() - score_N

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, None, None]:
        (gradient_ND,) = ctx.saved_tensors
        return gradient_ND * grads[0][:, None], None, None, None


@torch.no_grad()
def is_all(model: Any) -> bool:
    """Whether this model gives out what its head says and nothing else, however large."""
    head = model.get_output_embeddings()
    if type(head) is not nn.Linear:
        return False
    said_1TV = torch.linspace(-1e3, 1e3, 3 * head.out_features, device=model.device).view(1, 3, -1)
    with _instead(head, lambda hidden: said_1TV):
        ids_1T = torch.zeros(1, 3, dtype=torch.long, device=model.device)
        return torch.equal(model(input_ids=ids_1T, use_cache=False).logits.float(), said_1TV)
