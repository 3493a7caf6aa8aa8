"""QLoRA: LoRA beside a base whose frozen matrices are packed into 4 bits (Dettmers et al. 2023). The base is rounded, the adapter is
not; the adapter learns around what the rounding cost.

NF4 has sixteen values where weights lie densest (section 3), a scale for every 64 of them; double quantization packs the scales,
too. int8 has a scale for each row (Dettmers et al. 2022). All of it by bitsandbytes, on the CPU as well.
"""

from __future__ import annotations

import warnings
from dataclasses import replace
from typing import Any, Literal

from experiments.accounting import Arch
from experiments.accounting.footprint import Footprint
from experiments.methods import lora
from experiments.methods.base import Method, knob
from experiments.methods.targets import TargetSettings, plain


class QloraSettings(TargetSettings):
    weights: Literal["nf4", "int8"] = knob(
        "nf4", "Base weights",
        low="nf4 keeps a weight in 4 bits: about an eighth of float32.",
        high="int8 keeps it in 8: twice as much as NF4, and it rounds less.",
    )  # fmt: skip
    double: bool = knob(
        True, "Double quantization",
        low="Off: NF4's scales, one for every 64 weights, stay in 32 bits each.",
        high="On: the scales are packed, too, and save 0.37 bits a weight (the paper's section 3). int8 has none of it.",
    )  # fmt: skip
    compute: Literal["float32", "bf16"] = knob(
        "float32", "Products in",
        low="float32 is right on a CPU: without AVX-512 BF16 bf16 takes ten times as long there.",
        high="bf16 is the paper's choice, for a GPU. int8 works in its own way.",
    )  # fmt: skip
    optimizer: Literal["adamw", "paged-adamw-8bit"] = knob(
        "adamw", "Optimizer",
        low="AdamW keeps two 32-bit numbers for each that is trained.",
        high="8-bit AdamW keeps a quarter of that; on a GPU it can make way to the host's memory (paged), on a CPU there is nothing "
             "to page, and it is 8-bit only.",
    )  # fmt: skip
    rank: int = lora.LoraSettings.model_fields["rank"]  # type: ignore[assignment]
    alpha: float = lora.LoraSettings.model_fields["alpha"]  # type: ignore[assignment]
    dropout: float = lora.LoraSettings.model_fields["dropout"]  # type: ignore[assignment]


def as_lora(settings: QloraSettings) -> lora.LoraSettings:
    shared = {name: getattr(settings, name) for name in ("rank", "alpha", "dropout", "targets", "layers")}
    return lora.LoraSettings(**shared)


def packed(settings: QloraSettings) -> Literal["int8", "nf4", "nf4-double"]:
    """The precision of the frozen matrices, as the calculator names it."""
    return "int8" if settings.weights == "int8" else "nf4-double" if settings.double else "nf4"


def footprint(arch: Arch, settings: QloraSettings) -> Footprint:
    kept: Literal["", "paged-adamw-8bit"] = "" if settings.optimizer == "adamw" else "paged-adamw-8bit"
    return replace(lora.footprint(arch, as_lora(settings)), packed=packed(settings), optimizer=kept)


def prepare(model: Any, settings: QloraSettings) -> None:
    from experiments.engine.packing import pack

    pack(model, packed(settings), settings.compute)


def optimizer(settings: QloraSettings, groups: Any) -> Any:
    """Paged where the device has pages: elsewhere bitsandbytes falls back by itself, with a warning that the form gives already."""
    import torch

    if settings.optimizer == "adamw":
        return torch.optim.AdamW(groups, fused=True)
    from bitsandbytes.optim import PagedAdamW8bit

    warnings.filterwarnings("ignore", "Paged optimizers are not supported on CPU", UserWarning)
    return PagedAdamW8bit(groups)


METHOD = Method(
    key="qlora",
    title="QLoRA",
    summary="LoRA beside a base packed into 4 bits: an eighth of the memory for its weights, at some cost in time and precision.",
    paper="Dettmers et al. 2023, QLoRA: Efficient Finetuning of Quantized LLMs",
    paper_url="https://arxiv.org/abs/2305.14314",
    Settings=QloraSettings,
    count=lambda arch, settings: lora.count(arch, as_lora(settings)),
    formula=lambda arch, settings: lora.formula(arch, as_lora(settings)),
    footprint=footprint,
    check=plain("QLoRA", lambda arch, settings: lora.check(arch, as_lora(settings))),
    prepare=prepare,
    attach=lambda model, settings, tokenizer: lora.attach(model, as_lora(settings), tokenizer),
    optimizer=optimizer,
    learning_rate=lambda settings: 1e-3,
    usual_rates=(1e-4, 2e-3),
    starts_at_base=lambda settings: False,
)
