"""Prompt tuning: a few embedding vectors stand before the text and are all that learns (Lester et al. 2021). By PEFT."""

from typing import Any

from experiments.accounting.footprint import Footprint
from experiments.methods.base import Method
from experiments.methods.soft import SoftPromptSettings, check_length, start_ids


def attach(model: Any, settings: SoftPromptSettings, tokenizer: Any) -> Any:
    import torch
    from peft import PromptTuningConfig, get_peft_model

    words_VD = model.get_input_embeddings().weight
    config = PromptTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=settings.virtual_tokens)
    peft_model: Any = get_peft_model(model, config)
    soft_PD = peft_model.prompt_encoder["default"].embedding.weight
    with torch.no_grad():
        if settings.init == "random":  # at the scale of real words: the usual N(0, 1) is far outside of them
            soft_PD.normal_(0.0, float(words_VD.std()))
        else:
            soft_PD.copy_(words_VD[start_ids(settings, tokenizer, len(words_VD))])
    return peft_model


METHOD = Method(
    key="prompt",
    title="Prompt",
    summary="Puts trainable vectors before the text, as words that no vocabulary has; no weight of the model moves.",
    paper="Lester et al. 2021, The Power of Scale for Parameter-Efficient Prompt Tuning",
    paper_url="https://arxiv.org/abs/2104.08691",
    Settings=SoftPromptSettings,
    count=lambda arch, settings: settings.virtual_tokens * arch.width,
    footprint=lambda arch, settings: Footprint(virtual_tokens=settings.virtual_tokens),
    formula=lambda arch, settings: (
        f"{settings.virtual_tokens} vectors as wide as the model: {settings.virtual_tokens} · {arch.width}"
    ),
    check=check_length,
    attach=attach,
    learning_rate=lambda settings: 3e-2,
    usual_rates=(3e-3, 0.3),
    starts_at_base=lambda settings: False,
    least_steps=100,
)
