"""What a run would be trained on, before it starts: the tokens of a few rows and what to know of all of them.

The tokens are made by the code that training uses (`experiments.templates`), and only of the rows that are shown. What is
said of all rows is counted without tokens; how many will be cut is judged by their length in characters, and says so.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from experiments import templates
from experiments.catalog.own_data import columns as choice
from experiments.catalog.own_data.columns import Columns
from experiments.catalog.own_data.table import Table, Unreadable
from experiments.catalog.own_data.task import Found, find, identity
from experiments.catalog.tasks.base import Pair, Row, Thumb, normal
from experiments.templates import Codec

SHOWN = 3
ONE_SIDED = 0.8
"""The share of pairs with the better answer on the same side in length, from which on it is said."""


@dataclass(frozen=True)
class Shown:
    """A row as it is trained on: its tokens as text, whether each counts in the loss, and where it is cut (None: nowhere).

    Tokens from `cut_at` on are dropped; they are given to show what is lost, and never count. `worse`: the same prompt with the
    other answer of a pair. `is_good`: the thumb of an answer that has one.
    """

    side: str
    tokens: tuple[str, ...]
    ids: tuple[int, ...]
    in_loss: tuple[bool, ...]
    cut_at: int | None
    ends: bool
    worse: Shown | None = None
    is_good: bool | None = None

    def as_json(self) -> dict[str, Any]:
        """For a pair, the worse answer stands under `rejected`; a thumb is `good`."""
        kept = len(self.ids) if self.cut_at is None else self.cut_at
        judged: dict[str, Any] = {"rejected": self.worse.as_json()} if self.worse else {}
        return {
            **(judged if self.is_good is None else {"good": self.is_good}),
            "side": self.side,
            "tokens": list(self.tokens[:kept]),
            "ids": list(self.ids[:kept]),
            "in_loss": list(self.in_loss[:kept]),
            "cut_at": self.cut_at,
            "dropped": "".join(self.tokens[kept:])[:2000],
        }


@dataclass(frozen=True)
class Preview:
    """`rows` are those of the table, `train` and `held_out` what is used of them. `examples`: rows of training from `first`, counted from
    0, on. `warnings`: one sentence each.
    """

    rows: int
    columns: tuple[str, ...]
    mapping: dict[str, str]
    train: int
    held_out: int
    first: int
    examples: tuple[Shown, ...]
    warnings: tuple[str, ...]

    def as_json(self) -> dict[str, Any]:
        return {
            "rows": self.rows,
            "columns": list(self.columns),
            "map": self.mapping,
            "train": self.train,
            "held_out": self.held_out,
            "first": self.first,
            "examples": [example.as_json() for example in self.examples],
            "warnings": list(self.warnings),
        }


def preview(
    table: Table, columns: Columns, template: str, codec: tuple[Codec, Any] | None, first: int = 0, count: int = SHOWN
) -> Preview:
    """The preview from training row `first` on, of the last ones where there are not so many. `codec` (see `catalog.codec.load`) None: the
    model is not here yet.

    Raises `Unreadable`: a column that is not there, too few rows, a conversation that the model's template refuses.
    """
    for _, sentence in choice.problems(table, columns):
        raise Unreadable(sentence)
    found = find(table, columns, template)
    first = max(0, min(first, len(found.split.train) - count))
    rows = found.split.train[first : first + count]
    examples = tuple(show(row, columns, template, codec) for row in rows) if codec else ()
    said = [*table.notes, *_of_template(table, found, template, codec, examples), *_of_rows(found, columns)]
    both = [side for example in examples for side in (example, example.worse) if side]
    said += _of_length(found, columns, rows, both, _around(codec[0], template)) if codec and examples else []
    return Preview(
        len(table.rows),
        table.columns,
        columns.chosen,
        len(found.split.train),
        len(found.split.held_out) + len(found.split.disliked),
        first,
        examples,
        tuple(dict.fromkeys(said)),
    )


def show(row: Row, columns: Columns, template: str, codec: tuple[Codec, Any]) -> Shown:
    """A row's tokens, those of both answers of a pair. Raises `Unreadable` where the model's chat template refuses the row."""
    shown = _shown(row, columns, template, codec)
    if isinstance(row, Pair):
        return replace(shown, worse=_shown(replace(row, completion=row.rejected), columns, template, codec))
    return replace(shown, is_good=row.is_good) if isinstance(row, Thumb) else shown


def _shown(row: Row, columns: Columns, template: str, codec: tuple[Codec, Any]) -> Shown:
    text, tokenizer = codec
    try:
        whole = templates.encode(text, row, None, template)
        kept = templates.encode(text, row, columns.max_length, template)
    except ValueError as error:
        raise Unreadable(str(error)) from None
    in_loss = kept.in_loss + (False,) * (len(whole.ids) - len(kept.ids))
    end = list(text.ids(text.eos, False))
    ends = bool(end) and any(list(whole.ids[i : i + len(end)]) == end for i in range(whole.start, len(whole.ids)))
    pieces = tuple(tokenizer.decode([i], skip_special_tokens=False) for i in whole.ids)
    return Shown("train", pieces, whole.ids, in_loss, columns.max_length if kept.cut else None, ends)


def _of_template(
    table: Table, found: Found, template: str, codec: tuple[Codec, Any] | None, examples: Sequence[Shown]
) -> list[str]:
    said = []
    if examples and not all(example.ends for example in examples):
        end = codec[0].eos if codec else ""
        cure = " Put {end} at the end of the template." if template not in templates.KINDS else ""
        said.append(f"The end-of-text token {end} is not learnt: the model will not know when to stop.{cure}")
    if unknown := templates.unknown_fields(template, table.columns):
        names = ", ".join(f"{{{name}}}" for name in unknown)
        said.append(f"The template names {names}, which is no column: it stays in the text as it is.")
    if codec and template == templates.CHAT and codec[0].chat_template is None:
        said.append("This model has no chat template: it reads prompt, new line, completion, end of text.")
    if not any(row.prompt for row in found.rows):
        if template == templates.CHAT:
            said.append(
                "No row has a prompt: the model learns to answer silence. The template “plain” learns it as text."
            )
        else:
            said.append("No row has a prompt: all of its text is learnt.")
    return said


def _of_rows(found: Found, columns: Columns) -> list[str]:
    """Empty, doubled and leaked rows."""
    said = []
    for fault, count in found.left_out.items():
        if count:
            said.append(choice.FAULTS[fault].format(rows=_rows(count), are=_is(count)))
    rows = found.rows
    said += _of_judgements(rows)
    same = len(rows) - len(set(map(identity, rows)))
    if same:
        said.append(f"{_rows(same)} {_is(same)} a copy of another: what stands twice is learnt twice.")
    trained = {_key(row) for row in found.split.train}
    leaked = sum(_key(row) in trained for row in (*found.split.held_out, *found.split.disliked))
    if leaked:
        why = f" by the column “{columns.split}”" if found.held_out_by_column else ""
        said.append(
            f"{_rows(leaked)} of the held-out ones also {_stand(leaked)} in training{why}: held-out loss will flatter."
        )
    if several := sum(any(role == "assistant" for role, _ in row.before) for row in rows):
        said.append(
            f"{_rows(several)} {_is(several)} a conversation with several answers: the last is learnt, the others are read."
        )
    return said


def _of_judgements(rows: Sequence[Row]) -> list[str]:
    """What else than better or worse could be learnt of pairs, and what of thumbs is not imitated."""
    pairs = [row for row in rows if isinstance(row, Pair)]
    if disliked := sum(isinstance(row, Thumb) and not row.is_good for row in rows):
        return [
            f"{_rows(disliked)} {'has' if disliked == 1 else 'have'} a thumb down: where answers are imitated, without them."
        ]
    for side, longer in (
        ("longer", sum(len(p.completion) > len(p.rejected) for p in pairs)),
        ("shorter", sum(len(p.completion) < len(p.rejected) for p in pairs)),
    ):
        if pairs and longer >= ONE_SIDED * len(pairs):
            share = 100 * longer / len(pairs)
            return [
                f"In {share:.0f} % of the pairs the better answer is the {side} one: its length alone may be what is learnt."
            ]
    return []


def _around(codec: Codec, template: str) -> int:
    """Tokens that the template puts around a row."""
    return len(templates.encode(codec, Row("x", "x"), None, template).ids) - 2


def _of_length(
    found: Found, columns: Columns, rows: Sequence[Row], examples: Sequence[Shown], around: int
) -> list[str]:
    """How many rows are cut: exactly of those shown, by their characters of all. A pair is two, one for each of its answers."""
    said = []
    what = "answers" if columns.rejected else "rows"
    everything = [side for row in found.rows for side in _sides(row)]
    cut = sum(example.cut_at is not None for example in examples)
    silent = sum(example.cut_at is not None and not any(example.in_loss) for example in examples)
    own = sum(len(e.ids) - around for e in examples)
    a_letter = max(own, 1) / max(1, sum(_characters(side) for row in rows for side in _sides(row)))  # tokens
    about = sum(around + a_letter * _characters(side) > columns.max_length for side in everything)
    limit = f"{columns.max_length:,} tokens"
    if cut and len(examples) == len(everything):
        said.append(f"{_rows(cut)} {_is(cut)} longer than {limit} and cut there.")
    elif cut or about:
        said.append(
            f"About {about:,} of {len(everything):,} {what} are longer than {limit} and cut there, judged by their characters;"
            f" of the {len(examples)} shown, {cut} {_is(cut)}."
        )
    if silent:
        said.append(
            f"In {_rows(silent).lower()} of those shown the prompt alone fills {limit}: nothing of the answer is learnt."
        )
    return said


def _sides(row: Row) -> tuple[Row, ...]:
    """The row with each of its answers."""
    return (row, replace(row, completion=row.rejected)) if isinstance(row, Pair) else (row,)


def _characters(row: Row) -> int:
    return len(row.prompt) + len(row.completion) + sum(len(text) for _, text in row.before)


def _key(row: Row) -> tuple[str, str]:
    """What two rows whose answer says the same have in common, case and punctuation aside."""
    return normal(row.prompt), normal(row.completion) or row.completion


def _rows(count: int) -> str:
    return "1 row" if count == 1 else f"{count:,} rows"


def _is(count: int) -> str:
    return "is" if count == 1 else "are"


def _stand(count: int) -> str:
    return "stands" if count == 1 else "stand"
