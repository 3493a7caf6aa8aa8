"""Which column is what: guessed from names and content, corrected by whoever brought the rows, part of a run's spec."""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import BaseModel, ConfigDict, Field

from experiments import templates
from experiments.catalog.own_data.table import Cell, Table, Turns, text_of
from experiments.catalog.tasks.base import Row

PARTS = ("prompt", "completion", "input", "system", "split")
"""What a column can be, in the order in which they are asked for."""
NAMES = {
    "prompt": "prompt instruction question query user source sentence premise input text document context title en",
    "completion": "completion response output answer answers target label reply assistant chosen summary translation"
    " messages conversations conversation dialogue dialog chat text",
    "input": "input context passage",
    "system": "system system_prompt",
    "split": "split subset fold",
}
HELD_OUT = {"test", "valid", "validation", "val", "dev", "eval", "held-out", "held_out", "heldout"}
TRAIN = {"train", "training"}
LONGEST_ROW = 2048


class Columns(BaseModel):
    """The columns of a visitor's rows. A completion column that holds conversations needs no prompt column."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    prompt: str = Field("", title="Prompt", max_length=200)
    completion: str = Field(title="Completion", min_length=1, max_length=200)
    input: str = Field("", title="Input", max_length=200)
    system: str = Field("", title="System", max_length=200)
    split: str = Field("", title="Split", max_length=200)
    max_length: int = Field(256, title="Longest row", ge=8, le=LONGEST_ROW)

    @property
    def chosen(self) -> dict[str, str]:
        """Part → column, those that are set."""
        return {part: name for part in PARTS if (name := getattr(self, part))}


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
    if talks:
        take("completion", talks[0])
        return found
    for part in ("completion", "system", "prompt", "input"):
        take(part, next((n for word in NAMES[part].split() for n in free if n.lower().strip() == word), None))
        if part == "completion" and found.get("completion", "").lower() == "text" and len(free) > 0:
            free.append(
                found.pop("completion")
            )  # “text” beside others is read, not learnt, unless nothing else is there
    if "completion" not in found and free:
        if "prompt" not in found and len(free) > 1:
            take("prompt", free[0])
        take("completion", free[-1] if found.get("prompt") else free[0])
    if "prompt" not in found and len(free) == 1 and found["completion"].lower() != "text":
        take("prompt", free[0])
    return found


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
    return wrong


def rows(table: Table, columns: Columns, template: str) -> tuple[list[Row], list[bool], dict[str, int]]:
    """The rows that can be learnt, whether each is held back by its split column, and how many are left out and why."""
    at = {part: table.columns.index(name) for part, name in columns.chosen.items()}
    named = set(templates.FIELD.findall(template)) if template not in templates.KINDS else set()
    extra = [(i, name) for i, name in enumerate(table.columns) if name in named and name not in templates.OWN_FIELDS]
    found: list[Row] = []
    held: list[bool] = []
    left_out = {"empty": 0, "unfinished": 0}
    for cells in table.rows:
        row = _row(cells, at)
        if row is None:
            left_out["unfinished"] += 1
        elif not row.completion.strip():
            left_out["empty"] += 1
        else:
            fields = tuple((name, text_of(cells[i])) for i, name in extra)
            found.append(Row(row.prompt, row.completion, before=row.before, fields=fields) if fields else row)
            held.append("split" in at and text_of(cells[at["split"]]).strip().lower() in HELD_OUT)
    return found, held, left_out


def _row(cells: Sequence[Cell], at: dict[str, int]) -> Row | None:
    """None for a conversation that does not end with an answer to somebody."""
    learnt = cells[at["completion"]]
    before: list[tuple[str, str]] = []
    if "system" in at and (system := text_of(cells[at["system"]]).strip()):
        before.append(("system", system))
    if not isinstance(learnt, str):
        return _conversation(learnt, before)
    parts = [text_of(cells[at[part]]).strip() for part in ("prompt", "input") if part in at]
    return Row("\n\n".join(filter(None, parts)), learnt.strip(), before=tuple(before))


def _conversation(turns: Turns, before: list[tuple[str, str]]) -> Row | None:
    """The last answer is learnt, what comes before it is read; what comes after the last answer is dropped."""
    talk = list(turns)
    while talk and talk[-1][0] != "assistant":
        talk.pop()
    if len(talk) < 2 or talk[-2][0] != "user" or any(role not in ("system", "user", "assistant") for role, _ in talk):
        return None
    earlier = [t for t in talk[:-2] if not (before and t[0] == "system")]
    return Row(talk[-2][1].strip(), talk[-1][1].strip(), before=(*before, *earlier))
