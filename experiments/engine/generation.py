"""Answers, token by token: batches for the task metrics, streams for the page, base and tuned from the same seed.

Shapes: B rows, T tokens, V vocabulary. Prompts are padded on the right and every row keeps positions of its own, so an
answer does not depend on what else is in the batch, also behind a soft prompt.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from experiments import events, templates
from experiments.catalog.tasks.base import Row
from experiments.engine import data
from experiments.engine.context import WithContext, context_length
from experiments.engine.loss import head_only_at
from experiments.questions import SampleSpec
from experiments.templates import CHAT, answer_text

FLUSH_S = 0.1
MOST_ROWS = 72  # that answer together: a row more costs little
MOST_TOKENS = 12_288  # of rows that answer together: keys and values of each are kept


@dataclass(frozen=True)
class Sampling:
    """How the next token is taken; temperature 0 takes the likeliest."""

    max_new_tokens: int
    temperature: float = 0.0
    top_p: float = 1.0
    seed: int = 0
    repetition_penalty: float = 1.0


def virtual_tokens(model: Any) -> int:
    """How many tokens of the method stand before the text, 0 for a method that has none."""
    if isinstance(model, WithContext):
        return model.context_tokens
    config = getattr(model, "active_peft_config", None)
    return config.num_virtual_tokens if config is not None and config.is_prompt_learning else 0


def require_room(model: Any, prompts: Sequence[Sequence[int]]) -> None:
    """Raise `ValueError`, one sentence, where one of these prompts leaves no room for an answer in the model's context."""
    soft = virtual_tokens(model)
    room = context_length(model) - soft - 1
    behind = f" behind the {soft:,} of its method" if soft else ""
    for number, ids in enumerate(prompts, start=1):
        if len(ids) > room:
            name = f"Prompt {number}" if len(prompts) > 1 else "The prompt"
            raise ValueError(
                f"{name} has {len(ids):,} tokens and the model reads at most {room:,}{behind}: shorten it."
            )


def decode(model: Any, prompts: Sequence[Sequence[int]], ends: set[int], how: Sampling) -> Iterator[list[int | None]]:
    """The next token of every row, again and again; None for a row that has ended. Stops when all have.

    The end token itself is not given out. A row that has filled the model's context has ended, too.
    """
    draws = [torch.Generator().manual_seed(how.seed) for _ in prompts]  # one a row: alone it is drawn the same
    examples = [data.Example(tuple(p), len(p)) for p in prompts]
    batch = data.collate(examples, 0, model.device)
    lengths_B = batch.mask_BT.sum(1)
    last_BT = torch.zeros_like(batch.mask_BT, dtype=torch.bool)
    last_BT[torch.arange(len(prompts)), lengths_B - 1] = True
    soft, whole = virtual_tokens(model), context_length(model)
    inner = model.get_base_model() if soft else model
    with torch.no_grad(), head_only_at(model, last_BT):
        out = model(input_ids=batch.ids_BT, attention_mask=batch.mask_BT, use_cache=True)
    logits_BV, cache = out.logits, out.past_key_values
    mask_BT = torch.cat([batch.mask_BT.new_ones(len(prompts), soft), batch.mask_BT], dim=1)
    seen_BV = _seen(prompts, logits_BV) if how.repetition_penalty != 1 else None
    ended = [False] * len(prompts)
    for step in range(how.max_new_tokens):
        if seen_BV is not None:
            logits_BV = discourage(logits_BV, seen_BV, how.repetition_penalty)
        next_B = _next(logits_BV, how, draws)
        if seen_BV is not None:
            seen_BV.scatter_(1, next_B[:, None], True)
        ended = [e or int(t) in ends for e, t in zip(ended, next_B, strict=True)]
        if all(ended):
            return
        yield [None if e else int(t) for e, t in zip(ended, next_B, strict=True)]
        place_B = lengths_B + soft + step
        ended = [e or int(place) >= whole for e, place in zip(ended, place_B, strict=True)]
        if all(ended) or step + 1 == how.max_new_tokens:
            return
        mask_BT = torch.cat([mask_BT, mask_BT.new_ones(len(prompts), 1)], dim=1)
        with torch.no_grad():
            out = inner(
                input_ids=next_B[:, None], attention_mask=mask_BT, past_key_values=cache, use_cache=True,
                position_ids=place_B.clamp(max=whole - 1)[:, None],
            )  # fmt: skip
        logits_BV, cache = out.logits[:, -1], out.past_key_values


def _next(logits_BV: Tensor, how: Sampling, draws: Sequence[torch.Generator]) -> Tensor:
    """One token a row, each drawn with its own generator; the likeliest need none."""
    if how.temperature == 0 or len(draws) == 1:
        return pick(logits_BV, how, draws[0])
    return torch.cat([pick(logits_BV[i : i + 1], how, draw) for i, draw in enumerate(draws)])


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


def _seen(prompts: Sequence[Sequence[int]], like_BV: Tensor) -> Tensor:
    """Which tokens stand in each prompt."""
    seen_BV = torch.zeros_like(like_BV, dtype=torch.bool)
    for row_V, prompt in zip(seen_BV, prompts, strict=True):
        row_V[list(prompt)] = True
    return seen_BV


