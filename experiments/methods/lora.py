"""LoRA: beside a frozen matrix W (out × in) two thin ones learn, W' = W + (alpha / rank) · B A.

A is rank × in and starts random, B is out × rank and starts at zero, so the untrained adapter changes nothing
(Hu et al. 2021, section 4.1). Attached by PEFT. Its family are settings: rank-stabilised LoRA (Kalajdzievski 2023) scales by
alpha / √rank; DoRA (Liu et al. 2024, section 4) trains the length of each row of W' beside its direction; LoRA+ (Hayou et
al. 2024) lets B learn faster than A; PiSSA (Meng et al. 2024, section 3) starts with the strongest directions of W itself.
"""

from __future__ import annotations

import functools
import tempfile
from collections.abc import Iterator
from typing import Any, Literal

from pydantic import ValidationInfo, field_validator

from experiments.accounting import LAYER, Arch, Tensor, layer_indices
from experiments.accounting.footprint import Footprint
from experiments.methods.base import Method, Settings, knob
from experiments.methods.targets import ALL, LAYERS, Names, adapted, check_rank, check_targets, lowest

STARTS: dict[str, Any] = {
    "default": True,
    "gaussian": "gaussian",
    "pissa": "pissa_niter_16",  # a third of the time of the exact one, from 16 rounds of power iteration
    "orthogonal": "orthogonal",
}
"""What PEFT calls them."""


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
    targets: Names = knob(
        (ALL,), "Target modules", min_length=1, max_length=32,
        low="q_proj, v_proj is the paper's choice: a fifth of the parameters, a step a third faster, and it learns less in it.",
        high="all-linear adapts every matrix of a block; on small models it learns most and forgets least (docs/LOG.md).",
    )  # fmt: skip
    layers: str = LAYERS
    rslora: bool = knob(
        False, "Rank-stabilised", later=True,
        low="Off: the update is scaled by alpha / rank, so a high rank learns slowly.",
        high="On: by alpha / √rank, larger at every rank; lower the learning rate with it (arXiv 2312.03732).",
    )  # fmt: skip
    dora: bool = knob(
        False, "DoRA", later=True,
        low="Off: direction and length of each row move together.",
        high="On: the length is trained on its own; some hold it steadier, and a step takes far longer (arXiv 2402.09353).",
    )  # fmt: skip
    plus_ratio: float = knob(
        1.0, "LoRA+ ratio", ge=1, le=64, later=True,
        low="1: both matrices learn equally fast.",
        high="16 is the paper's choice, with half the usual learning rate; above that it can diverge (arXiv 2402.12354).",
    )  # fmt: skip
    bias: Literal["none", "lora_only", "all"] = knob(
        "none", "Biases", later=True,
        low="none: they stay. lora_only: those of the adapted matrices move, too.",
        high="all: every bias moves; switching the adapter off then no longer gives the base back.",
    )  # fmt: skip
    init: Literal["default", "gaussian", "pissa", "orthogonal"] = knob(
        "default", "Start", later=True,
        low="default and gaussian start at the base: one of the two matrices is zero.",
        high="pissa starts with the strongest directions of each matrix and learns fast at first (arXiv 2404.02948); "
             "orthogonal needs an even rank.",
    )  # fmt: skip

    @field_validator("init")
    @classmethod
    def can_be_saved(cls, value: str, info: ValidationInfo) -> str:
        if value == "orthogonal" and info.data.get("rank", 2) % 2:
            raise ValueError("An orthogonal start needs an even rank.")
        if value == "pissa" and (info.data.get("dora") or info.data.get("bias", "none") != "none"):
            raise ValueError(
                "PiSSA changes the base matrices, so it cannot be saved with DoRA or with biases: choose one."
            )
        return value


def count(arch: Arch, settings: LoraSettings) -> int:
    found = adapted(arch, settings)
    lengths = sum(arch.fan_out(t) for t in found) if settings.dora else 0
    return sum(settings.rank * sum(t.shape) for t in found) + lengths + sum(t.size for t in biases(arch, settings))


def biases(arch: Arch, settings: LoraSettings) -> list[Tensor]:
    """The biases that are trained beside the adapter."""
    if settings.bias == "none":
        return []
    holders = {t.name.removesuffix(".weight") for t in adapted(arch, settings)}
    found = [t for t in arch.tensors if t.name.endswith(".bias")]
    if settings.bias == "all":
        return found
    return [t for t in found if t.name.removesuffix(".bias") in holders]


