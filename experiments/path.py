"""The guided path: the same model on the same prompts, first shown answers, then told which of two is better, then paid.

Each stage begins with the adapter of the one before, whose id is known before anything has run: a run's id is a hash of its spec. So
all stages can be asked for at once, in order.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any

from experiments import rewards, specs
from experiments.catalog import tasks
from experiments.rewards import Asked
from experiments.specs import RunSpec

STAGES = ("sft", "dpo", "grpo")
"""The objectives of the path, in order."""
LENGTHS: Mapping[str, Mapping[str, int]] = {
    "sft": {"steps": 40, "batch_size": 4},
    "dpo": {"steps": 40, "batch_size": 4},
    "kto": {"steps": 40, "batch_size": 4},
    "reward": {"steps": 40, "batch_size": 4},
    "grpo": {"steps": 20, "batch_size": 2},
}
"""How long each objective takes by default. GRPO reads few prompts a step and writes many answers."""
PAID = {"polite": "polite", "concise": "short"}
"""Which rule says what a task means by better."""
PROMPTS = 10


def stages(
    about: Mapping[str, Any],
    ready: Callable[[RunSpec], RunSpec],
    goals: Mapping[str, Any],
    lengths: Mapping[str, Any] = LENGTHS,
    wanted: Sequence[str] = STAGES,
) -> Iterator[RunSpec]:
    """The runs of these objectives in order, each beginning with the one before. Raises `SpecError`.

    `about`: model, task, method, its settings, and the run that the first one begins with; `ready` gives a spec the weights of now;
    `goals` and `lengths`: settings of each objective and of its training.
    """
    after = about.get("after", "")
    for objective in wanted:
        wish = {"objective": objective, "goal": goals.get(objective, {}), "train": lengths[objective], "after": after}
        spec = ready(specs.build(RunSpec, {**about, **wish}))
        after = spec.run_id
        yield spec


def chain(spec_of: Callable[[str], RunSpec | None], last: str) -> list[str]:
    """The runs that end with this one, the earliest first: what each began with, as far as `spec_of` knows them."""
    found: list[str] = []
    while last and last not in found and (spec := spec_of(last)):
        found.insert(0, last)
        last = spec.after
    return found


def prompts(spec: RunSpec) -> tuple[tasks.Row, ...]:
    """The held-out questions that every stage of a run like this is asked."""
    return tasks.of(spec).split(None).held_out[:PROMPTS]


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
    return Wins(won, lost, len(gains) - won - lost, *wilson(won, won + lost))


def wilson(won: int, tried: int) -> tuple[float, float]:
    """The 95 % interval of a share (Wilson 1927). Here and not `scipy.stats.binomtest`: that takes a page's process 60 MB."""
    z, share = NormalDist().inv_cdf(0.975), won / tried
    middle, scale = share + z * z / (2 * tried), 1 + z * z / tried
    half = z * math.sqrt(share * (1 - share) / tried + (z / (2 * tried)) ** 2)
    return max(0.0, (middle - half) / scale), min(1.0, (middle + half) / scale)
