"""The methods of the lab, in display order. A new one is one file and one line here."""

from __future__ import annotations

from difflib import get_close_matches

from experiments.methods import (
    adalora,
    adapter_fusion,
    bitfit,
    compacter,
    few_shot,
    full,
    houlsby,
    ia3,
    layernorm,
    llama_adapter,
    loha,
    lokr,
    lora,
    lora_mix,
    mam,
    oft,
    p_tuning,
    p_tuning_v2,
    parallel_adapter,
    partial,
    pfeiffer,
    prefix,
    prompt,
    qlora,
    shira,
    vera,
    zero_shot,
)
from experiments.methods.base import Method, Settings

METHODS: tuple[Method, ...] = (
    lora.METHOD,
    prompt.METHOD,
    prefix.METHOD,
    p_tuning.METHOD,
    ia3.METHOD,
    layernorm.METHOD,
    bitfit.METHOD,
    partial.METHOD,
    full.METHOD,
    few_shot.METHOD,
    zero_shot.METHOD,
    qlora.METHOD,
    adalora.METHOD,
    loha.METHOD,
    lokr.METHOD,
    vera.METHOD,
    oft.METHOD,
    shira.METHOD,
    p_tuning_v2.METHOD,
    llama_adapter.METHOD,
    houlsby.METHOD,
    pfeiffer.METHOD,
    parallel_adapter.METHOD,
    compacter.METHOD,
    mam.METHOD,
    adapter_fusion.METHOD,
)

MADE_OF_RUNS: tuple[Method, ...] = (lora_mix.METHOD,)
"""What is made of finished runs without a training: no form of methods offers it, and it is found by its key."""

__all__ = ["METHODS", "Method", "Settings", "find"]


def find(key: str) -> Method:
    """The method with this key. Raises `ValueError` with one sentence that names those there are."""
    for method in (*METHODS, *MADE_OF_RUNS):
        if method.key == key:
            return method
    near = get_close_matches(key, [m.key for m in METHODS], n=1)
    hint = f" Did you mean “{near[0]}”?" if near else ""
    raise ValueError(f"There is no method “{key[:40]}”; there are {', '.join(m.key for m in METHODS)}.{hint}")
