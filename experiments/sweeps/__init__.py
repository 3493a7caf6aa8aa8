"""Sweeps: the same run over many values of its settings, which of them matter, and which only seem to.

A sweep is a `SweepSpec` (`spec`): a base run, axes with values, seeds, a search and a budget. `expand` (`expansion`) makes
cells of it, each an ordinary `RunSpec`; what is stored is never trained twice. `plan` (`planning`) says before the start what that takes
and what a time budget allows. The store keeps who asked for which sweep (`table`); its cells are ordinary runs, found by
their `run_id`. `progress` (`records`) folds both into one JSON-able `Progress`, which the page and `--json` share: `cells`
with `spec`, `status` and `metrics`, `rows` (a mean and an interval over the seeds for each setting), `best`, `noise`,
`verdict`. `findings` and `guidance` are pure functions over cells: rows by axis, the verdict in words, the Pareto front, the
importance of each knob, which rule for alpha the data supports. No torch, no page.
"""

from experiments.sweeps.expansion import Expansion, expand
from experiments.sweeps.planning import Plan, plan
from experiments.sweeps.records import Cell, Progress, progress
from experiments.sweeps.spec import Axis, SweepSpec, build, place

__all__ = ["Axis", "Cell", "Expansion", "Plan", "Progress", "SweepSpec", "build", "expand", "place", "plan", "progress"]
