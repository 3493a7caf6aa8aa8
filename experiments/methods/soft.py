"""What the soft-prompt methods share: their length, their start, and its text."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal

from experiments.accounting import Arch
from experiments.methods.base import Settings, knob

Init = Literal["text", "vocabulary", "random"]


class SoftPromptSettings(Settings):
    """Virtual tokens stand before the text; `init` says what they are before the first step."""

    virtual_tokens: int = knob(
        16, "Virtual tokens", ge=1, le=200, unit="tokens",
        low="One or two can only nudge the model.",
        high="Each costs context and time in every step; past some tens little is gained.",
    )  # fmt: skip
    init: Init = knob(
        "text", "Start from",
        low="Random starts far from anything the model has seen, and learns slowest.",
        high="Text starts close to the base model asked in words.",
    )  # fmt: skip
    init_text: str = knob(
        "Answer the question in the right style.", "Start text", min_length=1, max_length=500,
        low="Used only when starting from text: repeated or cut to the number of virtual tokens.",
        high="A good instruction is a good start.",
    )  # fmt: skip


def start_ids(settings: SoftPromptSettings, tokenizer: Any, vocab: int) -> Any:
    """The token ids that `init` names, shape (virtual_tokens,); random ones are drawn from torch's generator."""
    import torch

    if settings.init != "text":
        return torch.randint(0, vocab, (settings.virtual_tokens,))
    ids = tokenizer(settings.init_text, add_special_tokens=False)["input_ids"]
    repeats = -(-settings.virtual_tokens // len(ids))
    return torch.tensor((ids * repeats)[: settings.virtual_tokens])


def check_length(arch: Arch, settings: Any) -> Iterator[tuple[str, str]]:
    """Room for the text must be left beside the virtual tokens."""
    if settings.virtual_tokens > arch.max_length // 2:
        yield (
            "virtual_tokens",
            f"{settings.virtual_tokens} virtual tokens leave no room: the context is {arch.max_length}.",
        )
