"""Answers, token by token: batches for the task metrics, streams for the page, base and tuned from the same seed.

Shapes: B rows, T tokens, V vocabulary. Prompts are padded on the right and every row keeps positions of its own, so an
answer does not depend on what else is in the batch, also behind a soft prompt.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from experiments import events, templates
from experiments.catalog.tasks.base import Row
from experiments.engine import data
from experiments.engine.context import WithContext
from experiments.engine.loss import head_only_at
from experiments.specs import SampleSpec
from experiments.templates import CHAT, answer_text

FLUSH_S = 0.1


@dataclass(frozen=True)
class Sampling:
    """How the next token is taken; temperature 0 takes the likeliest."""

    max_new_tokens: int
    temperature: float = 0.0
    top_p: float = 1.0
    seed: int = 0


def virtual_tokens(model: Any) -> int:
    """How many tokens of the method stand before the text, 0 for a method that has none."""
    if isinstance(model, WithContext):
        return model.context_tokens
    config = getattr(model, "active_peft_config", None)
    return config.num_virtual_tokens if config is not None and config.is_prompt_learning else 0


def decode(model: Any, prompts: Sequence[Sequence[int]], ends: set[int], how: Sampling) -> Iterator[list[int | None]]:
    """The next token of every row, again and again; None for a row that has ended. Stops when all have.

    The end token itself is not given out.
    """
    draw = torch.Generator().manual_seed(how.seed)
    examples = [data.Example(tuple(p), len(p)) for p in prompts]
    batch = data.collate(examples, 0, model.device)
    lengths_B = batch.mask_BT.sum(1)
    last_BT = torch.zeros_like(batch.mask_BT, dtype=torch.bool)
    last_BT[torch.arange(len(prompts)), lengths_B - 1] = True
    soft = virtual_tokens(model)
    inner = model.get_base_model() if soft else model
    with torch.no_grad(), head_only_at(model, last_BT):
        out = model(input_ids=batch.ids_BT, attention_mask=batch.mask_BT, use_cache=True)
    logits_BV, cache = out.logits, out.past_key_values
    mask_BT = torch.cat([batch.mask_BT.new_ones(len(prompts), soft), batch.mask_BT], dim=1)
    ended = [False] * len(prompts)
    for step in range(how.max_new_tokens):
        next_B = pick(logits_BV, how, draw)
        ended = [e or int(t) in ends for e, t in zip(ended, next_B, strict=True)]
        if all(ended):
            return
        yield [None if e else int(t) for e, t in zip(ended, next_B, strict=True)]
        if step + 1 == how.max_new_tokens:
            return
        mask_BT = torch.cat([mask_BT, mask_BT.new_ones(len(prompts), 1)], dim=1)
        with torch.no_grad():
            out = inner(
                input_ids=next_B[:, None], attention_mask=mask_BT, past_key_values=cache, use_cache=True,
                position_ids=(lengths_B + soft + step)[:, None],
            )  # fmt: skip
        logits_BV, cache = out.logits[:, -1], out.past_key_values


def pick(logits_BV: Tensor, how: Sampling, draw: torch.Generator) -> Tensor:
    """One token a row: the likeliest, or drawn from the likeliest that together hold `top_p`. The draw is on the CPU."""
    if how.temperature == 0:
        return logits_BV.argmax(-1)
    probs_BV = torch.softmax(logits_BV.float().cpu() / how.temperature, -1)
    if how.top_p < 1:
        sorted_BV, index_BV = probs_BV.sort(-1, descending=True)
        sorted_BV[sorted_BV.cumsum(-1) - sorted_BV > how.top_p] = 0  # the likeliest always stays
        probs_BV = torch.zeros_like(probs_BV).scatter_(-1, index_BV, sorted_BV)
    return torch.multinomial(probs_BV, 1, generator=draw)[:, 0].to(logits_BV.device)


def end_ids(model: Any, tokenizer: Any) -> set[int]:
    """The tokens that end an answer."""
    named = getattr(model.generation_config, "eos_token_id", None)
    listed = named if isinstance(named, list) else [named]
    return {t for t in [*listed, tokenizer.eos_token_id] if t is not None}


def answers(
    model: Any,
    tokenizer: Any,
    prompts: Sequence[str | Row],
    limit: int,
    between: Callable[[], None],
    template: str = CHAT,
) -> list[str]:
    """The greedy answer to each prompt, in batches of rows of like length. `between` is called after every token."""
    encoded = [data.prompt_ids(tokenizer, p, template) for p in prompts]
    by_length = sorted(range(len(prompts)), key=lambda i: len(encoded[i]))
    found = [""] * len(prompts)
    for start in range(0, len(prompts), 24):
        rows = by_length[start : start + 24]
        written: list[list[int]] = [[] for _ in rows]
        for tokens in decode(model, [encoded[i] for i in rows], end_ids(model, tokenizer), Sampling(limit)):
            for line, token in zip(written, tokens, strict=True):
                if token is not None:
                    line.append(token)
            between()
        for i, line in zip(rows, written, strict=True):
            found[i] = answer_text(tokenizer.decode(line, skip_special_tokens=True), template).strip()
    return found


def sample(
    models: Sequence[Any],
    tokenizer: Any,
    spec: SampleSpec,
    between: Callable[[], None],
    asked: Sequence[str] = (),
) -> Iterator[events.Wrote]:
    """Several models answer one prompt side by side, a token each in turn; column 0 is the first. Pieces of text as events.

    `asked`: the template of each column, the model's own where none is named.
    """
    how = Sampling(spec.max_new_tokens, spec.temperature, spec.top_p, spec.seed)
    put = [asked[i] if i < len(asked) else CHAT for i in range(len(models))]
    ids = [data.prompt_ids(tokenizer, spec.prompt, template) for template in put]
    columns = [_column(i, m, tokenizer, ids[i], how, put[i]) for i, m in enumerate(models)]
    while columns:
        for column in list(columns):
            event = next(column, None)
            between()
            if isinstance(event, events.Wrote):
                yield event
                if event.ended:
                    columns.remove(column)


def _column(
    number: int, model: Any, tokenizer: Any, ids: list[int], how: Sampling, template: str
) -> Iterator[events.Wrote | bool]:
    """One model's answer: True for a token that is held back, a `Wrote` at most every FLUSH_S, the last one ended."""
    written: list[int] = []
    shown, spent_s, flushed = "", 0.0, 0.0
    steps = decode(model, [ids], end_ids(model, tokenizer), how)
    while True:
        began = time.perf_counter()
        token = next(steps, None)
        spent_s += time.perf_counter() - began
        if token is not None and token[0] is not None:
            written.append(token[0])
        whole = tokenizer.decode(written, skip_special_tokens=True)
        ended = token is None or templates.has_ended(whole, template)
        text = answer_text(whole, template) if ended else templates.certain(whole, template)
        if not ended and (
            text.endswith("\ufffd") or spent_s - flushed < FLUSH_S
        ):  # half a character waits for its rest
            yield True
            continue
        piece, shown, flushed = text[len(shown) :], text, spent_s
        yield events.Wrote(column=number, text=piece, tokens=len(written), elapsed_s=round(spent_s, 3), ended=ended)
        if ended:
            return
