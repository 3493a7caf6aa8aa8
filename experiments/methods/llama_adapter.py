"""LLaMA-Adapter: in the upper layers attention also looks at learnt prompt vectors, through a gate that starts at zero
(Zhang et al. 2023, section 3.2). By PEFT, which has it for Llama and Mistral.

The vectors pass through the layer's own frozen keys and values; their softmax stands apart from that of the text, so they
take no room in the context.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from experiments.accounting import Arch
from experiments.accounting.footprint import Footprint
from experiments.methods.base import Method, Settings, knob

FAMILIES = ("llama", "mistral")


class LlamaAdapterSettings(Settings):
    prompt_vectors: int = knob(
        10, "Prompt vectors", ge=1, le=200, unit="vectors",
        low="One or two can only nudge the model.",
        high="Each is looked at from every token of every layer; past some tens little is gained.",
    )  # fmt: skip
    last_layers: int = knob(
        0, "Last layers", ge=0, le=200, unit="layers",
        low="0 is every layer. Few: no backward pass below them.",
        high="The paper leaves the lowest two of 32 alone.",
    )  # fmt: skip


def reached(arch: Arch, settings: LlamaAdapterSettings) -> int:
    """How many layers get prompt vectors."""
    return settings.last_layers or arch.layers


def check(arch: Arch, settings: LlamaAdapterSettings) -> Iterator[tuple[str, str]]:
    if arch.family not in FAMILIES:
        yield (
            "",
            f"LLaMA-Adapter is made for {' and '.join(FAMILIES)}; this is a {arch.family or 'model of no known family'}.",
        )
    elif arch.heads * arch.head_dim != arch.width:
        yield "", "LLaMA-Adapter wants heads that together are as wide as the model, which these are not."
    if settings.last_layers > arch.layers:
        yield "last_layers", f"This model has {arch.layers} layers; {settings.last_layers} are asked for."


def footprint(arch: Arch, settings: LlamaAdapterSettings) -> Footprint:
    return Footprint(lowest=arch.layers - reached(arch, settings), gated_tokens=settings.prompt_vectors)


def attach(model: Any, settings: LlamaAdapterSettings, tokenizer: Any) -> Any:
    from peft import AdaptionPromptConfig, get_peft_model

    config = AdaptionPromptConfig(
        task_type="CAUSAL_LM",
        adapter_len=settings.prompt_vectors,
        adapter_layers=settings.last_layers or model.config.get_text_config().num_hidden_layers,
    )
    return get_peft_model(model, config)


METHOD = Method(
    key="llama-adapter",
    title="LLaMA-Adapter",
    summary="Lets attention look at learnt vectors through a gate that starts closed, so nothing is disturbed at first.",
    paper="Zhang et al. 2023, LLaMA-Adapter: Efficient Fine-tuning of Language Models with Zero-init Attention",
    paper_url="https://arxiv.org/abs/2303.16199",
    Settings=LlamaAdapterSettings,
    count=lambda arch, settings: reached(arch, settings) * (settings.prompt_vectors * arch.width + 1),
    formula=lambda arch, settings: (
        f"vectors and a gate in each layer: {reached(arch, settings)} · ({settings.prompt_vectors} · {arch.width} + 1)"
    ),
    footprint=footprint,
    check=check,
    attach=attach,
    # The authors' script says 9e-3, which is a rate for 256 rows: with its batches of 32 it trains at 1.1e-3 (OpenGVLab/LLaMA-Adapter,
    # finetuning.py). PEFT's comparison of methods takes 5e-4 and 5e-3. Lab Nano, held-out loss after 40 steps: 1e-2 2.31, 3e-2 1.65,
    # 1e-1 1.70.
    learning_rate=lambda settings: 3e-2,
    usual_rates=(1e-3, 5e-2),
    starts_at_base=lambda settings: True,
    least_steps=80,
)
