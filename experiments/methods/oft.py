"""OFT: what goes into a matrix is turned by a block-diagonal rotation, so lengths and angles between neurons stay
(Qiu et al. 2023, section 3; Cayley's form from section 3.2). By PEFT.

A rotation of `block` features is learnt as the half of a skew-symmetric matrix above its diagonal. The rotation itself is
worked out from it by five terms of a series.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from experiments.accounting import Arch, Tensor
from experiments.accounting.footprint import Footprint
from experiments.methods.base import Method, knob
from experiments.methods.targets import TargetSettings, adapted, by_matrix, check_targets, lowest, module_names, plain


class OftSettings(TargetSettings):
    block: int = knob(
        16, "Block", ge=2, le=512, unit="features",
        low="2: each pair of features is turned on its own; fewest parameters.",
        high="Large blocks mix more features; parameters and time grow with it. It has to divide every input's width.",
    )  # fmt: skip
    share: bool = knob(
        False, "Share blocks",
        low="Off: every block of features has a rotation of its own.",
        high="On: one rotation for all blocks of a matrix; far fewer parameters.",
    )  # fmt: skip


def size(arch: Arch, settings: OftSettings, tensor: Tensor) -> int:
    blocks = 1 if settings.share else arch.fan_in(tensor) // settings.block
    return blocks * settings.block * (settings.block - 1) // 2


def divides(arch: Arch, settings: OftSettings) -> Iterator[tuple[str, str]]:
    found = list(check_targets(arch, settings))
    yield from found
    widths = () if found else sorted({arch.fan_in(t) for t in adapted(arch, settings)})
    if odd := [w for w in widths if w % settings.block]:
        yield "block", f"Blocks of {settings.block} do not divide {odd[0]:,} features evenly; choose a divisor of it."


def footprint(arch: Arch, settings: OftSettings) -> Footprint:
    found = adapted(arch, settings)
    rotations = settings.block * sum(arch.fan_in(t) for t in found)  # all blocks of all matrices, each block² numbers
    powers = 3 * settings.block**2 * len(found) if settings.share else 3 * rotations
    return Footprint(lowest=lowest(found), beside=tuple(found), fixed=rotations + powers)


def attach(model: Any, settings: OftSettings, tokenizer: Any) -> Any:
    from peft import OFTConfig, get_peft_model

    config = OFTConfig(
        task_type="CAUSAL_LM",
        r=0,
        oft_block_size=settings.block,
        block_share=settings.share,
        target_modules=module_names(model, settings),
    )
    return get_peft_model(model, config)


METHOD = Method(
    key="oft",
    title="OFT",
    summary="Turns the inputs of each matrix by small rotations: directions change, lengths and angles do not.",
    paper="Qiu et al. 2023, Controlling Text-to-Image Diffusion by Orthogonal Finetuning",
    paper_url="https://arxiv.org/abs/2306.07280",
    Settings=OftSettings,
    count=lambda arch, settings: sum(size(arch, settings, t) for t in adapted(arch, settings)),
    formula=lambda arch, settings: (
        f"rotations of {settings.block} features, {settings.block} · {settings.block - 1} / 2 numbers each: "
        f"{by_matrix(arch, settings, lambda t: size(arch, settings, t))}"
    ),
    footprint=footprint,
    check=plain("OFT", divides),
    attach=attach,
    # OFTv2's paper (arXiv 2506.19847, appendix A), whose series this is, takes 2e-4 to 8e-4 for Llama 2 and BART;
    # PEFT's comparison of methods 1e-4. Lab Nano, held-out loss: 1e-3 0.14, 3e-3 0.04, 1e-2 0.24 with three quarters
    # of the facts lost.
    learning_rate=lambda settings: 3e-3,
    usual_rates=(1e-4, 1e-2),
    starts_at_base=lambda settings: True,
)
