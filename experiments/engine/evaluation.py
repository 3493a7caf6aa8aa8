"""Looks at a model: loss on held-out rows, loss on general text, answers and the task's metrics.

Everything is measured the same way for base and tuned, so that nothing trained gives exactly nothing changed.
"""

from __future__ import annotations

import hashlib
import json
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal

import torch

from experiments import events
from experiments.catalog import tasks
from experiments.catalog.cache import lab_home, write_text
from experiments.engine import data, generation, preference
from experiments.engine.loss import answer_logits, token_losses
from experiments.engine.models import Base
from experiments.engine.prefix import on_the_way

HELD_OUT_ROWS = 24  # along the way: enough to see the curve turn, a second or two on two cores
JUDGED_ROWS, FEWEST_JUDGED = 48, 12  # rows judged one by one at the end, where at least so many are left
EVAL_BATCH = 8
VERSION = 3  # raised when any measure here changes, so that no stale one is reused


@dataclass(frozen=True)
class RowLosses:
    """The summed loss of each row in nats, None where it is no finite number, and its learnt tokens."""

    losses: tuple[float | None, ...]
    tokens: tuple[int, ...]

    def mean(self) -> float | None:
        """In nats a token, over all rows; None where one is no number."""
        numbers = [loss for loss in self.losses if loss is not None]
        return math.fsum(numbers) / max(sum(self.tokens), 1) if len(numbers) == len(self.losses) else None


@torch.no_grad()
def row_losses(model: Any, base: Base, examples: Sequence[data.Example], between: Callable[[], None]) -> RowLosses:
    """The losses over all learnt tokens of each example, in the given order."""
    losses: list[float | None] = [None] * len(examples)
    lengths = [max(0, len(e.ids) - max(e.start, 1)) for e in examples]
    for some, batch in data.batches(examples, base.tokenizer.pad_token_id, base.device, EVAL_BATCH):
        for i, loss_N in zip(some, token_losses(model, batch).split([lengths[i] for i in some]), strict=True):
            total = float(loss_N.double().sum())
            losses[i] = total if math.isfinite(total) else None
        between()
    return RowLosses(tuple(losses), tuple(lengths))


def held_out_loss(model: Any, base: Base, task: tasks.Task, between: Callable[[], None]) -> float | None:
    """Loss on the first held-out rows of the task."""
    rows = task.split(None).held_out[:HELD_OUT_ROWS]
    return row_losses(model, base, [encoded(base, task, row) for row in rows], between).mean()


def general_losses(model: Any, base: Base, between: Callable[[], None]) -> RowLosses:
    """Loss on text that has nothing to do with any task: what rises here was forgotten."""
    return row_losses(model, base, general_text(base), between)


def general_text(base: Base) -> list[data.Example]:
    """The passages of `general_losses`."""
    return [data.encode_text(base.tokenizer, text, tasks.PASSAGE_TOKENS) for text in tasks.general_text()]


@torch.no_grad()
def largest_logit_change(model: Any, base: Base, task: tasks.Task) -> float | None:
    """The largest change of any logit against the base, over the answer of one held-out row."""
    example = encoded(base, task, task.split(None).held_out[0])
    batch = data.collate([example], base.tokenizer.pad_token_id, base.device)
    tuned_NV, base_NV = (answer_logits(m, batch) for m in (model, base.model))
    change = float((tuned_NV - base_NV).abs().max()) if len(base_NV) else math.nan
    return change if math.isfinite(change) else None


def look(
    model: Any, base: Base, task: tasks.Task, step: int, between: Callable[[], None], thorough: bool = False
) -> events.Evaluated:
    """A short look along the way; a thorough one reads the general text, too."""
    began = time.perf_counter()
    with on_the_way(model):
        loss = held_out_loss(model, base, task, between)
    general = general_losses(model, base, between).mean() if thorough else None
    elapsed = time.perf_counter() - began
    return events.Evaluated(
        subject="tuned", step=step, held_out_loss=loss, general_loss=general, elapsed_s=round(elapsed, 3)
    )


