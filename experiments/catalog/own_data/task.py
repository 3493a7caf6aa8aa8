"""A visitor's rows as a task: split in a fixed, mixed order, copies of a question on one side, measured as answers allow."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from statistics import median

from experiments.catalog.own_data import columns as choice
from experiments.catalog.own_data import keep, measures
from experiments.catalog.own_data.columns import Columns
from experiments.catalog.own_data.table import Table, Unreadable
from experiments.catalog.tasks.base import Row, Split, Task, mixed_order, normal

FEWEST = 20
HELD_OUT_SHARE, FEWEST_HELD_OUT, MOST_HELD_OUT = 10, 4, 200
SHORT = 300
"""Characters: where half of the answers are longer, they are not scored word by word."""
PROBES, MOST_SCORED = 3, 24


@dataclass(frozen=True)
class Found:
    """The usable rows, split, and how many were left out: `empty` answers, `unfinished` conversations."""

    split: Split
    left_out: dict[str, int]
    held_out_by_column: bool

    @property
    def rows(self) -> tuple[Row, ...]:
        return (*self.split.train, *self.split.held_out)


def find(table: Table, columns: Columns, template: str) -> Found:
    """The rows as they would be trained on. Raises `Unreadable` where there are too few."""
    rows, held, left_out = choice.rows(table, columns, template)
    different = len({(row.prompt, row.completion, row.before) for row in rows})
    if different < FEWEST:
        said = f"{different:,} different rows with an answer" if different != 1 else "one row with an answer"
        raise Unreadable(f"It has {said}; {FEWEST} are needed.")
    if any(held):
        parts = Split(
            _mixed(row for row, back in zip(rows, held, strict=True) if not back),
            _mixed(row for row, back in zip(rows, held, strict=True) if back),
        )
        if len(parts.train) >= FEWEST // 2 and parts.held_out:
            return Found(parts, left_out, True)
        raise Unreadable(f"The column “{columns.split[:60]}” leaves {len(parts.train)} rows to train on; leave it out.")
    return Found(_split(rows), left_out, False)


def _mixed(rows: object) -> tuple[Row, ...]:
    return tuple(sorted(rows, key=_place))  # type: ignore[call-overload]


def _place(row: Row) -> str:
    return mixed_order(f"{normal(row.prompt or row.completion)}|{normal(row.completion)}")


def _split(rows: Sequence[Row]) -> Split:
    """A tenth is held back, question by question, so that no held-out question was trained on."""
    groups: dict[str, list[Row]] = {}
    for row in rows:
        groups.setdefault(normal(row.prompt) if row.prompt else row.completion, []).append(row)
    if len(groups) < FEWEST // 2:  # few questions with many answers: then by row
        groups = {}
        for row in rows:
            groups.setdefault(f"{row.prompt}\n{row.completion}", []).append(row)
    wanted = max(FEWEST_HELD_OUT, min(MOST_HELD_OUT, len(rows) // HELD_OUT_SHARE))
    held: list[Row] = []
    train: list[Row] = []
    for name in sorted(groups, key=mixed_order):
        fits = len(held) + len(groups[name]) <= max(wanted, FEWEST_HELD_OUT)
        (held if len(held) < wanted and fits else train).extend(groups[name])
    if not held:  # every group is large: hold back the smallest
        least = min(groups, key=lambda name: len(groups[name]))
        held = groups[least]
        train = [row for name, group in groups.items() if name != least for row in group]
    return Split(_mixed(train), _mixed(held))


def generic(key: str) -> Task:
    """What is known of a visitor's rows without opening them: how results are called."""
    return Task(
        key=key,
        title="Your own data",
        summary="Rows that a visitor brought.",
        licence="the visitor's own",
        source="brought by a visitor",
        resources=(),
        load=_nothing,
        metrics=(measures.ROUGE_L, measures.CHRF, measures.EXACT),
        score=_score,
        probes=(),
        max_new_tokens=1,
        scored_rows=0,
        max_length=1,
    )


def _nothing(progress: object) -> Split:
    raise Unreadable("These rows are known only with the columns of a run.")


@lru_cache(maxsize=3)
def of(key: str, columns: Columns, template: str) -> Task:
    """The task that a spec names. Raises `Unreadable`: rows that are gone, a column that is not there, too few rows."""
    table = keep.load(key)
    for _, sentence in choice.problems(table, columns):
        raise Unreadable(sentence)
    split = find(table, columns, template).split
    lengths = sorted(len(row.completion) for row in (*split.train, *split.held_out))
    asks = [row for row in split.held_out if row.prompt]
    scored = len(asks) == len(split.held_out) and median(lengths) <= SHORT
    probes = {row.prompt: row for row in reversed(asks)}
    first = tuple(row for row in asks if probes[row.prompt] is row)[:PROBES]
    return replace(
        generic(key),
        load=partial(_known, split),
        score=_score if scored else _no_score,
        probes=tuple(row.prompt for row in first),
        probe_rows=first,
        max_new_tokens=max(8, min(96, lengths[int(0.9 * (len(lengths) - 1))] // 3 + 4)),
        scored_rows=min(MOST_SCORED, len(split.held_out)) if scored else 0,
        max_length=columns.max_length,
        template=template,
    )


def _known(split: Split, progress: object) -> Split:
    return split


def _score(rows: Sequence[Row], answers: Sequence[str], base_answers: Sequence[str] | None = None) -> dict[str, float]:
    if not rows:
        return {}
    return {
        measures.ROUGE_L.key: measures.rouge_l(rows, answers),
        measures.CHRF.key: measures.chrf(rows, answers),
        measures.EXACT.key: measures.exact(rows, answers),
    }


def _no_score(
    rows: Sequence[Row], answers: Sequence[str], base_answers: Sequence[str] | None = None
) -> dict[str, float]:
    """Long answers, and text without questions, are judged by held-out loss alone."""
    return {}
