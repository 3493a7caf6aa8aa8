"""From a comparison to the sweeps that carry it out, one a method: learning rates over its own range, the worse ones stopped by
successive halving at the first seed, and every seed for the rate that is left. Pure.

What a part costs is foretold from two steps of its run, so that the time before the start and the time that is left rest on the
same numbers.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from experiments import methods
from experiments.calibrated import Calibration
from experiments.comparison.spec import ComparisonSpec, rates
from experiments.recipe import look_steps
from experiments.specs import RunSpec
from experiments.sweeps import SweepSpec, build
from experiments.sweeps.halving import KEEP_ONE_OF, rungs


def part(spec: ComparisonSpec, run: RunSpec) -> SweepSpec:
    """The sweep of one method of a comparison."""
    tried = rates(run, spec.rates)
    seeds = spec.seeds if _hangs_on_seed(run) else spec.seeds[:1]
    axis = {"place": "train.learning_rate", "values": list(tried)}
    return build({"base": run, "axes": [axis], "seeds": seeds, "prune": "halving" if len(tried) > 1 else "none"})


def _hangs_on_seed(run: RunSpec) -> bool:
    method = methods.find(run.method)
    return method.trains or bool(method.examples(run.settings))


@dataclass(frozen=True)
class Cost:
    """Seconds that a part takes: a step, a look on the way, all that stands around the steps of a run that goes to its end."""

    sweep: SweepSpec
    a_step_s: float
    look_s: float
    around_s: float

    @property
    def run_s(self) -> float:
        """One run to its end."""
        return self.sweep.base.train.steps * self.a_step_s + self.around_s

    @property
    def total_s(self) -> float:
        """The rates that race, and the further seeds of the one that is left."""
        at, alive, race_s = 0, len(self.sweep.axes[0].values), 0.0
        if self.sweep.prune == "halving":
            for rung in rungs(self.sweep.base.train):
                race_s += alive * self.until_s(at, rung)
                at, alive = rung, math.ceil(alive / KEEP_ONE_OF)
        rest_s = self.run_s - self.until_s(0, at)
        return race_s + alive * rest_s + (len(self.sweep.seeds) - 1) * self.run_s

    def until_s(self, start: int, step: int) -> float:
        """From after this step to that one, with its looks; the look before the first step counts as one."""
        looks = sum(start < look <= step for look in look_steps(self.sweep.base.train)) + (start == 0 and step > 0)
        return (step - start) * self.a_step_s + looks * self.look_s


def cost(sweep: SweepSpec, measured: Calibration) -> Cost:
    return Cost(sweep, measured.a_step_s, measured.look_s, measured.around_s)