@dataclass(frozen=True)
class FullLook:
    """What was measured, with the answers to the scored rows and to the probes, and the general text passage by passage."""

    told: events.Evaluated
    said: Sequence[str]
    probes: Sequence[str]
    general: RowLosses


def full_look(model: Any, base: Base, task: tasks.Task, step: int, between: Callable[[], None]) -> FullLook:
    """All measures of a tuned model, its facts held against the base's answers."""
    began = time.perf_counter()
    rows = task.split(None).held_out[: task.scored_rows]
    asked = [*rows, *task.asked]  # together: of a batch that is written token by token a row more costs little
    answers, how = generation.answered(model, base.tokenizer, asked, task.max_new_tokens, between, task.template)
    said, probes = answers[: len(rows)], answers[len(rows) :]
    general = general_losses(model, base, between)
    told = events.Evaluated(
        subject="tuned",
        step=step,
        held_out_loss=held_out_loss(model, base, task, between),
        general_loss=general.mean(),
        metrics=task.score(rows, said, base_answers(base, task, between)) | pair_metrics(model, base, task, between),
        largest_logit_change=largest_logit_change(model, base, task),
        generation=how if rows else None,
        elapsed_s=round(time.perf_counter() - began, 3),
    )
    return FullLook(told, said, probes, general)


def base_look(base: Base, task: tasks.Task, between: Callable[[], None]) -> events.Evaluated:
    """The base model's measures on a task; measured once and kept, since nothing changes them."""

    def measure() -> dict[str, Any]:
        began = time.perf_counter()
        rows = task.split(None).held_out[: task.scored_rows]
        said = base_answers(base, task, between)
        return events.Evaluated(
            subject="base",
            step=0,
            held_out_loss=base_held_out_loss(base, task, between),
            general_loss=general_losses(base.model, base, between).mean(),
            metrics=task.score(rows, said, said) | base_pairs(base, task, between).metrics(),
            baselines=task.baselines(rows) or None,
            elapsed_s=round(time.perf_counter() - began, 3),
        ).model_dump(mode="json")

    return events.Evaluated.model_validate(_kept(base, task, "look", measure))


def base_judged(base: Base, task: tasks.Task, between: Callable[[], None]) -> events.Judged:
    """The base model row by row; measured once and kept."""

    def measure() -> dict[str, Any]:
        said, general = base_answers(base, task, between), general_losses(base.model, base, between)
        return judged("base", base.model, base, task, 0, said, general, between).model_dump(mode="json")

    rows = hashlib.sha256(repr(judged_rows(task)).encode()).hexdigest()[:12]
    return events.Judged.model_validate(_kept(base, task, f"judged-{rows}", measure))


def judged(
    subject: Literal["base", "tuned"],
    model: Any,
    base: Base,
    task: tasks.Task,
    step: int,
    said: Sequence[str],
    general: RowLosses,
    between: Callable[[], None],
) -> events.Judged:
    """A model row by row: the loss on held-out rows that no look along the way has read, so that whatever was chosen by those
    looks was not chosen on these; the loss on general text, `general`; and the score of each answer. `said` are the answers to the
    scored rows.
    """
    began = time.perf_counter()
    first, rows = judged_rows(task)
    found = row_losses(model, base, [encoded(base, task, row) for row in rows], between)
    asked = task.split(None).held_out[: len(said)]
    base_said = base_answers(base, task, between)
    scores = tuple(task.score([r], [a], [b]) for r, a, b in zip(asked, said, base_said, strict=True))
    return events.Judged(
        subject=subject, step=step, first=first, losses=found.losses, tokens=found.tokens, general_losses=general.losses,
        general_tokens=general.tokens, answers=tuple(said), scores=scores, elapsed_s=round(time.perf_counter() - began, 3),
    )  # fmt: skip


