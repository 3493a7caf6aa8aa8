"""P-tuning: a small network makes the virtual tokens, which then depend on each other while they are trained (Liu et al.
2021, section 2.2: an LSTM with an MLP on top; later work took the MLP alone). By PEFT.

Saved is what the network makes, so that the adapter is as small as a prompt's. It starts at random vectors.
"""

from __future__ import annotations

from typing import Any, Literal

from experiments.accounting import Arch
from experiments.accounting.footprint import Footprint
from experiments.methods.base import Method, Settings, knob
from experiments.methods.soft import check_length


class PTuningSettings(Settings):
    virtual_tokens: int = knob(
        16, "Virtual tokens", ge=1, le=200, unit="tokens",
        low="One or two can only nudge the model.",
        high="Each costs context and time in every step; past some tens little is gained.",
    )  # fmt: skip
    encoder: Literal["MLP", "LSTM"] = knob(
        "MLP", "Encoder",
        low="MLP: each vector is made on its own; quick and steady.",
        high="LSTM: read in both directions, so that neighbours fit each other; the paper's way.",
    )  # fmt: skip
    hidden: int = knob(
        256, "Encoder width", ge=8, le=4096,
        low="Narrow: little more than a prompt with a detour.",
        high="Wide: far more to train than is kept in the end.",
    )  # fmt: skip
    encoder_layers: int = knob(
        2, "LSTM layers", ge=1, le=4, unit="layers",
        low="Used by the LSTM only.",
        high="More than two learn slower here.",
    )  # fmt: skip
    dropout: float = knob(
        0.0, "Encoder dropout", ge=0, lt=1,
        low="0 is right for short runs. Used between LSTM layers only.",
        high="Above 0.3 the vectors hardly settle.",
    )  # fmt: skip


def count(arch: Arch, settings: PTuningSettings) -> int:
    width, hidden = arch.width, settings.hidden
    if settings.encoder == "MLP":
        return (
            settings.virtual_tokens * width + _linear(width, hidden) + _linear(hidden, hidden) + _linear(hidden, width)
        )
    inputs = [width] + [2 * hidden] * (settings.encoder_layers - 1)
    lstm = sum(2 * 4 * hidden * (n + hidden + 2) for n in inputs)  # two directions, four gates, two biases
    return settings.virtual_tokens * width + lstm + _linear(2 * hidden, 2 * hidden) + _linear(2 * hidden, width)


def _linear(inputs: int, outputs: int) -> int:
    return inputs * outputs + outputs


def attach(model: Any, settings: PTuningSettings, tokenizer: Any) -> Any:
    from peft import PromptEncoderConfig, get_peft_model

    config = PromptEncoderConfig(
        task_type="CAUSAL_LM",
        num_virtual_tokens=settings.virtual_tokens,
        encoder_reparameterization_type=settings.encoder,
        encoder_hidden_size=settings.hidden,
        encoder_num_layers=settings.encoder_layers if settings.encoder == "LSTM" else 2,
        encoder_dropout=settings.dropout if settings.encoder_layers > 1 else 0.0,
    )
    return get_peft_model(model, config)


METHOD = Method(
    key="p-tuning",
    title="P-tuning",
    summary="Virtual tokens before the text, made by a small network while training: they learn together instead of each alone.",
    paper="Liu et al. 2021, GPT Understands, Too",
    paper_url="https://arxiv.org/abs/2103.10385",
    Settings=PTuningSettings,
    count=count,
    formula=lambda arch, settings: (
        f"{settings.virtual_tokens} vectors as wide as the model and the {settings.encoder} that makes them; "
        f"kept are {settings.virtual_tokens} · {arch.width}"
    ),
    footprint=lambda arch, settings: Footprint(virtual_tokens=settings.virtual_tokens),
    stored=lambda arch, settings: settings.virtual_tokens * arch.width,
    check=check_length,
    attach=attach,
    learning_rate=lambda settings: 1e-3,
    usual_rates=(1e-4, 1e-2),
    starts_at_base=lambda settings: False,
    least_steps=100,
)
