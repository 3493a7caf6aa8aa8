"""AdaLoRA: the update is written as B diag(E) A, and while it trains the least useful of its directions are taken away, so
that the matrices which need rank get it (Zhang et al. 2023, sections 3.1 to 3.3). By PEFT.

A direction's use is how much the loss would feel its loss, smoothed over steps. The schedule follows the length of the run:
a share of it trains with every direction, then the budget falls by a cube, then what is left trains on. A pruned direction is
kept as a zero in E, so the adapter is saved at its first size.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationInfo, field_validator

from experiments.accounting import Arch, Tensor, module_arch
from experiments.accounting.footprint import Footprint
from experiments.methods.base import Method, knob
from experiments.methods.targets import TargetSettings, adapted, by_matrix, check_rank, lowest, module_names

WARM, SETTLE = 0.15, 0.3  # shares of the run: with every direction, and with the final ones


class AdaloraSettings(TargetSettings):
    rank: int = knob(
        12, "First rank", ge=2, le=256,
        low="Near the rank in the end there is little to choose from.",
        high="Half as much again as in the end is the paper's choice.",
    )  # fmt: skip
    final_rank: int = knob(
        8, "Rank in the end", ge=1, le=255,
        low="The mean over all matrices: some keep none.",
        high="It has to be below the first rank.",
    )  # fmt: skip
    alpha: float = knob(
        32.0, "Alpha", gt=0, le=1024,
        low="The update is scaled by alpha / first rank: small values act like a small learning rate.",
        high="Large alpha / rank acts like a large learning rate and can diverge.",
    )  # fmt: skip
    orthogonal: float = knob(
        0.1, "Orthogonality", ge=0, le=10,
        low="0: directions may come to say the same, and pruning one then means little.",
        high="Large: they are held apart rather than learnt. The paper takes 0.1 to 0.5.",
    )  # fmt: skip

    @field_validator("final_rank")
    @classmethod
    def falls(cls, value: int, info: ValidationInfo) -> int:
        if value >= info.data.get("rank", 256):
            raise ValueError("The rank in the end has to be below the first rank.")
        return value


def size(settings: AdaloraSettings, tensor: Tensor) -> int:
    return settings.rank * (sum(tensor.shape) + 1)


def footprint(arch: Arch, settings: AdaloraSettings) -> Footprint:
    found = adapted(arch, settings)
    scaled = settings.rank * sum(arch.fan_in(t) for t in found)  # diag(E) A of each
    return Footprint(lowest=lowest(found), beside=tuple(found), rank=settings.rank, fixed=scaled)


def attach(model: Any, settings: AdaloraSettings, tokenizer: Any) -> Any:
    import torch
    from peft import AdaLoraConfig, get_peft_model

    config = AdaLoraConfig(
        task_type="CAUSAL_LM",
        init_r=settings.rank,
        target_r=settings.final_rank,
        lora_alpha=settings.alpha,  # type: ignore[arg-type]  # PEFT divides it: a fraction is fine
        orth_reg_weight=settings.orthogonal,
        total_step=1,  # told by every update
        deltaT=1,
        tinit=0,
        tfinal=0,
        target_modules=module_names(model, settings),
        fan_in_fan_out=bool(module_arch(model).transposed),
    )
    peft_model: Any = get_peft_model(model, config)
    for name, parameter in peft_model.named_parameters():
        if (
            ".ranknum." in name
        ):  # a number to divide by; where the model is not on the CPU PEFT makes it anew, learnable
            parameter.requires_grad_(False)
    found = [(n, p) for n, p in peft_model.base_model.model.named_parameters() if ".lora_" in n]
    allocator = peft_model.base_model.rankallocator
    for scores in (allocator.ipt, allocator.exp_avg_ipt, allocator.exp_avg_unc):
        scores.update({n: torch.zeros_like(p) for n, p in found})
    allocator.left = {n: torch.ones(len(p), dtype=torch.bool) for n, p in found if ".lora_E" in n}
    return peft_model


def after_update(model: Any, step: int, steps: int) -> None:
    """Weigh the directions by their gradients, which are still there, and take away what is over the budget."""
    if steps < 2:
        return
    tuner = model.base_model
    config, left = model.peft_config["default"], tuner.rankallocator.left
    config.total_step, config.tinit, config.tfinal = steps, int(WARM * steps), int(SETTLE * steps)
    config.rank_pattern = {name: mask.tolist() for name, mask in left.items()}
    tuner.update_and_allocate(step)
    for name, kept in (config.rank_pattern or {}).items():
        left[name].copy_(left[name].new_tensor(kept))
    config.rank_pattern = None  # so that the adapter is saved whole


def between_steps(model: Any) -> Mapping[str, Any]:
    """The smoothed use of each direction, forgotten when all is decided, and which are left."""
    allocator = model.base_model.rankallocator
    kept = {f"{n}.use": t for n, t in allocator.exp_avg_ipt.items()}
    kept |= {f"{n}.doubt": t for n, t in allocator.exp_avg_unc.items()}
    return kept | {f"{n}.left": t for n, t in allocator.left.items()}


def penalty(model: Any) -> Any:
    """How far the directions are from standing at right angles (the paper's equation 4), weighed."""
    import torch

    found = [(n, p) for n, p in model.named_parameters() if ".lora_A." in n or ".lora_B." in n]
    weight = model.peft_config["default"].orth_reg_weight
    total = 0
    for name, p in found:
        inner = p @ p.T if ".lora_A." in name else p.T @ p
        total = total + torch.linalg.matrix_norm(inner - torch.eye(len(inner), device=p.device))
    return weight * total / len(found)


METHOD = Method(
    key="adalora",
    title="AdaLoRA",
    summary="LoRA that begins with rank to spare and takes it away, while training, where it is used least.",
    paper="Zhang et al. 2023, AdaLoRA: Adaptive Budget Allocation for Parameter-Efficient Fine-Tuning",
    paper_url="https://arxiv.org/abs/2303.10512",
    Settings=AdaloraSettings,
    count=lambda arch, settings: sum(size(settings, t) for t in adapted(arch, settings)),
    formula=lambda arch, settings: (
        "two thin matrices and a factor for each direction: "
        f"{by_matrix(arch, settings, lambda t: f'{settings.rank} · ({sum(t.shape)} + 1)')}; "
        f"in the end {settings.final_rank} of {settings.rank} directions are left"
    ),
    footprint=footprint,
    check=check_rank,
    attach=attach,
    after_update=after_update,
    between_steps=between_steps,
    penalty=penalty,
    # The paper takes 5e-4 to 2.2e-3, by task (appendices C to E); PEFT's comparison of methods 1e-4, its default, for
    # 5,000 steps. Lab Nano, held-out loss: 2e-3 1.28, 5e-3 0.06, 1e-2 0.05, 2e-2 0.04.
    learning_rate=lambda settings: 5e-3,
    usual_rates=(5e-4, 2e-2),
    starts_at_base=lambda settings: True,
)
