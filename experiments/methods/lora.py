"""LoRA: beside a frozen matrix W (out × in) two thin ones learn, W' = W + (alpha / rank) · B A.

A is rank × in and starts random, B is out × rank and starts at zero, so the untrained adapter changes nothing
(Hu et al. 2021, section 4.1). Attached by PEFT.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pydantic import field_validator

from experiments.accounting import LAYER, Arch, Tensor, layer_indices
from experiments.methods.base import Method, Settings, knob

ALL = "all-linear"


class LoraSettings(Settings):
    rank: int = knob(
        8, "Rank", ge=1, le=256,
        low="Rank 1 already restyles answers; new facts may not fit.",
        high="More to train and to store; past the task's own rank it only overfits sooner.",
    )  # fmt: skip
    alpha: float = knob(
        16.0, "Alpha", gt=0, le=1024,
        low="The update is scaled by alpha / rank: small values act like a small learning rate.",
        high="Large alpha / rank acts like a large learning rate and can diverge.",
    )  # fmt: skip
    dropout: float = knob(
        0.0, "Dropout", ge=0, lt=1,
        low="0 is right for short runs.",
        high="Above 0.3 the adapter hardly sees its input.",
    )  # fmt: skip
    targets: tuple[str, ...] = knob(
        (ALL,), "Target modules", min_length=1, max_length=32,
        low="q_proj, v_proj is the paper's choice: a fifth of the parameters, a step a third faster, and it learns less in it.",
        high="all-linear adapts every matrix of a block; on small models it learns most and forgets least (docs/LOG.md).",
    )  # fmt: skip
    layers: str = knob(
        "all", "Layers", max_length=200,
        low="“last 6” skips the backward pass below and is faster.",
        high="“all” learns most; “0-5,12” names single layers.",
    )  # fmt: skip

    @field_validator("targets", mode="before")
    @classmethod
    def split(cls, value: object) -> object:
        """A comma-separated line is a list of names."""
        return tuple(t.strip() for t in value.split(",") if t.strip()) if isinstance(value, str) else value


def adapted(arch: Arch, settings: LoraSettings) -> list[Tensor]:
    """The matrices that get an adapter."""
    layers = set(layer_indices(settings.layers, arch.layers))
    targets = arch.linear_names if ALL in settings.targets else settings.targets
    return [t for t in arch.linears if t.module in targets and t.layer in layers]


def count(arch: Arch, settings: LoraSettings) -> int:
    return sum(settings.rank * sum(t.shape) for t in adapted(arch, settings))


def formula(arch: Arch, settings: LoraSettings) -> str:
    layers = layer_indices(settings.layers, arch.layers)
    first = [t for t in adapted(arch, settings) if t.layer == layers[0]]
    sizes = " + ".join(f"({t.shape[1]} + {t.shape[0]})" for t in first)
    return f"two thin matrices beside {len(first)} of each layer: {len(layers)} · {settings.rank} · [{sizes}]"


def check(arch: Arch, settings: LoraSettings) -> Iterator[tuple[str, str]]:
    if missing := [t for t in settings.targets if t not in (ALL, *arch.linear_names)]:
        have = ", ".join(arch.linear_names)
        yield "targets", f"This model has no module {' or '.join(f'“{t[:40]}”' for t in missing)}; it has {have}."
    try:
        layer_indices(settings.layers, arch.layers)
    except ValueError as error:
        yield "layers", str(error)


def linear_names(model: Any) -> list[str]:
    """The names of the linear layers inside blocks, each once: `q_proj`, `down_proj`, …"""
    from torch.nn import Linear
    from transformers.pytorch_utils import Conv1D

    found = (name for name, module in model.named_modules() if isinstance(module, Linear | Conv1D))
    return list(dict.fromkeys(name.split(".")[-1] for name in found if LAYER.search(name)))


def attach(model: Any, settings: LoraSettings, tokenizer: Any) -> Any:
    from peft import LoraConfig, get_peft_model

    layers = model.config.get_text_config().num_hidden_layers
    config = LoraConfig(
        task_type="CAUSAL_LM",
        r=settings.rank,
        lora_alpha=settings.alpha,  # type: ignore[arg-type]  # PEFT divides it: a fraction is fine
        lora_dropout=settings.dropout,
        target_modules=linear_names(model) if ALL in settings.targets else list(settings.targets),
        layers_to_transform=None if settings.layers == "all" else list(layer_indices(settings.layers, layers)),
    )
    return get_peft_model(model, config)


METHOD = Method(
    key="lora",
    title="LoRA",
    summary="Adds two thin matrices beside chosen weight matrices and trains only those.",
    paper="Hu et al. 2021, LoRA: Low-Rank Adaptation of Large Language Models",
    paper_url="https://arxiv.org/abs/2106.09685",
    Settings=LoraSettings,
    count=count,
    formula=formula,
    check=check,
    attach=attach,
    learning_rate=lambda settings: 1e-3,
    usual_rates=(1e-4, 2e-3),
    starts_at_base=lambda settings: True,
)
