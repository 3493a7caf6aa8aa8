"""Partial fine-tuning: the last k blocks move, all below stays as it was."""

from collections.abc import Iterator
from typing import Any

from experiments.accounting import LAYER, Arch, Tensor
from experiments.accounting.footprint import Footprint
from experiments.methods.base import Method, Settings, knob


class PartialSettings(Settings):
    last_layers: int = knob(
        4, "Last layers", ge=1, le=200, unit="layers",
        low="One block can restyle an answer but hardly learn a new skill.",
        high="All blocks is full fine-tuning without the embeddings, at nearly its cost.",
    )  # fmt: skip


def moved(arch: Arch, settings: PartialSettings) -> tuple[Tensor, ...]:
    """Every weight of the last blocks."""
    first = arch.layers - settings.last_layers
    return tuple(t for t in arch.tensors if t.layer is not None and t.layer >= first)


def count(arch: Arch, settings: PartialSettings) -> int:
    return sum(t.size for t in moved(arch, settings))


def footprint(arch: Arch, settings: PartialSettings) -> Footprint:
    return Footprint(lowest=arch.layers - settings.last_layers, moved=moved(arch, settings))


def check(arch: Arch, settings: PartialSettings) -> Iterator[tuple[str, str]]:
    if settings.last_layers > arch.layers:
        yield "last_layers", f"This model has {arch.layers} layers; {settings.last_layers} are asked for."


def attach(model: Any, settings: PartialSettings, tokenizer: Any) -> Any:
    first = model.config.get_text_config().num_hidden_layers - settings.last_layers
    for name, parameter in model.named_parameters():
        if (found := LAYER.search(name)) and int(found.group(1)) >= first:
            parameter.requires_grad_(True)
    return model


METHOD = Method(
    key="partial",
    title="Partial",
    summary="Trains the last few blocks whole and leaves the rest alone: no backward pass below them.",
    paper="Yosinski et al. 2014, How transferable are features in deep neural networks?",
    paper_url="https://arxiv.org/abs/1411.1792",
    Settings=PartialSettings,
    count=count,
    footprint=footprint,
    formula=lambda arch, settings: (
        f"every weight of the last {settings.last_layers} of {arch.layers} layers: "
        f"{settings.last_layers} · {count(arch, settings) // settings.last_layers}"
    ),
    check=check,
    attach=attach,
    learning_rate=lambda settings: 2e-4,
    usual_rates=(1e-5, 5e-4),
    starts_at_base=lambda settings: True,
)
