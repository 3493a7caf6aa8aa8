"""What a run can learn from, in display order: answers, preferences, rewards. A new one is one file and one line here."""

from __future__ import annotations

from difflib import get_close_matches

from experiments.objectives import dpo, grpo, kto, reward, sft, sft_trl
from experiments.objectives.base import Objective

OBJECTIVES: tuple[Objective, ...] = (
    sft.OBJECTIVE,
    sft_trl.OBJECTIVE,
    dpo.OBJECTIVE,
    kto.OBJECTIVE,
    reward.OBJECTIVE,
    grpo.OBJECTIVE,
)

__all__ = ["OBJECTIVES", "Objective", "find"]


def find(key: str) -> Objective:
    """The objective with this key. Raises `ValueError` with one sentence that names those there are."""
    for objective in OBJECTIVES:
        if objective.key == key:
            return objective
    near = get_close_matches(key, [o.key for o in OBJECTIVES], n=1)
    hint = f" Did you mean “{near[0]}”?" if near else ""
    raise ValueError(f"There is no objective “{key[:40]}”; there are {', '.join(o.key for o in OBJECTIVES)}.{hint}")
