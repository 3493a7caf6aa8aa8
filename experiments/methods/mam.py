"""MAM, mix-and-match: a short prefix for attention and a parallel adapter beside the feed-forward (He et al. 2022, section
4.6): the paper's comparison found each the best for its place.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from experiments.accounting import Arch
from experiments.accounting.footprint import Footprint
from experiments.methods import bottlenecks, parallel_adapter, prefix
from experiments.methods.base import Method, knob
from experiments.methods.parallel_adapter import ParallelSettings
from experiments.methods.soft import Init, check_length


class MamSettings(ParallelSettings):
    virtual_tokens: int = knob(
        8, "Virtual tokens", ge=1, le=200, unit="tokens",
        low="Attention is hardly touched.",
        high="The paper keeps the prefix short and gives the parameters to the adapter.",
    )  # fmt: skip
    init: Init = knob(
        "text", "Start from",
        low="Random starts far from anything the model has seen, and learns slowest.",
        high="Text starts close to the base model asked in words.",
    )  # fmt: skip


def as_prefix(settings: MamSettings) -> prefix.PrefixSettings:
    return prefix.PrefixSettings(virtual_tokens=settings.virtual_tokens, init=settings.init)


def count(arch: Arch, settings: MamSettings) -> int:
    return prefix.count(arch, as_prefix(settings)) + parallel_adapter.METHOD.count(arch, settings)


def check(arch: Arch, settings: MamSettings) -> Iterator[tuple[str, str]]:
    yield from bottlenecks.check(arch, settings)
    yield from check_length(arch, settings)


def footprint(arch: Arch, settings: MamSettings) -> Footprint:
    return replace(bottlenecks.footprint(arch, settings, 1), prefix_tokens=settings.virtual_tokens)


def attach(model: Any, settings: MamSettings, tokenizer: Any) -> Any:
    from experiments.engine import bottleneck

    peft_model = prefix.attach(model, as_prefix(settings), tokenizer)
    parallel_adapter.add(peft_model.get_base_model(), settings)
    return bottleneck.marked(peft_model, "mam", settings)


METHOD = Method(
    key="mam",
    title="MAM",
    summary="A short prefix for attention and a parallel adapter for the feed-forward: each where it does best.",
    paper="He et al. 2022, Towards a Unified View of Parameter-Efficient Transfer Learning",
    paper_url="https://arxiv.org/abs/2110.04366",
    Settings=MamSettings,
    count=count,
    formula=lambda arch, settings: (
        f"{prefix.formula(arch, as_prefix(settings))}; {parallel_adapter.METHOD.formula(arch, settings)}"
    ),
    footprint=footprint,
    check=check,
    attach=attach,
    # The paper takes one rate a task for all its methods: 5e-5 for summaries (100,000 steps) and translation (50,000),
    # 1e-4 for two tasks of GLUE (table 8). Lab Nano, held-out loss: 2e-3 0.55, 6e-3 0.08, 1e-2 0.06 but 0.9 nats
    # forgotten, 2e-2 0.04 and 1.1 (docs/LOG.md).
    learning_rate=lambda settings: 6e-3,
    usual_rates=(5e-5, 2e-2),
    starts_at_base=lambda settings: False,
)
