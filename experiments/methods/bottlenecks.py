"""What the bottleneck adapters share: their size, and where in a block they stand."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal

from experiments.accounting import Arch, Tensor, module_arch
from experiments.accounting.footprint import Footprint
from experiments.methods.base import Settings, knob

ATTENTION_OUT = ("o_proj", "c_proj", "dense", "out_proj")


class BottleneckSettings(Settings):
    reduction: int = knob(
        16, "Reduction", ge=1, le=512,
        low="2: half the model's width; nearly as much to train as a feed-forward part.",
        high="The bottleneck is width / reduction features; a handful of them only restyle.",
    )  # fmt: skip
    activation: Literal["relu", "gelu", "silu", "tanh"] = knob(
        "relu", "Activation",
        low="relu keeps least for the backward pass.",
        high="gelu and silu let a little through everywhere; the difference is small.",
    )  # fmt: skip


def narrow(arch: Arch, settings: BottleneckSettings) -> int:
    """Features of the bottleneck."""
    return max(1, arch.width // settings.reduction)


def size(arch: Arch, settings: BottleneckSettings) -> int:
    """Parameters of one adapter: two matrices with their biases."""
    width, few = arch.width, narrow(arch, settings)
    return 2 * width * few + few + width


def ways_out(arch: Arch, attention: bool) -> list[Tensor]:
    """The last matrix of each attention, or of each feed-forward."""
    found = [t for t in arch.linears if in_attention(t) == attention]
    if attention:
        return [t for t in found if t.module in ATTENTION_OUT]
    return [t for t in found if arch.fan_in(t) > arch.fan_out(t)]


def in_attention(tensor: Tensor) -> bool:
    return "attn" in tensor.name or "attention" in tensor.name


def check(arch: Arch, settings: BottleneckSettings) -> Iterator[tuple[str, str]]:
    if settings.reduction > arch.width:
        yield (
            "reduction",
            f"The model is {arch.width:,} features wide; a reduction of {settings.reduction:,} leaves none.",
        )


def footprint(arch: Arch, settings: BottleneckSettings, each: int) -> Footprint:
    """`each` adapters a block: the input of the first matrix, and of the second before and behind the bend."""
    few = narrow(arch, settings)
    bent = few * (1 if settings.activation in ("relu", "tanh") else 2)
    return Footprint(a_token=each * (arch.width + bent), passed=each * arch.layers * 2 * arch.width * few)


def of(each: int, where: str) -> dict[str, Any]:
    """What a method of `each` adapters a block says of itself, but for its name and how it is attached."""

    def formula(arch: Arch, settings: BottleneckSettings) -> str:
        width, few = arch.width, narrow(arch, settings)
        return f"{where}: {f'{each} · ' * (each > 1)}{arch.layers} · (2 · {width} · {few} + {few} + {width})"

    return {
        "count": lambda arch, settings: each * arch.layers * size(arch, settings),
        "formula": formula,
        "footprint": lambda arch, settings: footprint(arch, settings, each),
        "check": check,
        "starts_at_base": lambda settings: True,
    }


def stand_behind(model: Any, settings: BottleneckSettings, places: tuple[bool, ...]) -> None:
    """Put an adapter behind the attentions (True), behind the feed-forwards (False), or both."""
    from experiments.engine import bottleneck

    arch = module_arch(model)
    for attention in places:
        stand(
            model, ways_out(arch, attention), 1, bottleneck.after,
            lambda: bottleneck.plain(arch.width, narrow(arch, settings), settings.activation),
        )  # fmt: skip


def stand(model: Any, tensors: list[Tensor], up: int, put: Any, make: Any) -> None:
    """`put(module, make())` at the module `up` levels above each tensor's name."""
    for tensor in tensors:
        put(model.get_submodule(tensor.name.rsplit(".", up)[0]), make())
