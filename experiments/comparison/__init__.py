"""Comparisons: several methods within one equal budget, each at a learning rate of its own, with an interval on every number.

A comparison is a `ComparisonSpec` (`spec`). `budgets` makes a run of each method that keeps within the budget, `parts` a sweep of each
run: learning rates over the method's usual range, the worse ones stopped by successive halving, then every seed at the one left.
`running` carries them out on the sweeper, `table` keeps who asked for what, `clock` says how long it takes. `folding` makes of it one
JSON-able `Comparison` (`records`): rows with a number and an interval in every cell (`intervals`, `numbers`), paired over the same
held-out items (`items`), and "too close to call" where two cannot be told apart. No torch, no page.
"""

from experiments.comparison.clock import plan
from experiments.comparison.folding import fold, progress
from experiments.comparison.records import Comparison
from experiments.comparison.spec import UNITS, Budget, ComparisonSpec, build, labels, ready

__all__ = [
    "UNITS", "Budget", "Comparison", "ComparisonSpec", "build", "fold", "labels", "plan", "progress", "ready",
]  # fmt: skip
