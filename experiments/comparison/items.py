"""From judged runs to numbers: a table of seeds × items for the held-out loss, for forgetting and for each metric of the task, and
the items that a method fixed or broke. Pure.
"""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean

from pydantic import BaseModel, ConfigDict

from experiments import events
from experiments.analysis import Record
from experiments.catalog.tasks.base import Row

MOST_SHOWN = 6
MARKED = (
    10.0  # points of a metric without right and wrong, such as chrF, from which on an answer counts as fixed or broken
)
TEXT = 400  # characters of a prompt or an answer that are shown


def losses(runs: Sequence[Record]) -> list[list[float]]:
    """Held-out loss, nats a token: a row a run, a column an item. The mean of a row is the loss over all tokens of its items.
    Empty where a run was not judged or lost its numbers."""
    return _ratios(
        [(r.judged["tuned"].losses, r.judged["tuned"].tokens) for r in runs if "tuned" in r.judged], len(runs)
    )


def base_losses(run: Record) -> list[list[float]]:
    judged = run.judged.get("base")
    return _ratios([(judged.losses, judged.tokens)], 1) if judged else []


def forgetting(runs: Sequence[Record]) -> list[list[float]]:
    """Loss on general text, tuned minus base: a row a run, a column a passage."""
    if not all({"base", "tuned"} <= r.judged.keys() for r in runs):
        return []
    pairs = [(r.judged["tuned"], r.judged["base"]) for r in runs]
    tuned = _ratios([(t.general_losses, t.general_tokens) for t, _ in pairs], len(runs))
    base = _ratios([(b.general_losses, b.general_tokens) for _, b in pairs], len(runs))
    return [[x - y for x, y in zip(a, b, strict=True)] for a, b in zip(tuned, base, strict=True)]


def _ratios(found: Sequence[tuple[Sequence[float | None], Sequence[int]]], count: int) -> list[list[float]]:
    """Sums and their tokens as numbers whose mean is the sum of all over the tokens of all."""
    if len(found) < count:
        return []
    table = []
    for sums, tokens in found:
        numbers = [s for s in sums if s is not None]
        if not numbers or len(numbers) < len(sums) or not sum(tokens):
            return []
        table.append([s * len(sums) / sum(tokens) for s in numbers])
    return table


def scores(runs: Sequence[Record], metric: str, kept: Sequence[int] | None = None) -> list[list[float]]:
    """A metric of each answer: a row a run, a column an item; of the items `kept` only."""
    items = kept if kept is not None else scored(runs, metric)
    judged = [r.judged["tuned"].scores for r in runs if "tuned" in r.judged]
    return [[row[i][metric] for i in items] for row in judged] if items and len(judged) == len(runs) else []


def scored(runs: Sequence[Record], metric: str) -> list[int]:
    """The items that have this metric in every run: what a base did not know cannot be kept."""
    judged = [r.judged["tuned"].scores for r in runs if "tuned" in r.judged]
    if not judged or len(judged) < len(runs):
        return []
    return [i for i in range(min(map(len, judged))) if all(metric in row[i] for row in judged)]


class Example(BaseModel):
    """One held-out question: what base and tuned (at the first seed) said to it, and its scores, a mean over the seeds."""

    model_config = ConfigDict(frozen=True)
    item: int
    prompt: str
    reference: str
    base: str
    tuned: str
    base_score: float
    tuned_score: float


class Changes(BaseModel):
    """What a method did to the answers by one metric: how many of `items` it fixed and broke, and some of each."""

    model_config = ConfigDict(frozen=True)
    metric: str
    items: int
    fixed: int
    broke: int
    examples_fixed: tuple[Example, ...] = ()
    examples_broke: tuple[Example, ...] = ()


def changes(runs: Sequence[Record], metric: str, rows: Sequence[Row]) -> Changes | None:
    """What these runs of one method, a seed each, changed against the base; None where they were not judged."""
    base = runs[0].judged.get("base") if runs else None
    judged = [r.judged["tuned"] for r in runs if "tuned" in r.judged]
    if base is None or len(judged) < len(runs):
        return None
    found = []
    for i, row in enumerate(rows[: min(len(base.scores), *(len(j.scores) for j in judged))]):
        if metric in base.scores[i] and all(metric in j.scores[i] for j in judged):
            found.append(_example(i, row, base, judged, metric))
    is_binary = all(
        v in (0.0, 100.0) for j in (base, *judged) for s in j.scores if (v := s.get(metric, 0.0)) is not None
    )
    enough = 50.0 if is_binary else MARKED  # right or wrong: in most seeds
    fixed = [e for e in found if e.tuned_score - e.base_score > enough]
    broke = [e for e in found if e.base_score - e.tuned_score > enough]
    return Changes(
        metric=metric, items=len(found), fixed=len(fixed), broke=len(broke),
        examples_fixed=tuple(fixed[:MOST_SHOWN]), examples_broke=tuple(broke[:MOST_SHOWN]),
    )  # fmt: skip


def _example(i: int, row: Row, base: events.Judged, judged: Sequence[events.Judged], metric: str) -> Example:
    return Example(
        item=i, prompt=row.prompt[:TEXT], reference=row.completion[:TEXT], base=base.answers[i][:TEXT],
        tuned=judged[0].answers[i][:TEXT], base_score=base.scores[i][metric],
        tuned_score=fmean(j.scores[i][metric] for j in judged),
    )  # fmt: skip
