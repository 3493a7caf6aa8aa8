"""IA³: keys, values and the inner activations of the feed-forward are each multiplied by a learnt vector of ones
(Liu et al. 2022, section 3.3). By PEFT.

The feed-forward's vector stands before its last matrix, so it is as long as that matrix's input; those of keys and
values are as long as the output of theirs.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pydantic import ValidationInfo, field_validator

from experiments.accounting import Arch, Tensor, module_arch
from experiments.accounting.footprint import Footprint
from experiments.methods.base import Method, Settings, knob

KEYS_VALUES = ("k_proj", "v_proj", "key", "value", "c_attn", "query_key_value", "qkv_proj")
"""What makes keys and values is called in the model families; the last three make queries, too, which are then scaled as well."""


class IA3Settings(Settings):
    attention: bool = knob(
        True, "Keys and values",
        low="Off: attention stays as it is.",
        high="On: one factor for each feature of the keys and values.",
    )  # fmt: skip
    feedforward: bool = knob(
        True, "Feed-forward",
        low="Off: fewer parameters by more than half, and it learns less.",
        high="On: one factor for each inner activation.",
    )  # fmt: skip

    @field_validator("feedforward")
    @classmethod
    def something(cls, value: bool, info: ValidationInfo) -> bool:
        if not value and info.data.get("attention") is False:
            raise ValueError("Choose keys and values, the feed-forward, or both: nothing would be trained.")
        return value


def scaled(arch: Arch, settings: IA3Settings) -> list[tuple[Tensor, bool]]:
    """The matrices that get a vector; True where it scales their input."""
    return [
        (t, feedforward)
        for t in arch.linears
        for feedforward in (_is_way_out(t, arch),)
        if (settings.feedforward if feedforward else settings.attention and t.module in KEYS_VALUES)
    ]


def _is_way_out(tensor: Tensor, arch: Arch) -> bool:
    """Whether this is the last matrix of a feed-forward: outside attention, and it narrows."""
    return "attn" not in tensor.name and "attention" not in tensor.name and arch.fan_in(tensor) > arch.fan_out(tensor)


def count(arch: Arch, settings: IA3Settings) -> int:
    return sum(arch.fan_in(t) if feedforward else arch.fan_out(t) for t, feedforward in scaled(arch, settings))


def formula(arch: Arch, settings: IA3Settings) -> str:
    found = scaled(arch, settings)
    first = [
        arch.fan_in(t) if feedforward else arch.fan_out(t) for t, feedforward in found if t.layer == found[0][0].layer
    ]
    return f"a factor for each feature: {arch.layers} · ({' + '.join(map(str, first))})"


def check(arch: Arch, settings: IA3Settings) -> Iterator[tuple[str, str]]:
    if not scaled(arch, settings):
        yield (
            "",
            f"IA³ knows no keys, values or feed-forward among this model's modules {', '.join(arch.linear_names)}.",
        )


def attach(model: Any, settings: IA3Settings, tokenizer: Any) -> Any:
    from peft import IA3Config, get_peft_model

    arch = module_arch(model)
    found = {".".join(t.name.split(".")[-3:-1]): feedforward for t, feedforward in scaled(arch, settings)}
    config = IA3Config(
        task_type="CAUSAL_LM",
        target_modules=list(found),
        feedforward_modules=[name for name, feedforward in found.items() if feedforward],
        fan_in_fan_out=bool(arch.transposed),
    )
    return get_peft_model(model, config)


METHOD = Method(
    key="ia3",
    title="IA³",
    summary="Multiplies keys, values and inner activations by learnt factors that start at one: a volume knob for each feature.",
    paper="Liu et al. 2022, Few-Shot Parameter-Efficient Fine-Tuning is Better and Cheaper than In-Context Learning",
    paper_url="https://arxiv.org/abs/2205.05638",
    Settings=IA3Settings,
    count=count,
    footprint=lambda arch, settings: Footprint(scaled=tuple(t for t, _ in scaled(arch, settings))),
    formula=formula,
    check=check,
    attach=attach,
    learning_rate=lambda settings: 1e-2,
    usual_rates=(1e-3, 3e-2),
    starts_at_base=lambda settings: True,
)