def footprint(arch: Arch, settings: LoraSettings) -> Footprint:
    found = adapted(arch, settings)
    moved = tuple(biases(arch, settings))
    return Footprint(
        lowest=0 if settings.bias == "all" else lowest(found), moved=moved, beside=tuple(found), rank=settings.rank,
        dropout=settings.dropout > 0, dora=settings.dora,
    )  # fmt: skip


def saved_rank(settings: Any) -> int:
    """The rank that the saved adapter has: a PiSSA's is twice its own."""
    rank: int = settings.rank
    return 2 * rank if getattr(settings, "init", "") == "pissa" else rank


def stored(arch: Arch, settings: LoraSettings) -> int:
    """A PiSSA is saved as an ordinary adapter of twice the rank, for the unchanged base."""
    twice = sum(settings.rank * sum(t.shape) for t in adapted(arch, settings)) if settings.init == "pissa" else 0
    return count(arch, settings) + twice


def formula(arch: Arch, settings: LoraSettings) -> str:
    layers = layer_indices(settings.layers, arch.layers)
    first = [t for t in adapted(arch, settings) if t.layer == layers[0]]
    sizes = " + ".join(f"({t.shape[1]} + {t.shape[0]})" for t in first)
    text = f"two thin matrices beside {len(first)} of each layer: {len(layers)} · {settings.rank} · [{sizes}]"
    if outside := [t for t in adapted(arch, settings) if t.layer is None]:
        text += f" + {settings.rank} · [{' + '.join(f'({t.shape[1]} + {t.shape[0]})' for t in outside)}]"
    if settings.dora:
        text += f" + a length for each row: {len(layers)} · {sum(arch.fan_out(t) for t in first)}"
        text += "".join(f" + {arch.fan_out(t)}" for t in outside)
    return text + (f" + {len(found)} biases" if (found := biases(arch, settings)) else "")


def check(arch: Arch, settings: LoraSettings) -> Iterator[tuple[str, str]]:
    found = list(check_targets(arch, settings))
    if not found and settings.bias != "none" and not biases(arch, settings):
        yield "bias", "This model has no biases to train there; choose none."
    yield from check_rank(arch, settings)


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
        use_rslora=settings.rslora,
        use_dora=settings.dora,
        bias=settings.bias,
        init_lora_weights=STARTS[settings.init],
    )
    peft_model = get_peft_model(model, config)
    return saved_as_plain(peft_model) if settings.init == "pissa" else peft_model


def saved_as_plain(model: Any) -> Any:
    """The same model; what it saves is an ordinary adapter, of twice the rank, for the unchanged base (PiSSA, appendix C)."""
    start = tempfile.TemporaryDirectory(prefix="lora-start-")  # goes when the model goes
    model.peft_config["default"].init_lora_weights = True  # this start is there already
    model.save_pretrained(start.name)
    model.peft_config["default"].init_lora_weights = STARTS["pissa"]
    model.start = start
    model.save_pretrained = functools.partial(
        model.save_pretrained, path_initial_model_for_weight_conversion=start.name
    )
    return model


def rate_factor(settings: LoraSettings, name: str, dimensions: int) -> float:
    """LoRA+: B, and what is a vector, learn faster than A."""
    return settings.plus_ratio if "lora_B" in name or dimensions == 1 else 1.0


def learning_rate(settings: LoraSettings) -> float:
    """The usual 1e-3, halved for what makes each step larger."""
    return 5e-4 if settings.rslora or settings.plus_ratio > 1 or settings.init == "pissa" else 1e-3


METHOD = Method(
    key="lora",
    title="LoRA",
    summary="Adds two thin matrices beside chosen weight matrices and trains only those.",
    paper="Hu et al. 2021, LoRA: Low-Rank Adaptation of Large Language Models",
    paper_url="https://arxiv.org/abs/2106.09685",
    Settings=LoraSettings,
    count=count,
    footprint=footprint,
    stored=stored,
    formula=formula,
    check=check,
    attach=attach,
    learning_rate=learning_rate,
    usual_rates=(1e-4, 2e-3),
    starts_at_base=lambda settings: settings.init in ("default", "gaussian"),
    rate_factor=rate_factor,
)
