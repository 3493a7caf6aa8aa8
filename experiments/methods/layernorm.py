"""LayerNorm tuning: only the scales (and shifts) of the norms move (Zhao et al. 2023). By PEFT.

A norm is told by its shape: of all weights of a language model only those of norms have one dimension.
"""

from __future__ import annotations

from typing import Any

from experiments.accounting import Arch, Tensor
from experiments.accounting.footprint import Footprint
from experiments.methods.base import Method, NoSettings


def norms(arch: Arch) -> list[Tensor]:
    """The tensors of all norms: their weights, and their biases where they have some."""
    holders = {t.name.removesuffix(".weight") for t in arch.tensors if t.name.endswith(".weight") and len(t.shape) == 1}
    return [t for t in arch.tensors if t.name.rpartition(".")[0] in holders]


def attach(model: Any, settings: NoSettings, tokenizer: Any) -> Any:
    from peft import LNTuningConfig, get_peft_model

    found = (name for name, p in model.named_parameters() if name.endswith(".weight") and p.dim() == 1)
    targets = list(dict.fromkeys(name.split(".")[-2] for name in found))
    return get_peft_model(model, LNTuningConfig(task_type="CAUSAL_LM", target_modules=targets))


METHOD = Method(
    key="layernorm",
    title="LayerNorm",
    summary="Trains the scales of the norms only: how loud each feature is where a block begins.",
    paper="Zhao et al. 2023, Tuning LayerNorm in Attention: Towards Efficient Multi-Modal LLM Finetuning",
    paper_url="https://arxiv.org/abs/2312.11420",
    Settings=NoSettings,
    count=lambda arch, settings: sum(t.size for t in norms(arch)),
    formula=lambda arch, settings: (
        f"the scales of {len(norms(arch))} norms, as wide as the model: {len(norms(arch))} · {arch.width}"
        if all(t.shape == (arch.width,) for t in norms(arch))
        else f"{len(norms(arch))} scales and shifts of norms"
    ),
    footprint=lambda arch, settings: Footprint(moved=tuple(norms(arch))),
    attach=attach,
    learning_rate=lambda settings: 1e-2,
    usual_rates=(1e-4, 2e-2),
    starts_at_base=lambda settings: True,
)
