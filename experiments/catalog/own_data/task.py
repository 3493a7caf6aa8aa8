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
from experiments.catalog.tasks.base import Pair, Row, Split, Task, Thumb, mixed_order, normal

FEWEST, FEWEST_THUMBS = 20, 10
HELD_OUT_SHARE, FEWEST_HELD_OUT, MOST_HELD_OUT = 10, 4, 200
SHORT = 300
"""Characters: where half of the answers are longer, they are not scored word by word."""
PROBES, MOST_SCORED = 3, 24


@dataclass(frozen=True)
class Found:
    """The usable rows, split, and how many were left out, by their fault (`columns.FAULTS`)."""

    split: Split
    left_out: dict[str, int]
    held_out_by_column: bool

    @property
    def rows(self) -> tuple[Row, ...]:
        return (*self.split.train, *self.split.held_out, *self.split.disliked)


def find(table: Table, columns: Columns, template: str) -> Found:
    """The rows as they would be trained on. Raises `Unreadable` where there are too few."""
    rows, held, left_out = choice.rows(table, columns, template)
    different = len(set(map(identity, rows)))
    if different < FEWEST:
        what = {"answers": "row with an answer", "pairs": "pair", "thumbs": "answer with a thumb"}[columns.feedback]
        more = what.replace("row", "rows").replace("pair", "pairs").replace("answer with", "answers with")
        said = f"{different:,} different {more}" if different != 1 else f"one {what}"
        raise Unreadable(f"It has {said}; {FEWEST} are needed.{_most_common(left_out)}")
    if columns.label:
        _require_both(rows)
    if any(held):
        parts = Split(
            _mixed(row for row, back in zip(rows, held, strict=True) if not back),
            _mixed(row for row, back in zip(rows, held, strict=True) if back and is_good(row)),
            _mixed(row for row, back in zip(rows, held, strict=True) if back and not is_good(row)),
        )
        if len(parts.train) >= FEWEST // 2 and parts.held_out:
            return Found(parts, left_out, True)
        raise Unreadable(f"The column “{columns.split[:60]}” leaves {len(parts.train)} rows to train on; leave it out.")
    return Found(_split_thumbs(rows) if columns.label else _split(rows), left_out, False)


def identity(row: Row) -> tuple[object, ...]:
    """What tells rows apart: two that have it in common are copies."""
    judged = row.rejected if isinstance(row, Pair) else is_good(row)
    return row.prompt, row.completion, row.before, judged


def is_good(row: Row) -> bool:
    """Whether its answer is one to learn: any but one with a thumb down."""
    return not isinstance(row, Thumb) or row.is_good


def _most_common(left_out: dict[str, int]) -> str:
    """Why most of the rows that are left out are."""
    fault = max(left_out, key=lambda name: left_out[name])
    if not (count := left_out[fault]):
        return ""
    rows = "1 row" if count == 1 else f"{count:,} rows"
    return " " + choice.FAULTS[fault].format(rows=rows, are="is" if count == 1 else "are")


def _require_both(rows: Sequence[Row]) -> None:
    """Raise `Unreadable` where nearly all thumbs are of one kind."""
    for kind, count in (("up", sum(map(is_good, rows))), ("down", sum(not is_good(row) for row in rows))):
        if count < FEWEST_THUMBS:
            raise Unreadable(
                f"It has {count} answer{'' if count == 1 else 's'} with a thumb {kind}; at least {FEWEST_THUMBS} of each kind are needed."
            )


def _split_thumbs(rows: Sequence[Row]) -> Split:
    """The liked answers split as rows are; a disliked one stands where its question does, one whose question has no liked answer
    or has some on both sides by its hash."""
    good = _split([row for row in rows if is_good(row)])
    asked, trained = ({normal(row.prompt) for row in part} for part in (good.held_out, good.train))

    def is_held(row: Row) -> bool:
        question = normal(row.prompt)
        if (question in asked) != (question in trained):
            return question in asked
        return (
            int(mixed_order(f"{question}|{row.completion if question in asked else ''}")[:8], 16) % HELD_OUT_SHARE == 0
        )

    bad = [row for row in rows if not is_good(row)]
    train = [*good.train, *(row for row in bad if not is_held(row))]
    return Split(_mixed(train), good.held_out, _mixed(row for row in bad if is_held(row)))


def _mixed(rows: object) -> tuple[Row, ...]:
    return tuple(sorted(rows, key=_place))  # type: ignore[call-overload]


def _place(row: Row) -> str:
    worse = f"|{normal(row.rejected)}" if isinstance(row, Pair) else ""
    return mixed_order(f"{normal(row.prompt or row.completion)}|{normal(row.completion)}{worse}")


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
def of(key: str, columns: Columns, template: str, only_good: bool = False) -> Task:
    """The task that a spec names; `only_good`: without the answers that got a thumb down. Raises `Unreadable`: rows that are gone, a
    column that is not there, too few rows."""
    table = keep.load(key)
    for _, sentence in choice.problems(table, columns):
        raise Unreadable(sentence)
    split = find(table, columns, template).split
    if only_good:
        split = replace(split, train=tuple(filter(is_good, split.train)), disliked=())
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
        pairs=bool(columns.rejected),
        thumbs=bool(columns.label) and not only_good,
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
