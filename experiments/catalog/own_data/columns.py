"""Which column is what: guessed from names and content, corrected by whoever brought the rows, part of a run's spec."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from pydantic import BaseModel, ConfigDict, Field

from experiments import templates
from experiments.catalog.own_data.table import Cell, Table, Turns, text_of
from experiments.catalog.tasks.base import Pair, Row, Thumb

PARTS = ("prompt", "completion", "rejected", "label", "input", "system", "split")
"""What a column can be, in the order in which they are asked for."""
ALSO = {"chosen": "completion"}
"""Further names of parts: of a pair the completion is the chosen answer."""
NAMES = {
    "prompt": "prompt instruction question query user source sentence premise input text document context title en",
    "completion": "completion response output answer answers target label reply assistant chosen summary translation"
    " messages conversations conversation dialogue dialog chat text",
    "input": "input context passage",
    "system": "system system_prompt",
    "split": "split subset fold",
    "label": "label thumb thumbs is_good liked desirable",
}
BETTER = dict(rejected="chosen", worse="better", dispreferred="preferred", loser="winner", bad_answer="good_answer")
"""The name of a worse answer's column → that of the better one beside it."""
UP = "good, up, thumbs up, yes, true, 1, 1.0, +1, like, liked, chosen, desirable, \N{THUMBS UP SIGN}"
DOWN = "bad, down, thumbs down, no, false, 0, 0.0, -1, dislike, disliked, rejected, undesirable, \N{THUMBS DOWN SIGN}"
"""What says of an answer that it is good, or bad."""
HELD_OUT = {"test", "valid", "validation", "val", "dev", "eval", "held-out", "held_out", "heldout"}
TRAIN = {"train", "training"}
LONGEST_ROW = 2048
FAULTS = {
    "empty": "{rows} with an empty answer {are} left out.",
    "unfinished": "{rows} {are} left out: the conversation has no answer to somebody, or a role that is unknown.",
    "same": "{rows} {are} left out: the better and the worse answer are the same.",
    "apart": "{rows} {are} left out: their two answers are to different prompts.",
    "unasked": "{rows} without a prompt {are} left out: answers are judged as answers to one.",
    "unmarked": "{rows} {are} left out: the thumb says neither good nor bad.",
}
"""Why a row cannot be learnt from."""


