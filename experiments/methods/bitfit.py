"""BitFit: only the biases move (Ben Zaken et al. 2021, section 3). A model without any, such as a Llama, cannot take it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from experiments.accounting import Arch, Tensor
from experiments.accounting.footprint import Footprint
from experiments.methods.base import Method, NoSettings

BIAS = ".bias"


def biases(arch: Arch) -> tuple[Tensor, ...]:
    return tuple(t for t in arch.tensors if t.name.endswith(BIAS))


def count(arch: Arch, settings: NoSettings) -> int:
    return sum(t.size for t in biases(arch))


def check(arch: Arch, settings: NoSettings) -> Iterator[tuple[str, str]]:
    if not count(arch, settings):
        yield "", "This model has no biases, so BitFit has nothing to train; LayerNorm and IA³ are as light and fit it."


def attach(model: Any, settings: NoSettings, tokenizer: Any) -> Any:
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(name.endswith(BIAS))
    return model


METHOD = Method(
    key="bitfit",
    title="BitFit",
    summary="Trains the biases only: a constant added after each matrix. Many newer models have none.",
    paper="Ben Zaken et al. 2021, BitFit: Simple Parameter-efficient Fine-tuning for Transformer-based Masked Language-models",
    paper_url="https://arxiv.org/abs/2106.10199",
    Settings=NoSettings,
    count=count,
    formula=lambda arch, settings: f"{len(biases(arch))} biases",
    footprint=lambda arch, settings: Footprint(moved=biases(arch)),
    check=check,
    attach=attach,
    learning_rate=lambda settings: 2e-3,
    usual_rates=(1e-4, 1e-2),
    starts_at_base=lambda settings: True,
)
