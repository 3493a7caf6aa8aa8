"""LoKr: the update of a matrix is the Kronecker product of a small one and a low-rank one, W' = W + (alpha / rank) · C ⊗ BA
(Yeh et al. 2024, LyCORIS, section 3; Edalati et al. 2022, KronA). By PEFT.

C is as large as the factors of the matrix's sides that `factor` asks for; the rest is made of rank `rank`, or kept whole
where the rank would save nothing.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from math import prod
from typing import Any

from experiments.accounting import Arch, Tensor
from experiments.accounting.footprint import Footprint
from experiments.methods.base import Method, knob
from experiments.methods.targets import TargetSettings, adapted, by_matrix, module_names, multiplied_out, plain


class LokrSettings(TargetSettings):
    rank: int = knob(
        8, "Rank", ge=1, le=256,
        low="Rank 1: the second factor is one outer product.",
        high="From half the second factor's side on it is kept whole, and rank says nothing any more.",
    )  # fmt: skip
    alpha: float = knob(
        16.0, "Alpha", gt=0, le=1024,
        low="The update is scaled by alpha / rank: small values act like a small learning rate.",
        high="Large alpha / rank acts like a large learning rate and can diverge.",
    )  # fmt: skip
    factor: int = knob(
        8, "Factor", ge=2, le=64,
        low="2: four large blocks that are copies of each other but for a factor; most parameters.",
        high="Many small blocks: fewest parameters around the root of the width. Taken down to a divisor of it.",
    )  # fmt: skip


@cache
def factors(side: int, wanted: int) -> tuple[int, int]:
    """Two numbers whose product is `side`, the first as near `wanted` from below as divides it, and not the larger."""
    first = max(d for d in range(1, wanted + 1) if side % d == 0)
    return (first, side // first) if side % wanted == 0 else (min(first, side // first), max(first, side // first))


def sizes(arch: Arch, settings: LokrSettings, tensor: Tensor) -> list[tuple[int, ...]]:
    """The shapes that are trained for this matrix."""
    (out_small, out_large), (in_small, in_large) = (
        factors(side, settings.factor) for side in (arch.fan_out(tensor), arch.fan_in(tensor))
    )
    small, rank = (out_small, in_small), settings.rank
    if rank < max(out_large, in_large) / 2:
        return [small, (out_large, rank), (rank, in_large)]
    return [small, (out_large, in_large)]


def footprint(arch: Arch, settings: LokrSettings) -> Footprint:
    shapes = [sizes(arch, settings, t) for t in adapted(arch, settings)]
    products = sum(s[1][0] * s[2][1] for s in shapes if len(s) == 3)  # the second factor, where it is of low rank
    whole = multiplied_out(arch, settings)
    return replace(whole, fixed=whole.fixed + products)


def attach(model: Any, settings: LokrSettings, tokenizer: Any) -> Any:
    from peft import LoKrConfig, get_peft_model

    config = LoKrConfig(
        task_type="CAUSAL_LM",
        r=settings.rank,
        alpha=settings.alpha,  # type: ignore[arg-type]  # PEFT divides it: a fraction is fine
        decompose_factor=settings.factor,
        target_modules=module_names(model, settings),
    )
    return get_peft_model(model, config)


def count(arch: Arch, settings: LokrSettings) -> int:
    return sum(map(prod, (s for t in adapted(arch, settings) for s in sizes(arch, settings, t))))


def formula(arch: Arch, settings: LokrSettings) -> str:
    def one(tensor: Tensor) -> str:
        return "(" + " + ".join(" · ".join(map(str, s)) for s in sizes(arch, settings, tensor)) + ")"

    return f"a small matrix and what it is spread over, for each: {by_matrix(arch, settings, one)}"


METHOD = Method(
    key="lokr",
    title="LoKr",
    summary="Adds a Kronecker product: one small pattern, repeated in blocks that a second small matrix weighs.",
    paper="Yeh et al. 2024, Navigating Text-To-Image Customization: From LyCORIS Fine-Tuning to Model Evaluation",
    paper_url="https://arxiv.org/abs/2309.14859",
    Settings=LokrSettings,
    count=count,
    formula=formula,
    footprint=footprint,
    check=plain("LoKr"),
    attach=attach,
    # The paper takes 5e-4 and tries 1e-4 and 1e-3, for pictures (sections 5.3 and D.2); PEFT's comparison of methods
    # 1e-4, and 3e-3 with factor 4. Lab Nano, held-out loss: 2e-3 1.93, 6e-3 0.18, 1e-2 0.10, 2e-2 0.11, 4e-2 0.16 with
    # ever fewer facts kept.
    learning_rate=lambda settings: 1e-2,
    usual_rates=(1e-4, 2e-2),
    starts_at_base=lambda settings: True,
)
