"""Prefix tuning: trainable keys and values stand before the text in every layer (Li & Liang 2021). By PEFT.

Starting from text or vocabulary means the keys and values that the base model itself computes for those tokens: the
paper found real words the better start (section 7.4). A projection makes them from a small MLP, which starts at random.
"""

from __future__ import annotations

from typing import Any

from experiments.accounting import Arch
from experiments.accounting.footprint import Footprint
from experiments.methods.base import Method, knob
from experiments.methods.soft import SoftPromptSettings, check_length, start_ids


class PrefixSettings(SoftPromptSettings):
    projection: bool = knob(
        False, "Projection",
        low="Off: the keys and values are trained directly; wants a high learning rate.",
        high="On: an MLP makes them while training (the paper's way, steadier); it is folded away when saved.",
    )  # fmt: skip


def count(arch: Arch, settings: PrefixSettings) -> int:
    out = 2 * arch.layers * arch.kv_width
    if not settings.projection:
        return settings.virtual_tokens * out
    width = arch.kv_width  # tokens and hidden layer have the width of the keys
    return settings.virtual_tokens * width + (width * width + width) + (width * out + out)


def formula(arch: Arch, settings: PrefixSettings) -> str:
    if settings.projection:
        width, out = arch.kv_width, 2 * arch.layers * arch.kv_width
        numbers = f"{settings.virtual_tokens} · {width} + ({width} · {width} + {width}) + ({width} · {out} + {out})"
        return f"vectors and an MLP that makes keys and values for {arch.layers} layers of them: {numbers}"
    numbers = f"{settings.virtual_tokens} · 2 · {arch.layers} · {arch.kv_width}"
    return f"{settings.virtual_tokens} keys and values in each of {arch.layers} layers: {numbers}"


def base_keys_values(model: Any, ids_P: Any) -> Any:
    """Keys and values of these tokens in every layer, laid out as PEFT's prefix: (P, layers · 2 · kv_heads · head_dim)."""
    import torch

    with torch.no_grad():
        cache = model(input_ids=ids_P[None], use_cache=True).past_key_values
    parts = [
        kv[0].transpose(0, 1).reshape(len(ids_P), -1) for layer in cache.layers for kv in (layer.keys, layer.values)
    ]
    return torch.cat(parts, dim=1)


def attach(model: Any, settings: PrefixSettings, tokenizer: Any) -> Any:
    import torch
    from peft import PrefixTuningConfig, get_peft_model

    text = model.config.get_text_config()
    kv_heads = getattr(text, "num_key_value_heads", None) or text.num_attention_heads
    head_dim = getattr(text, "head_dim", None) or text.hidden_size // text.num_attention_heads
    start_PK = None
    if settings.init != "random" and not settings.projection:
        ids = start_ids(settings, tokenizer, model.get_input_embeddings().weight.shape[0])
        start_PK = base_keys_values(model, ids.to(model.device))
    config = PrefixTuningConfig(
        task_type="CAUSAL_LM",
        num_virtual_tokens=settings.virtual_tokens,
        prefix_projection=settings.projection,
        encoder_hidden_size=kv_heads * head_dim,
    )
    peft_model: Any = get_peft_model(model, config)
    if start_PK is not None:
        with torch.no_grad():
            peft_model.prompt_encoder["default"].embedding.weight.copy_(start_PK)
    return peft_model


METHOD = Method(
    key="prefix",
    title="Prefix",
    summary="Puts trainable keys and values before the text in every layer: a prompt that reaches all of the model at once.",
    paper="Li & Liang 2021, Prefix-Tuning: Optimizing Continuous Prompts for Generation",
    paper_url="https://arxiv.org/abs/2101.00190",
    Settings=PrefixSettings,
    count=count,
    footprint=lambda arch, settings: Footprint(prefix_tokens=settings.virtual_tokens),
    stored=lambda arch, settings: settings.virtual_tokens * 2 * arch.layers * arch.kv_width,  # the MLP is folded away
    formula=formula,
    check=check_length,
    attach=attach,
    learning_rate=lambda settings: 1e-3 if settings.projection else 1e-2,
    usual_rates=(5e-4, 5e-2),
    starts_at_base=lambda settings: False,
    least_steps=30,
)
