"""From rows to batches: the model's template, tokens, and which of them count in the loss.

Shapes: B rows, T tokens. The prompt is read, the completion (with the template's end of turn) is learnt. A model without
a chat template reads "prompt, newline, completion, end of text". Tokens are those TRL's SFTTrainer makes of the same rows.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from experiments.catalog.tasks.base import Row


@dataclass(frozen=True)
class Example:
    """One row as token ids; those from `start` on are learnt. `cut` says that its end did not fit."""

    ids: tuple[int, ...]
    start: int
    cut: bool = False


@dataclass(frozen=True)
class Batch:
    """Padded on the right. `learn_BT` marks the tokens that count, never the first of a row."""

    ids_BT: Tensor
    mask_BT: Tensor
    learn_BT: Tensor

    @property
    def tokens(self) -> int:
        """Tokens read, padding not counted."""
        return int(self.mask_BT.sum())


def prompt_ids(tokenizer: Any, prompt: str) -> list[int]:
    """A prompt as the model's template puts it, up to where the answer begins."""
    if tokenizer.chat_template is None:
        return list(tokenizer(prompt + "\n")["input_ids"])
    turn = [{"role": "user", "content": prompt}]
    return list(tokenizer.apply_chat_template(turn, add_generation_prompt=True, return_dict=False))


def encode(tokenizer: Any, row: Row, max_length: int) -> Example:
    """A row's tokens, cut at `max_length`."""
    prompt = prompt_ids(tokenizer, row.prompt)
    if tokenizer.chat_template is None:
        ids = list(tokenizer(f"{row.prompt}\n{row.completion}{tokenizer.eos_token}")["input_ids"])
    else:
        turns = [{"role": "user", "content": row.prompt}, {"role": "assistant", "content": row.completion}]
        ids = list(tokenizer.apply_chat_template(turns, return_dict=False))
    if ids[: len(prompt)] != prompt:  # the seam was tokenized otherwise: join the two ends as they are
        answer = tokenizer(row.completion + tokenizer.eos_token, add_special_tokens=False)["input_ids"]
        ids = prompt + list(answer)
    return Example(tuple(ids[:max_length]), min(len(prompt), max_length), len(ids) > max_length)


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
    return Batch(ids_BT.to(device), mask_BT.to(device), learn_BT.to(device))


def order(rows: int, batch_size: int, steps: int, seed: int) -> Iterator[list[int]]:
    """Which rows each step reads: shuffled passes, one after another, the same for every method with this seed."""
    shuffle = random.Random(seed)
    waiting: list[int] = []
    for _ in range(steps):
        while len(waiting) < batch_size:
            waiting += shuffle.sample(range(rows), rows)
        yield waiting[:batch_size]
        del waiting[:batch_size]
