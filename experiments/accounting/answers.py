"""Quick answers: which rank fits, which settings train as many parameters as these, what twice the length costs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

from experiments import methods
from experiments.accounting.arch import Arch
from experiments.accounting.compute import flops
from experiments.accounting.memory import PARTS, Load, predict
from experiments.methods import Method, Settings

SIZES = {"lora": "rank", "prompt": "virtual_tokens", "prefix": "virtual_tokens"}
"""The setting that makes a method larger or smaller, where one does."""


@dataclass(frozen=True)
class Pair:
    """A method at the size that comes nearest to a number of parameters."""

    method: str
    setting: str
    value: int
    trainable: int


def largest_rank(arch: Arch, settings: Settings, load: Load, budget: float) -> int | None:
    """The highest LoRA rank whose step stays within `budget` bytes; None where not even rank 1 does.

    Every part of the memory grows by as much with each rank, so two ranks tell all others.
    """
    lora = methods.find("lora")
    one, two = (asdict(predict(arch, lora, settings.model_copy(update={"rank": rank}), load)) for rank in (1, 2))

    def total(rank: int) -> float:
        now = {part: one[part] + (rank - 1) * (two[part] - one[part]) for part in one}
        held = sum(now[part] for part in PARTS if part != "not_at_once")
        return held - min(now["gradients"], now["room"])

    return _last(lambda rank: total(rank) <= budget, highest_value(arch, lora, settings, "rank")) or None


def equal_budget(arch: Arch, trainable: int) -> list[Pair]:
    """For each method with a size the one that trains most nearly `trainable` parameters."""
    found = []
    for key, name in SIZES.items():
        method = methods.find(key)
        settings = method.Settings()
        one = method.count(arch, settings.model_copy(update={name: 1}))  # each further one adds as many
        value = min(max(round(trainable / one), 1), highest_value(arch, method, settings, name))
        found.append(Pair(key, name, value, value * one))
    return found


def highest_value(arch: Arch, method: Method, settings: Settings, name: str) -> int:
    """The most that the field's own limit and the architecture allow."""
    limits = (getattr(limit, "le", None) for limit in method.Settings.model_fields[name].metadata)
    most = next((int(limit) for limit in limits if limit is not None), 1)

    def fits(value: int) -> bool:
        return not any(method.check(arch, settings.model_copy(update={name: value})))

    return most if fits(most) else _last(fits, most)


def _last(holds: Callable[[int], bool], most: int) -> int:
    """The largest number of 1 … most for which something that ends once still holds; 0 where it never does."""
    low, high = 0, most
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if holds(middle) else (low, middle - 1)
    return low


def twice_as_long(arch: Arch, method: Method, settings: Settings, load: Load) -> dict[str, Any]:
    """Memory and operations of a step at this length and at twice it."""
    longer = load.model_copy(update={"tokens": 2 * load.tokens})
    return {
        "tokens": longer.tokens,
        "bytes": [predict(arch, method, settings, one).total for one in (load, longer)],
        "flops": [flops(arch, method, settings, one).total for one in (load, longer)],
    }
