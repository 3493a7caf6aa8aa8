"""Pfeiffer's adapters: one small network in each block, behind the feed-forward (Pfeiffer et al. 2021, section 3.1: half of
Houlsby's, at nearly the same quality).
"""

from __future__ import annotations

from typing import Any

from experiments.methods import bottlenecks
from experiments.methods.base import Method
from experiments.methods.bottlenecks import BottleneckSettings


def attach(model: Any, settings: BottleneckSettings, tokenizer: Any) -> Any:
    from experiments.engine import bottleneck

    bottlenecks.stand_behind(model, settings, (False,))
    return bottleneck.marked(model, "pfeiffer", settings)


METHOD = Method(
    key="pfeiffer",
    title="Pfeiffer",
    summary="Puts one small network into each block, behind the feed-forward: half of Houlsby's.",
    paper="Pfeiffer et al. 2021, AdapterFusion: Non-Destructive Task Composition for Transfer Learning",
    paper_url="https://arxiv.org/abs/2005.00247",
    Settings=BottleneckSettings,
    attach=attach,
    # Its authors' library takes 1e-4 for 10 epochs (adapter-hub/adapters, docs/training.md), Compacter's authors 3e-4.
    # Lab Nano, held-out loss: 1e-3 0.63, 3e-3 0.10, 1e-2 0.10 but 1.0 nats forgotten, 3e-2 0.16 (docs/LOG.md).
    learning_rate=lambda settings: 3e-3,
    usual_rates=(1e-4, 1e-2),
    **bottlenecks.of(1, "a bottleneck in each layer"),
)
