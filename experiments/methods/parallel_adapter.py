"""Parallel adapters: a small network beside each feed-forward, reading what it reads (He et al. 2022, section 4). Scaled by a
factor, as LoRA is; the paper found them better there than behind it.
"""

from __future__ import annotations

from typing import Any

from experiments.accounting import module_arch
from experiments.methods import bottlenecks
from experiments.methods.base import Method, knob
from experiments.methods.bottlenecks import BottleneckSettings, narrow, stand, ways_out


class ParallelSettings(BottleneckSettings):
    scale: float = knob(
        4.0, "Scale", gt=0, le=100,
        low="Small values act like a small learning rate.",
        high="The paper takes 4; much larger acts like a large learning rate and can diverge.",
    )  # fmt: skip


def add(model: Any, settings: ParallelSettings) -> None:
    """Put them into this model."""
    from experiments.engine import bottleneck

    arch = module_arch(model)
    stand(
        model, ways_out(arch, attention=False), 2, bottleneck.parallel,
        lambda: bottleneck.plain(arch.width, narrow(arch, settings), settings.activation, settings.scale),
    )  # fmt: skip


def attach(model: Any, settings: ParallelSettings, tokenizer: Any) -> Any:
    from experiments.engine import bottleneck

    add(model, settings)
    return bottleneck.marked(model, "parallel-adapter", settings)


METHOD = Method(
    key="parallel-adapter",
    title="Parallel",
    summary="Puts a small network beside each feed-forward: both read the same, and their answers are added.",
    paper="He et al. 2022, Towards a Unified View of Parameter-Efficient Transfer Learning",
    paper_url="https://arxiv.org/abs/2110.04366",
    Settings=ParallelSettings,
    attach=attach,
    # The paper takes one rate a task for all its methods: 5e-5 for summaries (100,000 steps) and translation (50,000),
    # 1e-4 for two tasks of GLUE (table 8). Lab Nano, held-out loss: 1e-3 1.46, 3e-3 0.34, 1e-2 0.08, 2e-2 0.06 but
    # 1.0 nats forgotten (docs/LOG.md).
    learning_rate=lambda settings: 1e-2,
    usual_rates=(5e-5, 2e-2),
    **bottlenecks.of(1, "a bottleneck beside each feed-forward"),
)
