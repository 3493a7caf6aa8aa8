"""Houlsby's adapters: two small networks in each block, behind attention and behind the feed-forward (Houlsby et al. 2019,
section 2.1). They stand in the way of every token, so answers are a little slower, too.
"""

from __future__ import annotations

from typing import Any

from experiments.methods import bottlenecks
from experiments.methods.base import Method
from experiments.methods.bottlenecks import BottleneckSettings


def attach(model: Any, settings: BottleneckSettings, tokenizer: Any) -> Any:
    from experiments.engine import bottleneck

    bottlenecks.stand_behind(model, settings, (True, False))
    return bottleneck.marked(model, "houlsby", settings)


METHOD = Method(
    key="houlsby",
    title="Houlsby",
    summary="Puts two small networks into each block, behind attention and behind the feed-forward, and trains only those.",
    paper="Houlsby et al. 2019, Parameter-Efficient Transfer Learning for NLP",
    paper_url="https://arxiv.org/abs/1902.00751",
    Settings=BottleneckSettings,
    attach=attach,
    # The paper tries 3e-5, 3e-4 and 3e-3 on GLUE (section 3.2); the example of its code has 3e-4
    # (google-research/adapter-bert). Lab Nano, held-out loss: 1e-3 0.29, 3e-3 0.07, 1e-2 0.05 but 1.6 nats forgotten,
    # 3e-2 0.15 (docs/LOG.md).
    learning_rate=lambda settings: 3e-3,
    usual_rates=(3e-5, 1e-2),
    **bottlenecks.of(2, "two bottlenecks in each layer"),
)