def discourage(logits_BV: Tensor, seen_BV: Tensor, penalty: float) -> Tensor:
    """Logits with those of tokens that were seen made smaller, by the penalty (Keskar et al. 2019, CTRL, section 4.1)."""
    return torch.where(seen_BV, torch.where(logits_BV < 0, logits_BV * penalty, logits_BV / penalty), logits_BV)


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
    return answered(model, tokenizer, prompts, limit, between, template)[0]


def answered(
    model: Any,
    tokenizer: Any,
    prompts: Sequence[str | Row],
    limit: int,
    between: Callable[[], None],
    template: str = CHAT,
) -> tuple[list[str], events.Generation]:
    """`answers`, with how they were written and what that took."""
    began, count, how = time.perf_counter(), 0, Sampling(limit)
    encoded = [data.prompt_ids(tokenizer, p, template) for p in prompts]
    by_length = sorted(range(len(prompts)), key=lambda i: len(encoded[i]))
    found = [""] * len(prompts)
    size = together([len(ids) for ids in encoded], limit)
    for start in range(0, len(prompts), size):
        rows = by_length[start : start + size]
        written: list[list[int]] = [[] for _ in rows]
        for tokens in decode(model, [encoded[i] for i in rows], end_ids(model, tokenizer), how):
            for line, token in zip(written, tokens, strict=True):
                if token is not None:
                    line.append(token)
                    count += 1
            between()
        for i, line in zip(rows, written, strict=True):
            found[i] = answer_text(tokenizer.decode(line, skip_special_tokens=True), template).strip()
    told = events.Generation(
        max_new_tokens=limit, temperature=how.temperature, top_p=how.top_p, seed=how.seed,
        repetition_penalty=how.repetition_penalty, rows=len(prompts), batch=size, tokens=count,
        elapsed_s=round(time.perf_counter() - began, 3),
    )  # fmt: skip
    return found, told


def together(lengths: Sequence[int], limit: int) -> int:
    """How many prompts of these lengths answer at once, so that the batches are as few as may be and about as large."""
    most = min(MOST_ROWS, MOST_TOKENS // (max(lengths, default=0) + limit)) or 1
    batches = max(1, math.ceil(len(lengths) / most))
    return max(1, math.ceil(len(lengths) / batches))


def sample(
    models: Sequence[Any],
    tokenizer: Any,
    spec: SampleSpec,
    between: Callable[[], None],
    asked: Sequence[str] = (),
) -> Iterator[events.Wrote]:
    """Several models answer the same prompts; column 0 is the first. Pieces of text as events.

    One prompt is answered side by side, a token each in turn; several, by one model after the other, all at once.
    `asked`: the template of each column, the model's own where none is named. Raises `ValueError` for a prompt that is too long.
    """
    how = Sampling(spec.max_new_tokens, spec.temperature, spec.top_p, spec.seed, spec.repetition_penalty)
    columns = []
    for i, model in enumerate(models):
        template = asked[i] if i < len(asked) else CHAT
        encoded = [data.prompt_ids(tokenizer, prompt, template) for prompt in spec.prompts]
        require_room(model, encoded)
        steps = decode(model, encoded, end_ids(model, tokenizer) if spec.stop_at_end else set(), how)
        columns.append(_column([_Line(i, row, tokenizer, template) for row in range(len(encoded))], steps))
    abreast = len(columns) if len(spec.prompts) == 1 else 1
    while columns:
        for column in columns[:abreast]:
            found = next(column, None)
            between()
            if found is None:
                columns.remove(column)
            else:
                yield from found


def _column(lines: list[_Line], steps: Iterator[list[int | None]]) -> Iterator[list[events.Wrote]]:
    """One model's answers: after each token what is to be shown, most often nothing; each line's last event is its end."""
    spent_s = flushed = 0.0
    while True:
        began = time.perf_counter()
        tokens = next(steps, None)
        spent_s += time.perf_counter() - began
        for line, token in zip(lines, tokens or [None] * len(lines), strict=True):
            line.take(token)
        is_due = spent_s - flushed >= FLUSH_S
        flushed = spent_s if is_due else flushed
        yield [event for line in lines if (event := line.tell(is_due, spent_s))]
        if all(line.is_told for line in lines):
            return


class _Line:
    """One answer as it grows: its tokens, and how much of its text was told."""

    def __init__(self, column: int, row: int, tokenizer: Any, template: str):
        self.column, self.row, self.tokenizer, self.template = column, row, tokenizer, template
        self.written: list[int] = []
        self.shown, self.ended, self.is_told = "", False, False

    def take(self, token: int | None) -> None:
        """The next token; None ends the answer, and so does the text with which its template closes one."""
        if self.ended:
            return
        if token is not None:
            self.written.append(token)
        self.ended = token is None or (self.template != CHAT and templates.has_ended(self._whole(), self.template))

    def _whole(self) -> str:
        return str(self.tokenizer.decode(self.written, skip_special_tokens=True))

    def tell(self, is_due: bool, spent_s: float) -> events.Wrote | None:
        """What was not told yet, where it is time; an answer that has ended is told to its end, once."""
        if self.is_told or not (is_due or self.ended):
            return None
        whole = self._whole()
        text = answer_text(whole, self.template) if self.ended else templates.certain(whole, self.template)
        if text.endswith("\ufffd") and not self.ended:  # half a character waits for its rest
            return None
        piece, self.shown, self.is_told = text[len(self.shown) :], text, self.ended
        return events.Wrote(
            column=self.column, row=self.row, text=piece, tokens=len(self.written), elapsed_s=round(spent_s, 3),
            ended=self.ended,
        )  # fmt: skip
