"""P-tuning v2: trainable keys and values in every layer, without a network that makes them, from a random start
(Liu et al. 2022, section 3.2). By PEFT.

It is prefix tuning without its projection; what the paper adds is that longer prefixes, trained directly, do as well as full
fine-tuning across model sizes and tasks. `prefix` without projection differs in its start alone: there real words.
"""

from __future__ import annotations

from typing import Any

from experiments.accounting.footprint import Footprint
from experiments.methods import prefix
from experiments.methods.base import Method, Settings, knob
from experiments.methods.soft import check_length


class PTuningV2Settings(Settings):
    virtual_tokens: int = knob(
        32, "Virtual tokens", ge=1, le=200, unit="tokens",
        low="Simple tasks do with fewer than 20.",
        high="The paper takes about 100 for hard ones; each costs memory and time in every step.",
    )  # fmt: skip


def as_prefix(settings: PTuningV2Settings) -> prefix.PrefixSettings:
    """The same as settings of prefix tuning."""
    return prefix.PrefixSettings(virtual_tokens=settings.virtual_tokens, init="random", projection=False)


def attach(model: Any, settings: PTuningV2Settings, tokenizer: Any) -> Any:
    return prefix.attach(model, as_prefix(settings), tokenizer)


METHOD = Method(
    key="p-tuning-v2",
    title="P-tuning v2",
    summary="Prefix tuning as P-tuning's authors do it: a longer prefix in every layer, trained directly from a random start.",
    paper="Liu et al. 2022, P-Tuning v2: Prompt Tuning Can Be Comparable to Fine-tuning Universally Across Scales and Tasks",
    paper_url="https://arxiv.org/abs/2110.07602",
    Settings=PTuningV2Settings,
    count=lambda arch, settings: prefix.count(arch, as_prefix(settings)),
    formula=lambda arch, settings: prefix.formula(arch, as_prefix(settings)),
    footprint=lambda arch, settings: Footprint(prefix_tokens=settings.virtual_tokens),
    check=check_length,
    attach=attach,
    # The authors' scripts take 5e-3 to 3e-2, by task, for 30 to 100 epochs (THUDM/P-tuning-v2, five of them). Lab Nano, held-out loss
    # after 40 steps: 2e-2 1.62, 6e-2 0.65, 1e-1 0.31, 2e-1 0.23 with 1.0 nats forgotten.
    learning_rate=lambda settings: 6e-2,
    usual_rates=(5e-3, 1e-1),
    starts_at_base=lambda settings: False,
    least_steps=60,
)