def judged_rows(task: tasks.Task) -> tuple[int, Sequence[tasks.Row]]:
    """The rows of `judged` and the number of the first: those after the rows of the looks, or all where few are left."""
    rows = task.split(None).held_out
    first = HELD_OUT_ROWS if len(rows) - HELD_OUT_ROWS >= FEWEST_JUDGED else 0
    return first, rows[first : first + JUDGED_ROWS]


def encoded(base: Base, task: tasks.Task, row: tasks.Row) -> data.Example:
    """A row as the task has it read."""
    return data.encode(base.tokenizer, row, task.max_length, task.template)


def base_answers(base: Base, task: tasks.Task, between: Callable[[], None]) -> list[str]:
    """What the base model says to the scored rows."""
    rows = task.split(None).held_out[: task.scored_rows]

    def ask() -> list[str]:
        return generation.answers(base.model, base.tokenizer, rows, task.max_new_tokens, between, task.template)

    return _kept(base, task, "answers", ask)


def base_probes(base: Base, task: tasks.Task, between: Callable[[], None]) -> list[str]:
    """What the base model says to the probe prompts."""

    def ask() -> list[str]:
        return generation.answers(base.model, base.tokenizer, task.asked, task.max_new_tokens, between, task.template)

    return _kept(base, task, "probes", ask)


def base_held_out_loss(base: Base, task: tasks.Task, between: Callable[[], None]) -> float | None:
    """The base model's loss on the held-out rows."""
    return _kept(base, task, "held-out", lambda: held_out_loss(base.model, base, task, between))


def base_pairs(base: Base, task: tasks.Task, between: Callable[[], None]) -> preference.Preferences:
    """How likely the held-out answers that were judged are to the base model; of a task without pairs or thumbs, of none."""

    def ask() -> list[list[float]]:
        found = preference.measure(base.model, base, task, between)
        return [found.better_P.tolist(), found.worse_P.tolist()]

    better, worse = _kept(base, task, "pairs", ask) if task.feedback != "answers" else ([], [])
    better_P, worse_P = (torch.tensor(side, dtype=torch.float64) for side in (better, worse))
    return preference.Preferences(better_P, worse_P, not task.thumbs)


def pair_metrics(model: Any, base: Base, task: tasks.Task, between: Callable[[], None]) -> dict[str, float]:
    """What training did to the held-out answers that were judged; nothing for a task without pairs or thumbs."""
    if task.feedback == "answers":
        return {}
    return preference.measure(model, base, task, between).metrics(base_pairs(base, task, between))


def base_is_known(base: Base, task: tasks.Task) -> bool:
    """Whether `base_look` would come at once."""
    return _place(base, task, "look").exists()


def _kept(base: Base, task: tasks.Task, what: str, make: Callable[[], Any]) -> Any:
    """A JSON value from the lab's cache, made where it is not there."""
    place = _place(base, task, what)
    try:
        return json.loads(place.read_text("utf8"))
    except (OSError, ValueError):
        value = make()
        write_text(place, json.dumps(value))
        return value


def _place(base: Base, task: tasks.Task, what: str) -> Any:
    name = hashlib.sha256(f"{VERSION}|{base.weights}|{base.device.type}|{_fingerprint(task)}".encode()).hexdigest()[:24]
    return lab_home() / "cache" / "base" / f"{name}.{what}.json"


@cache
def _fingerprint(task: tasks.Task) -> str:
    """Changes with the task's held-out rows, its limits, or the general text."""
    judged = preference.PAIRS if task.feedback != "answers" else 0
    rows = (
        task.split(None).held_out[: max(task.scored_rows, HELD_OUT_ROWS, judged)] + task.split(None).disliked[:judged]
    )
    parts = [
        task.key,
        *task.probes,
        task.max_new_tokens,
        task.scored_rows,
        task.max_length,
        task.template,
        *map(repr, (*task.probe_rows, *rows)),
        *tasks.general_text(),
    ]
    return hashlib.sha256("\n".join(map(str, parts)).encode()).hexdigest()
