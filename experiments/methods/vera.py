"""VeRA: two random matrices, shared by the whole model and never trained, and two short vectors that are:
W' = W + diag(b) B diag(d) A (Kopiczko et al. 2024, section 3.1). By PEFT.

A and B are as large as the largest matrix wants and cut for the others. They are saved with the adapter, so that it loads
the same everywhere.
"""

from __future__ import annotations

from typing import Any

from experiments.accounting import Arch, module_arch
from experiments.accounting.footprint import Footprint
from experiments.methods.base import Method, knob
from experiments.methods.targets import TargetSettings, adapted, by_matrix, check_targets, lowest, module_names


class VeraSettings(TargetSettings):
    rank: int = knob(
        256, "Rank", ge=1, le=2048,
        low="Random directions: a few of them hardly hold what the task wants.",
        high="Costs time and memory in every step, but only one number each to train.",
    )  # fmt: skip
    start: float = knob(
        0.1, "Start of d", gt=0, le=10,
        low="Near 0 the second vector gets no gradient.",
        high="Above 1 the random matrices are loud and the rate must fall.",
    )  # fmt: skip


def count(arch: Arch, settings: VeraSettings) -> int:
    return sum(settings.rank + arch.fan_out(t) for t in adapted(arch, settings))


def shared(arch: Arch, settings: VeraSettings) -> int:
    """Numbers in the two random matrices."""
    found = adapted(arch, settings)
    return settings.rank * (max(arch.fan_in(t) for t in found) + max(arch.fan_out(t) for t in found))


def footprint(arch: Arch, settings: VeraSettings) -> Footprint:
    found = adapted(arch, settings)
    return Footprint(lowest=lowest(found), beside=tuple(found), rank=settings.rank, frozen_thin=True)


def attach(model: Any, settings: VeraSettings, tokenizer: Any) -> Any:
    from peft import VeraConfig, get_peft_model

    config = VeraConfig(
        task_type="CAUSAL_LM",
        r=settings.rank,
        d_initial=settings.start,
        target_modules=module_names(model, settings),
        fan_in_fan_out=bool(module_arch(model).transposed),
    )
    return get_peft_model(model, config)


METHOD = Method(
    key="vera",
    title="VeRA",
    summary="Shares two random matrices among all layers and trains only how loud each of their directions is.",
    paper="Kopiczko et al. 2024, VeRA: Vector-based Random Matrix Adaptation",
    paper_url="https://arxiv.org/abs/2310.11454",
    Settings=VeraSettings,
    count=count,
    formula=lambda arch, settings: (
        f"two vectors for each matrix: {by_matrix(arch, settings, lambda t: f'({settings.rank} + {arch.fan_out(t)})')}"
    ),
    footprint=footprint,
    stored=lambda arch, settings: count(arch, settings) + shared(arch, settings),
    check=check_targets,
    attach=attach,
    # The paper takes 4e-3 for instructions, ten times LoRA's, 4e-3 to 3e-2 for GLUE, 2e-2 and 1e-1 for GPT-2 on E2E
    # (appendix A). Lab Nano, held-out loss: 2e-2 0.74, 3e-2 0.30, 5e-2 0.11, 1e-1 0.12 with fewer facts kept,
    # 2e-1 0.24.
    learning_rate=lambda settings: 5e-2,
    usual_rates=(4e-3, 1e-1),
    starts_at_base=lambda settings: True,
)