class Columns(BaseModel):
    """The columns of a visitor's rows. A completion column that holds conversations needs no prompt column.

    With `rejected` a row is a pair, its completion the better answer; with `label` its completion has a thumb up or down.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    prompt: str = Field("", title="Prompt", max_length=200)
    completion: str = Field(title="Completion", min_length=1, max_length=200)
    rejected: str = Field("", title="Worse answer", max_length=200, json_schema_extra={"later": True})
    label: str = Field("", title="Thumb", max_length=200, json_schema_extra={"later": True})
    input: str = Field("", title="Input", max_length=200)
    system: str = Field("", title="System", max_length=200)
    split: str = Field("", title="Split", max_length=200)
    max_length: int = Field(256, title="Longest row", ge=8, le=LONGEST_ROW)

    @property
    def chosen(self) -> dict[str, str]:
        """Part → column, those that are set."""
        return {part: name for part in PARTS if (name := getattr(self, part))}

    @property
    def feedback(self) -> str:
        """What the rows are, as `Task.feedback` says it."""
        return "pairs" if self.rejected else "thumbs" if self.label else "answers"


def guess(table: Table) -> dict[str, str]:
    """Part → column name, as far as it can be told. `completion` is always there."""
    free = list(table.columns)
    found: dict[str, str] = {}

    def take(part: str, name: str | None) -> None:
        if name is not None and name in free:
            free.remove(name)
            found[part] = name

    talks = [n for n in free if any(isinstance(c, tuple) for c in table.column(n)[:50])]
    splits = [n for n in free if n.lower() in NAMES["split"].split() and _is_split(table.column(n))]
    take("split", next(iter(splits), None))
    worse = next((n for n in free if BETTER.get(n.lower().strip()) in [m.lower().strip() for m in free]), None)
    if worse is not None:
        better = BETTER[worse.lower().strip()]
        take("completion", next(n for n in free if n.lower().strip() == better))
        take("rejected", worse)
    if talks:
        take("completion", next((n for n in talks if n in free), None) if "completion" not in found else None)
        answers_alone = not any(_asks(cell) for cell in table.column(found["completion"])[:50])
        take("prompt", next((n for n in talks if n in free), None) if answers_alone else None)
        if answers_alone and "prompt" not in found:
            take("prompt", next((n for word in NAMES["prompt"].split() for n in free if n.lower() == word), None))
        take("label", _thumbs(table, free))
        return found
    for part in ("completion", "system", "prompt", "input"):
        if part in found:
            continue
        take(part, next((n for word in NAMES[part].split() for n in free if n.lower().strip() == word), None))
        if part == "completion" and found.get("completion", "").lower() == "text" and len(free) > 0:
            free.append(
                found.pop("completion")
            )  # “text” beside others is read, not learnt, unless nothing else is there
    if "completion" not in found and free:
        if "prompt" not in found and len(free) > 1:
            take("prompt", free[0])
        take("completion", free[-1] if found.get("prompt") else free[0])
    if "prompt" in found and "rejected" not in found:
        take("label", _thumbs(table, free))
    if "prompt" not in found and len(free) == 1 and found["completion"].lower() != "text":
        take("prompt", free[0])
    return found


def _thumbs(table: Table, free: Sequence[str]) -> str | None:
    """The column that says of every row whether its answer is good, where there is one."""
    named = (n for n in free if n.lower().strip() in NAMES["label"].split())
    return next((n for n in named if {thumb(cell) for cell in table.column(n)} == {True, False}), None)


def thumb(cell: Cell) -> bool | None:
    """Whether this says good or bad; None where it says neither."""
    said = text_of(cell).strip().lower()
    return True if said in UP.split(", ") else False if said in DOWN.split(", ") else None


def _asks(cell: Cell) -> bool:
    """Whether somebody asks in this conversation."""
    return not isinstance(cell, str) and any(role == "user" for role, _ in cell)


def _is_split(cells: Sequence[Cell]) -> bool:
    return {text_of(c).strip().lower() for c in cells} <= HELD_OUT | TRAIN


def problems(table: Table, columns: Columns) -> list[tuple[str, str]]:
    """What is wrong with this choice, as (part, sentence)."""
    wrong = []
    names = "“" + "”, “".join(name[:40] for name in table.columns[:12]) + "”"
    taken: dict[str, str] = {}
    for part, name in columns.chosen.items():
        title = Columns.model_fields[part].title
        if name not in table.columns:
            wrong.append((part, f"There is no column “{name[:60]}”; there is {names}."))
        elif name in taken:
            wrong.append((part, f"{title} and {taken[name].lower()} are both the column “{name[:60]}”; choose two."))
        taken.setdefault(name, str(title))
    if columns.rejected and columns.label:
        wrong.append(("label", "A row has a worse answer or a thumb, not both: leave one of these columns out."))
    asks = columns.prompt or any(map(_asks, table.column(columns.completion)[:50] if not wrong else ()))
    if columns.feedback != "answers" and not asks and not wrong:
        wrong.append(("prompt", "Answers are judged as answers to a prompt: say which column it is."))
    return wrong


def rows(table: Table, columns: Columns, template: str) -> tuple[list[Row], list[bool], dict[str, int]]:
    """The rows that can be learnt, whether each is held back by its split column, and how many are left out and why."""
    at = {part: table.columns.index(name) for part, name in columns.chosen.items()}
    named = set(templates.FIELD.findall(template)) if template not in templates.KINDS else set()
    extra = [(i, name) for i, name in enumerate(table.columns) if name in named and name not in templates.OWN_FIELDS]
    found: list[Row] = []
    held: list[bool] = []
    left_out = dict.fromkeys(FAULTS, 0)
    for cells in table.rows:
        row = _row(cells, at)
        if isinstance(row, str):
            left_out[row] += 1
        else:
            fields = tuple((name, text_of(cells[i])) for i, name in extra)
            found.append(replace(row, fields=fields) if fields else row)
            held.append("split" in at and text_of(cells[at["split"]]).strip().lower() in HELD_OUT)
    return found, held, left_out


def _row(cells: Sequence[Cell], at: dict[str, int]) -> Row | str:
    """The row, or which of the faults it has."""
    row = _answered(cells, at, "completion")
    if isinstance(row, str) or not {"rejected", "label"} & at.keys():
        return row
    if not row.prompt:
        return "unasked"
    if "label" in at:
        is_good = thumb(cells[at["label"]])
        return "unmarked" if is_good is None else Thumb(row.prompt, row.completion, before=row.before, is_good=is_good)
    worse = _answered(cells, at, "rejected")
    if isinstance(worse, str):
        return worse
    if (worse.prompt, worse.before) != (row.prompt, row.before):
        return "apart"
    if worse.completion == row.completion:
        return "same"
    return Pair(row.prompt, row.completion, before=row.before, rejected=worse.completion)


def _answered(cells: Sequence[Cell], at: dict[str, int], part: str) -> Row | str:
    """The prompt with the answer in this part's column, or which of the faults it has."""
    answer, asked = cells[at[part]], cells[at["prompt"]] if "prompt" in at else ""
    before: list[tuple[str, str]] = []
    if "system" in at and (system := text_of(cells[at["system"]]).strip()):
        before.append(("system", system))
    row: Row | None
    if isinstance(answer, str) and isinstance(asked, str):
        parts = [text_of(cells[at[name]]).strip() for name in ("prompt", "input") if name in at]
        row = Row("\n\n".join(filter(None, parts)), answer.strip(), before=tuple(before))
    elif not isinstance(answer, str) and (_asks(answer) or "prompt" not in at):
        row = _conversation(answer, before)
    else:  # the prompt stands beside it
        question = (("user", asked),) if isinstance(asked, str) else asked
        said = (("assistant", answer),) if isinstance(answer, str) else answer
        row = _conversation((*question, *said), before)
    return "unfinished" if row is None else row if row.completion.strip() else "empty"


def _conversation(turns: Turns, before: list[tuple[str, str]]) -> Row | None:
    """The last answer is learnt, what comes before it is read; what comes after the last answer is dropped."""
    talk = list(turns)
    while talk and talk[-1][0] != "assistant":
        talk.pop()
    if len(talk) < 2 or talk[-2][0] != "user" or any(role not in ("system", "user", "assistant") for role, _ in talk):
        return None
    earlier = [t for t in talk[:-2] if not (before and t[0] == "system")]
    return Row(talk[-2][1].strip(), talk[-1][1].strip(), before=(*before, *earlier))
