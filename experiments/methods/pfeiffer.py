"""Pfeiffer's adapters: one small network in each block, behind the feed-forward (Pfeiffer et al. 2021, section 3.1: half of
Houlsby's, at nearly the same quality).
"""

from __future__ import annotations

from typing import Any

from experiments.accounting import module_arch
from experiments.methods import bottlenecks
from experiments.methods.base import Method
from experiments.methods.bottlenecks import BottleneckSettings, narrow, size, stand, ways_out


def attach(model: Any, settings: BottleneckSettings, tokenizer: Any) -> Any:
    from experiments.engine import bottleneck

    arch = module_arch(model)
    stand(
        model, ways_out(arch, attention=False), 1, bottleneck.after,
        lambda: bottleneck.plain(arch.width, narrow(arch, settings), settings.activation),
    )  # fmt: skip
    return bottleneck.marked(model, "pfeiffer", settings)


METHOD = Method(
    key="pfeiffer",
    title="Pfeiffer",
    summary="Puts one small network into each block, behind the feed-forward: half of Houlsby's.",
    paper="Pfeiffer et al. 2021, AdapterFusion: Non-Destructive Task Composition for Transfer Learning",
    paper_url="https://arxiv.org/abs/2005.00247",
    Settings=BottleneckSettings,
    count=lambda arch, settings: arch.layers * size(arch, settings),
    formula=lambda arch, settings: (
        f"a bottleneck in each layer: {arch.layers} · "
        f"(2 · {arch.width} · {narrow(arch, settings)} + {narrow(arch, settings)} + {arch.width})"
    ),
    footprint=lambda arch, settings: bottlenecks.footprint(arch, settings, 1),
    check=bottlenecks.check,
    attach=attach,
    learning_rate=lambda settings: 1e-3,
    usual_rates=(1e-4, 5e-3),
    starts_at_base=lambda settings: True,
)
