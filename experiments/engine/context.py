"""A model before which text always stands: the examples of few-shot. Read once and kept as keys and values.

Shapes: B rows, T tokens, C tokens of context, S tokens that a row begins with and that the context begins with, too (a chat
template's system turn). Those S of a row are replaced by the last S of the context, so that the conversation is one and
the output still has T positions a row: to the loss and to answers the context looks like soft tokens before the text.
"""

from __future__ import annotations

import copy
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from experiments.catalog.cache import write_text
from experiments.catalog.tasks.base import Row
from experiments.engine import data
from experiments.templates import CHAT

FILE = "examples.json"


class WithContext(nn.Module):
    """The model, called with `ids` before every row. `own`: how many tokens a row shares with their beginning (S)."""

    def __init__(self, model: Any, ids: Sequence[int], own: int):
        super().__init__()
        self.model, self.ids, self.own = model, tuple(ids), own
        self._kept: Any = None

    @property
    def context_tokens(self) -> int:
        """Tokens that stand before a row beside its own."""
        return len(self.ids) - self.own

    def forward(self, input_ids: Tensor, attention_mask: Tensor, **how: Any) -> Any:
        """The model's output for rows (B, T) behind the context; positions from the last T on are the rows' own."""
        rows = len(input_ids)
        context_C = torch.tensor(self.ids, device=input_ids.device)
        own_BS = context_C[self.context_tokens :].expand(rows, -1)
        if input_ids.shape[1] > self.own and bool((input_ids[:, : self.own] == context_C[: self.own]).all()):
            input_ids, attention_mask = input_ids[:, self.own :], attention_mask[:, self.own :]
        cache = copy.deepcopy(self._cache(context_C))
        cache.batch_repeat_interleave(rows)
        return self.model(
            input_ids=torch.cat([own_BS, input_ids], dim=1),
            attention_mask=torch.cat([attention_mask.new_ones(rows, len(self.ids)), attention_mask], dim=1),
            past_key_values=cache,
            **{**how, "use_cache": True},
        )

    def _cache(self, context_C: Tensor) -> Any:
        """Keys and values of the context without its last S tokens, read once."""
        if self._kept is None:
            with torch.no_grad():
                before_1C = context_C[None, : self.context_tokens]
                self._kept = self.model.base_model(input_ids=before_1C, use_cache=True).past_key_values
        return self._kept

    def get_base_model(self) -> Any:
        return self.model

    def get_output_embeddings(self) -> Any:
        return self.model.get_output_embeddings()

    @property
    def config(self) -> Any:
        return self.model.config

    @property
    def generation_config(self) -> Any:
        return self.model.generation_config

    @property
    def device(self) -> torch.device:
        return self.model.device

    def save(self, folder: Path) -> None:
        write_text(folder / FILE, json.dumps({"ids": self.ids, "own": self.own}))


def load(model: Any, folder: Path) -> WithContext:
    """The model with the context that `save` wrote. Raises `ValueError` where the file is damaged."""
    try:
        said = json.loads((folder / FILE).read_text("utf8"))
        return WithContext(model, [int(i) for i in said["ids"]], int(said["own"]))
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"The examples of {folder.name} cannot be read.") from error


def context_length(model: Any) -> int:
    """How many tokens this model reads at most; without end where it knows no positions."""
    return getattr(model.config.get_text_config(), "max_position_embeddings", None) or sys.maxsize


def with_examples(model: Any, tokenizer: Any, rows: Sequence[Row], longest: int, template: str = CHAT) -> WithContext:
    """The model with these rows as answered questions before every prompt; prompts have up to `longest` tokens.

    Raises `ValueError` where that is more than the model's context.
    """
    ids, own = context_ids(tokenizer, rows, template)
    room = context_length(model)
    if len(ids) + longest > room:
        raise ValueError(
            f"{len(rows)} examples take {len(ids):,} tokens and a prompt up to {longest:,}; the context is {room:,}. "
            "Show fewer examples."
        )
    return WithContext(model, ids, own)


def context_ids(tokenizer: Any, rows: Sequence[Row], template: str = CHAT) -> tuple[list[int], int]:
    """The tokens that stand before a prompt's own, and how many of its own they begin with (S).

    With a chat template the rows are earlier turns of the conversation; without one they stand one after the other.
    """
    one_after_the_other = [t for row in rows for t in data.encode(tokenizer, row, 10**9, template).ids], 0
    if tokenizer.chat_template is None or template != CHAT:
        return one_after_the_other
    turns = tuple(turn for row in rows for turn in (("user", row.prompt), ("assistant", row.completion)))
    own, alone, behind = 0, [], []
    for prompt in ("a", "Why?"):  # what a prompt has in common with itself behind the turns, whatever it says
        alone, behind = (data.prompt_ids(tokenizer, Row(prompt, "", before=before)) for before in ((), turns))
        own = max(own, len(alone) - len(os.path.commonprefix([alone[::-1], behind[::-1]])))
    if alone[:own] != behind[:own]:
        return one_after_the_other
    return behind[: len(behind) - len(alone) + own], own
