"""Compacter: Houlsby's adapters whose matrices are sums of Kronecker products, with one factor shared by all and the other of
low rank (Mahabadi et al. 2021, section 4).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from experiments.accounting import Arch, module_arch
from experiments.accounting.footprint import Footprint
from experiments.methods import bottlenecks
from experiments.methods.base import Method, knob
from experiments.methods.bottlenecks import BottleneckSettings, narrow, stand, ways_out


class CompacterSettings(BottleneckSettings):
    products: int = knob(
        4, "Products", ge=1, le=32,
        low="1: an ordinary adapter of that rank.",
        high="n products: 1/n of the parameters. It has to divide the width and the bottleneck.",
    )  # fmt: skip
    rank: int = knob(
        1, "Rank", ge=1, le=64,
        low="1 is the paper's choice.",
        high="Each costs as much again; near the bottleneck nothing is saved any more.",
    )  # fmt: skip


def size(arch: Arch, settings: CompacterSettings) -> int:
    """Parameters of one adapter: both layers' thin factors and their biases."""
    return (2 * settings.rank + 1) * (arch.width + narrow(arch, settings))


def check(arch: Arch, settings: CompacterSettings) -> Iterator[tuple[str, str]]:
    yield from bottlenecks.check(arch, settings)
    few = narrow(arch, settings)
    if arch.width % settings.products or few % settings.products:
        sentence = (
            f"{settings.products} products do not divide a width of {arch.width} and a bottleneck of {few} evenly."
        )
        yield "products", sentence


def footprint(arch: Arch, settings: CompacterSettings) -> Footprint:
    plain = bottlenecks.footprint(arch, settings, 2)
    each = 2 * arch.width * narrow(arch, settings)  # both matrices multiplied out, and the low-rank factors of each
    return replace(plain, fixed=2 * arch.layers * (each + each // settings.products))


def attach(model: Any, settings: CompacterSettings, tokenizer: Any) -> Any:
    from experiments.engine import bottleneck

    arch, rule = module_arch(model), bottleneck.rule(settings.products)
    rule.data = rule.data.to(model.device)
    for attention in (True, False):
        stand(
            model, ways_out(arch, attention), 1, bottleneck.after,
            lambda: bottleneck.kronecker(arch.width, narrow(arch, settings), settings.activation, rule, settings.rank),
        )  # fmt: skip
    return bottleneck.marked(model, "compacter", settings)


METHOD = Method(
    key="compacter",
    title="Compacter",
    summary="Houlsby's adapters made of Kronecker products that share a factor: a small fraction of their parameters.",
    paper="Mahabadi et al. 2021, Compacter: Efficient Low-Rank Hypercomplex Adapter Layers",
    paper_url="https://arxiv.org/abs/2106.04647",
    Settings=CompacterSettings,
    count=lambda arch, settings: settings.products**3 + 2 * arch.layers * size(arch, settings),
    formula=lambda arch, settings: (
        f"a shared factor and thin ones: {settings.products}³ + 2 · {arch.layers} · "
        f"(2 · {settings.rank} + 1) · ({arch.width} + {narrow(arch, settings)})"
    ),
    footprint=footprint,
    check=check,
    attach=attach,
    # Its authors' code takes 3e-3 (rabeehk/compacter, configs). Lab Nano, held-out loss: 3e-3 0.37, 1e-2 0.13, 3e-2 0.15.
    learning_rate=lambda settings: 1e-2,
    usual_rates=(1e-3, 3e-2),
    starts_at_base=lambda settings: True,
)
