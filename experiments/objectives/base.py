"""What an objective is to the lab: what a run learns from and what it is paid for, beside the method that says what moves.

Any method that TRL can train goes with any objective; a pair that cannot is refused with the reason. Free of torch.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from experiments.methods.base import NoSettings, Settings

if TYPE_CHECKING:
    from experiments.catalog.tasks.base import Task
    from experiments.methods.base import Method

UNREADABLE = {"llama-adapter"}
"""Methods whose PEFT wrapper TRL puts its own head on, instead of on the model inside (TRL 1.16)."""


@dataclass(frozen=True)
class Objective:
    """One objective. `feeds`: what it reads of a task, answers to imitate, pairs of a better and a worse one, or prompts alone.

    `answers`: how many of them a step reads a row, unless its settings name a `group`; `aside`: of those, how many it reads without a
    gradient. `rate`: its usual learning rate against the one
    that is usual for the method. `scores`: what it trains gives an answer a number instead of giving answers. `thumbs`: single answers
    with a thumb will do for it, too. `measures`: what its steps tell beside the loss, name → one sentence for a student.
    """

    key: str
    title: str
    summary: str
    needs: str
    when: str
    trainer: str
    paper: str
    paper_url: str
    feeds: Literal["answers", "pairs", "prompts"]
    Settings: type[Settings] = NoSettings
    answers: int = 1
    aside: int = 0
    rate: float = 1.0
    scores: bool = False
    thumbs: bool = False
    least_batch: int = 1
    measures: dict[str, str] = field(default_factory=dict)

    @property
    def is_trls(self) -> bool:
        """Whether a trainer of TRL's carries it out, rather than the lab's own loop."""
        return bool(self.trainer)

    def read(self, batch_size: int, goal: object) -> int:
        """How many answers a step reads."""
        return batch_size * int(getattr(goal, "group", self.answers))

    def kept(self, batch_size: int, goal: object) -> int:
        """Of how many answers a step keeps what its gradient needs."""
        return self.read(batch_size, goal) - batch_size * self.aside

    def lacks(self, feedback: str) -> str:
        """What rows of this kind ("answers", "pairs", "thumbs") lack for it, in the middle of a sentence; empty where they will do."""
        if self.feeds != "pairs" or feedback == "pairs" or (feedback == "thumbs" and self.thumbs):
            return ""
        return "pairs of a better and a worse answer" + (", or answers with a thumb" if self.thumbs else "")

    def refusal(self, method: Method, task: Task | None) -> str:
        """Why this method or this task does not go with it, in one sentence; empty where both do."""
        if not self.is_trls:
            return ""
        if not method.trains:
            return f"{method.title} trains nothing, so there is nothing for {self.title} to move."
        if method.key in UNREADABLE:
            return f"TRL's {self.trainer} cannot read log-probabilities through {method.title}, which hides the model's head from it."
        if method.penalty:
            return f"{method.title} needs a term beside the loss, which TRL's {self.trainer} does not add."
        if task is not None and (lacking := self.lacks(task.feedback)):
            return f"{self.title} needs {lacking}; “{task.title}” has one answer a prompt."
        return ""
