"""The guided path: the same model on the same prompts, first shown answers, then told which of two is better, then paid.

Each stage begins with the adapter of the one before, whose id is known before anything has run: a run's id is a hash of its spec. So
all stages can be asked for at once, in order.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from scipy.stats import binomtest

from experiments import rewards, specs
from experiments.catalog import tasks
from experiments.rewards import Asked
from experiments.specs import RunSpec

STAGES: Mapping[str, Mapping[str, Any]] = {
    "sft": {"steps": 40, "batch_size": 4},
    "dpo": {"steps": 40, "batch_size": 4},
    "grpo": {"steps": 20, "batch_size": 2},
}
"""The objectives of the path, in order, each with how long it takes by default. GRPO reads few prompts a step and writes many answers."""
PAID = {"polite": "polite", "concise": "short"}
"""Which rule says what a task means by better."""
PROMPTS = 10


def stages(
    about: Mapping[str, Any], ready: Callable[[RunSpec], RunSpec], goals: Mapping[str, Any], last: str = "grpo"
) -> list[RunSpec]:
    """The runs of the path, each beginning with the one before. `about`: model, task, method and `steps` by objective; `ready` gives
    a spec the weights of now; `goals`: settings by objective; `last`: the stage at which to end. Raises `SpecError`."""
    found: list[RunSpec] = []
    for objective, train in STAGES.items():
        wish = {name: about[name] for name in ("model", "task", "method")}
        wish |= {"objective": objective, "goal": goals.get(objective, {}), "after": found[-1].run_id if found else ""}
        length = {"steps": steps} if (steps := about.get("steps", {}).get(objective)) not in (None, "") else {}
        found.append(ready(specs.build(RunSpec, {**wish, "train": {**train, **length}})))
        if objective == last:
            break
    return found


def prompts(task: str) -> tuple[tasks.Row, ...]:
    """The held-out questions that every stage is asked."""
    return tasks.find(task).split(None).held_out[:PROMPTS]


@dataclass(frozen=True)
class Wins:
    """How often a stage's answers beat the base's by a rule. `low` and `high`: where the share of wins among those decided lies with
    95 % certainty, both None where none was."""

    won: int
    lost: int
    tied: int
    low: float | None
    high: float | None

    @property
    def decided(self) -> int:
        return self.won + self.lost


def wins(task: str, rows: Sequence[tasks.Row], base: Sequence[str], tuned: Sequence[str]) -> Wins:
    """Answers held against the base's, prompt by prompt, by the rule of the task (Wilson's interval, 1927)."""
    rule = rewards.find(PAID[task])

    def paid(row: tasks.Row, answer: str) -> float:
        return rule.pay(Asked(row.prompt, answer, row.facts))

    gains = [paid(row, t) - paid(row, b) for row, b, t in zip(rows, base, tuned, strict=True)]
    won, lost = sum(g > 0 for g in gains), sum(g < 0 for g in gains)
    if not won + lost:
        return Wins(0, 0, len(gains), None, None)
    interval = binomtest(won, won + lost).proportion_ci(method="wilson")
    return Wins(won, lost, len(gains) - won - lost, float(interval.low), float(interval.high))
