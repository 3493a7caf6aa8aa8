"""Votes: of two answers of one model to one prompt, which one a visitor found better. They are kept in the store, for their owner alone.

Those that decide are pairs. As a table they are rows like any that a visitor brings, named by the hash of what they hold.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from experiments.catalog.own_data import task as own_task
from experiments.catalog.own_data.columns import Columns
from experiments.catalog.own_data.table import Table, build
from experiments.store import Store

ENOUGH = own_task.FEWEST
MOST = 1000
"""Votes of one visitor."""
COLUMNS = Columns.model_validate({"prompt": "prompt", "completion": "chosen", "rejected": "rejected"})


class Vote(BaseModel):
    """One vote. `asked` names the two answers, so that a second vote on them takes the place of the first; `run`: who answered, empty
    for the base."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    asked: str = Field(max_length=80)
    model: str
    run: str = ""
    prompt: str
    left: str
    right: str
    better: Literal["left", "right", "neither"]

    @property
    def pair(self) -> tuple[str, str, str] | None:
        """Prompt, better answer, worse answer; None where neither was better."""
        sides = {"left": (self.left, self.right), "right": (self.right, self.left)}
        return (self.prompt, *sides[self.better]) if self.better in sides else None


def cast(store: Store, owner: str, vote: Vote) -> None:
    """Keep a vote. Raises `ValueError`: nobody casts it, an answer is empty, there are too many."""
    if not owner:
        raise ValueError("This browser keeps no token, so the vote has no owner: allow the page to store data.")
    if not vote.left.strip() or not vote.right.strip():
        raise ValueError("An answer is empty: there is nothing to prefer.")
    if len(of(store, owner)) >= MOST:
        raise ValueError(f"At most {MOST:,} votes are kept for one visitor: forget some first.")
    store.connection.execute(
        "INSERT OR REPLACE INTO votes VALUES (?, ?, ?, ?)", (owner, vote.asked, time.time(), vote.model_dump_json())
    )


def of(store: Store, owner: str, model: str = "") -> list[Vote]:
    """The votes of this owner on this model's answers (on every model's where none is named), the oldest first."""
    sql = "SELECT body FROM votes WHERE owner = ? ORDER BY time_s, asked"
    found = [Vote.model_validate_json(body) for (body,) in store.connection.execute(sql, (owner,))] if owner else []
    return [vote for vote in found if model in ("", vote.model)]


def forget(store: Store, owner: str, model: str) -> int:
    """Throw away this owner's votes on this model's answers; how many there were."""
    gone = of(store, owner, model)
    store.connection.executemany("DELETE FROM votes WHERE owner = ? AND asked = ?", [(owner, v.asked) for v in gone])
    return len(gone)


def pairs(votes: Sequence[Vote]) -> list[tuple[str, str, str]]:
    """The different pairs that these votes decided, as (prompt, better, worse)."""
    return list(dict.fromkeys(pair for vote in votes if (pair := vote.pair)))


def table(votes: Sequence[Vote]) -> Table:
    """The pairs as rows under the columns of `COLUMNS`. Raises `Unreadable` where there is none."""
    return build((COLUMNS.prompt, COLUMNS.completion, COLUMNS.rejected), pairs(votes))
