"""From rows to batches. What a template makes of a row, and which tokens count, is `experiments.templates`.

Shapes: B rows, T tokens. With the model's chat template, tokens are those TRL's SFTTrainer makes of the same rows.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor

from experiments import templates
from experiments.catalog.tasks.base import Row
from experiments.templates import CHAT, Codec, Example

KEPT_ROWS = 4_000
"""Rows that stay encoded: 3 KB each at 90 tokens."""


@dataclass(frozen=True)
class Batch:
    """Padded on the right. `learn_BT` marks the tokens that count, never the first of a row. `examples` are its rows.

    Joined (`engine.joining`) they are one row: the first `shared` tokens of all, then the rest of each; `places_BT` are the positions
    of its tokens, and `sees_BTT` says which token sees which.
    """

    ids_BT: Tensor
    mask_BT: Tensor
    learn_BT: Tensor
    examples: tuple[Example, ...]
    shared: int = 0
    places_BT: Tensor | None = None
    sees_BTT: Tensor | None = None

    @property
    def tokens(self) -> int:
        """Tokens of its rows, padding not counted."""
        return sum(len(e.ids) for e in self.examples)


def codec(tokenizer: Any) -> Codec:
    """A loaded tokenizer as templates need it."""

    def ids(text: str, special: bool) -> list[int]:
        # quiet: what is too long for a model is cut or refused here, in a sentence
        return tokenizer(text, add_special_tokens=special, verbose=False)["input_ids"]

    chat_template = tokenizer.get_chat_template() if tokenizer.chat_template else None  # of several, the default
    return Codec(ids, tokenizer.eos_token or "", chat_template, tokenizer.special_tokens_map)


def prompt_ids(tokenizer: Any, prompt: str | Row, template: str = CHAT) -> list[int]:
    """What a model is asked: a prompt as the template puts it, up to where the answer begins; never nothing."""
    row = Row(prompt, "") if isinstance(prompt, str) else prompt
    text = codec(tokenizer)
    return templates.prompt_ids(text, row, template) or list(text.ids(text.eos, False))


@lru_cache(KEPT_ROWS)
def encode(tokenizer: Any, row: Row, max_length: int, template: str = CHAT) -> Example:
    """A row's tokens, cut at `max_length`. Kept: a worker tokenizes a task once, however many runs read it."""
    return templates.encode(codec(tokenizer), row, max_length, template)


def encode_text(tokenizer: Any, text: str, max_length: int) -> Example:
    """Plain text: every token but the first counts."""
    return Example(tuple(tokenizer(text)["input_ids"][:max_length]), 1)


def collate(examples: Sequence[Example], pad_id: int, device: torch.device) -> Batch:
    """Some examples as one batch, as long as its longest."""
    longest = max(len(e.ids) for e in examples)
    ids_BT = torch.full((len(examples), longest), pad_id)
    mask_BT = torch.zeros(len(examples), longest, dtype=torch.long)
    learn_BT = torch.zeros(len(examples), longest, dtype=torch.bool)
    for i, example in enumerate(examples):
        length = len(example.ids)
        ids_BT[i, :length] = torch.tensor(example.ids)
        mask_BT[i, :length] = 1
        learn_BT[i, max(example.start, 1) : length] = True
    return Batch(ids_BT.to(device), mask_BT.to(device), learn_BT.to(device), tuple(examples))


def batches(
    examples: Sequence[Example], pad_id: int, device: torch.device, size: int
) -> Iterator[tuple[list[int], Batch]]:
    """All examples in batches of like length, each with the places of its rows among them."""
    by_length = sorted(range(len(examples)), key=lambda i: len(examples[i].ids))
    for start in range(0, len(examples), size):
        part = by_length[start : start + size]
        yield part, collate([examples[i] for i in part], pad_id, device)


def order(rows: int, batch_size: int, steps: int, seed: int) -> Iterator[list[int]]:
    """Which rows each step reads: shuffled passes, one after another, the same for every method with this seed."""
    shuffle = random.Random(seed)
    waiting: list[int] = []
    for _ in range(steps):
        while len(waiting) < batch_size:
            waiting += shuffle.sample(range(rows), rows)
        yield waiting[:batch_size]
        del waiting[:batch_size]
