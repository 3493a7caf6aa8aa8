"""LoHa: the update of a matrix is the elementwise product of two low-rank ones, W' = W + (alpha / rank) · (B₁A₁ ⊙ B₂A₂)
(Hyeon-Woo et al. 2022, FedPara, section 2.1; Yeh et al. 2024, LyCORIS). By PEFT.

The product of two matrices of rank r has a rank of up to r², for twice LoRA's parameters of that r. It is multiplied out in
every step, which takes the room of the matrix itself.
"""

from __future__ import annotations

from typing import Any

from experiments.accounting import Tensor
from experiments.methods.base import Method, knob
from experiments.methods.targets import TargetSettings, adapted, by_matrix, module_names, multiplied_out, plain


class LohaSettings(TargetSettings):
    rank: int = knob(
        4, "Rank", ge=1, le=128,
        low="Rank 1: a product of two outer products is again one.",
        high="Its square bounds the update's rank, so more is seldom needed; parameters grow by twice LoRA's.",
    )  # fmt: skip
    alpha: float = knob(
        8.0, "Alpha", gt=0, le=1024,
        low="The update is scaled by alpha / rank: small values act like a small learning rate.",
        high="Large alpha / rank acts like a large learning rate and can diverge.",
    )  # fmt: skip


def size(settings: LohaSettings, tensor: Tensor) -> int:
    return 2 * settings.rank * sum(tensor.shape)


def attach(model: Any, settings: LohaSettings, tokenizer: Any) -> Any:
    from peft import LoHaConfig, get_peft_model

    config = LoHaConfig(
        task_type="CAUSAL_LM",
        r=settings.rank,
        alpha=settings.alpha,  # type: ignore[arg-type]  # PEFT divides it: a fraction is fine
        target_modules=module_names(model, settings),
    )
    return get_peft_model(model, config)


METHOD = Method(
    key="loha",
    title="LoHa",
    summary="Adds the elementwise product of two low-rank matrices: an update of high rank from few numbers.",
    paper="Hyeon-Woo et al. 2022, FedPara: Low-Rank Hadamard Product for Communication-Efficient Federated Learning",
    paper_url="https://arxiv.org/abs/2108.06098",
    Settings=LohaSettings,
    count=lambda arch, settings: sum(size(settings, t) for t in adapted(arch, settings)),
    formula=lambda arch, settings: (
        f"two pairs of thin matrices beside each: "
        f"{by_matrix(arch, settings, lambda t: f'2 · {settings.rank} · {sum(t.shape)}')}"
    ),
    footprint=multiplied_out,
    check=plain("LoHa"),
    attach=attach,
    # LyCORIS' paper takes 5e-4 and tries 1e-4 and 1e-3, for pictures (sections 5.3 and D.2); PEFT's comparison of
    # methods 1e-4 at rank 32 for 5,000 steps. Lab Nano at rank 4, held-out loss: 1e-3 2.85, 3e-3 0.72, 1e-2 0.05,
    # 3e-2 0.17: the product of two small numbers moves slowly at first.
    learning_rate=lambda settings: 1e-2,
    usual_rates=(1e-4, 2e-2),
    starts_at_base=lambda settings: True,
)
