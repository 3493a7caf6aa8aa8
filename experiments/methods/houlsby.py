"""Houlsby's adapters: two small networks in each block, behind attention and behind the feed-forward (Houlsby et al. 2019,
section 2.1). They stand in the way of every token, so answers are a little slower, too.
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
    for attention in (True, False):
        stand(
            model, ways_out(arch, attention), 1, bottleneck.after,
            lambda: bottleneck.plain(arch.width, narrow(arch, settings), settings.activation),
        )  # fmt: skip
    return bottleneck.marked(model, "houlsby", settings)


METHOD = Method(
    key="houlsby",
    title="Houlsby",
    summary="Puts two small networks into each block, behind attention and behind the feed-forward, and trains only those.",
    paper="Houlsby et al. 2019, Parameter-Efficient Transfer Learning for NLP",
    paper_url="https://arxiv.org/abs/1902.00751",
    Settings=BottleneckSettings,
    count=lambda arch, settings: 2 * arch.layers * size(arch, settings),
    formula=lambda arch, settings: (
        f"two bottlenecks in each layer: 2 · {arch.layers} · "
        f"(2 · {arch.width} · {narrow(arch, settings)} + {narrow(arch, settings)} + {arch.width})"
    ),
    footprint=lambda arch, settings: bottlenecks.footprint(arch, settings, 2),
    check=bottlenecks.check,
    attach=attach,
    learning_rate=lambda settings: 1e-3,
    usual_rates=(1e-4, 5e-3),
    starts_at_base=lambda settings: True,
)
