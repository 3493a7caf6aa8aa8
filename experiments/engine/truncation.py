"""The whole rank curve from one LoRA run: its update cut to every smaller rank, and looked at each time. Nothing is trained.

The best approximation of rank k to ΔW = B A is its first k singular directions (Eckart & Young 1936). They are found without making
ΔW: with B = Q_b R_b and Aᵀ = Q_a R_a, those of ΔW are those of R_b R_aᵀ, which is only rank × rank. A run trained at rank k is
not the same: it learnt with k directions from the first step on, at another alpha / rank, and may have found others.

Shapes: I in, O out, R the trained rank, K the rank it is cut to.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from experiments import events
from experiments.catalog import tasks
from experiments.engine import evaluation
from experiments.engine.models import Base

ADAPTER = "default"


@dataclass(frozen=True)
class Cut:
    """One pair of thin matrices and their product by its singular directions: `left_OR` · `values_R` · `right_RI`."""

    a_RI: Tensor
    b_OR: Tensor
    left_OR: Tensor
    values_R: Tensor
    right_RI: Tensor

    def to(self, rank: int) -> None:
        """Put the best approximation of this rank into the two matrices."""
        root_R = self.values_R.sqrt()
        root_R = torch.where(torch.arange(len(root_R), device=root_R.device) < rank, root_R, 0)
        self.b_OR.copy_(self.left_OR * root_R)
        self.a_RI.copy_(root_R[:, None] * self.right_RI)


@torch.no_grad()
def cuts(model: Any) -> list[Cut]:
    """The pairs of a loaded LoRA. Raises `ValueError` where the model has none."""
    found = []
    for module in model.modules():
        pairs = getattr(module, "lora_A", None)
        if pairs is None or ADAPTER not in pairs:
            continue
        a_RI, b_OR = pairs[ADAPTER].weight.data, module.lora_B[ADAPTER].weight.data
        left_OR, below_RR = torch.linalg.qr(b_OR)
        right_IR, above_RR = torch.linalg.qr(a_RI.T)
        u_RR, values_R, v_RR = torch.linalg.svd(below_RR @ above_RR.T, full_matrices=False)
        found.append(Cut(a_RI, b_OR, left_OR @ u_RR, values_R, v_RR @ right_IR.T))
    if not found:
        raise ValueError("Only a LoRA run has an update that can be cut to smaller ranks.")
    return found


@contextmanager
def put_back(found: Sequence[Cut]) -> Iterator[None]:
    """Afterwards the two matrices of each are as they were, bit for bit."""
    kept = [(cut.a_RI.clone(), cut.b_OR.clone()) for cut in found]
    try:
        yield
    finally:
        for cut, (a_RI, b_OR) in zip(found, kept, strict=True):
            cut.a_RI.copy_(a_RI)
            cut.b_OR.copy_(b_OR)


def ranks(trained: int) -> list[int]:
    """The ranks to look at: the powers of two below the trained one, and itself."""
    return [*(2**i for i in range(trained.bit_length()) if 2**i < trained), trained]


@torch.no_grad()
def curve(model: Any, base: Base, task: tasks.Task, between: Callable[[], None]) -> Iterator[events.Ranked]:
    """The held-out loss at every rank, the base (rank 0) first. Raises `ValueError` for what is no LoRA."""
    found = cuts(model)
    trained = max(len(cut.values_R) for cut in found)
    whole = sum(float((cut.values_R**2).sum()) for cut in found)
    with put_back(found):
        for rank in [0, *ranks(trained)]:
            between()
            began = time.perf_counter()
            for cut in found:
                cut.to(rank)
            kept = sum(float((cut.values_R[:rank] ** 2).sum()) for cut in found)
            loss = evaluation.held_out_loss(model, base, task, between)
            yield events.Ranked(
                rank=rank, held_out_loss=loss, kept=round(kept / whole, 6) if whole else 1.0,
                parameters=sum(rank * (cut.a_RI.shape[1] + len(cut.b_OR)) for cut in found),
                elapsed_s=round(time.perf_counter() - began, 3),
            )  # fmt: skip
