"""Which settings a sweep tries next: those of `expand`, or where Optuna's TPE (Bergstra et al. 2011) goes.

Its study is one SQLite file beside the store, so that a sweep taken up again goes on from what it has learnt.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from experiments.specs import SpecError
from experiments.sweeps.expansion import Point, point
from experiments.sweeps.spec import Axis, SweepSpec, Value

FILE = "sweeps.sqlite"


class Tpe:
    """A study of one owner's sweep. `ask` gives settings nobody has a result for yet, `tell` says what they brought."""

    def __init__(self, spec: SweepSpec, owner: str, home: Path):
        import optuna

        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self.spec, self._optuna = spec, optuna
        home.mkdir(parents=True, exist_ok=True)
        name = f"{spec.sweep_id}-{hashlib.sha256(owner.encode()).hexdigest()[:12]}"
        self._study = optuna.create_study(
            storage=f"sqlite:///{home / FILE}", study_name=name, load_if_exists=True,
            sampler=optuna.samplers.TPESampler(seed=spec.seeds[0], constant_liar=True, n_startup_trials=_startup(spec)),
        )  # fmt: skip
        running = self._study.get_trials(deepcopy=False, states=(optuna.trial.TrialState.RUNNING,))
        for trial in running:  # asked by a process that is gone
            self._study.tell(trial.number, state=optuna.trial.TrialState.FAIL)
        self._kinds = {axis.place: _kind(axis, optuna) for axis in spec.axes}
        self._open: dict[str, Any] = {}

    @property
    def done(self) -> int:
        """Settings that have a result."""
        states = (self._optuna.trial.TrialState.COMPLETE, self._optuna.trial.TrialState.PRUNED)
        return len(self._study.get_trials(deepcopy=False, states=states))

    def ask(self, most: int) -> list[Point]:
        """Up to so many new settings, each with the first seed; fewer where they come out as ones that were asked."""
        found: dict[str, Point] = {}
        for _ in range(4 * most):
            if len(found) >= most:
                break
            trial = self._study.ask(self._kinds)
            try:
                made = point(self.spec, self._values(trial.params), self.spec.seeds[0])
            except SpecError:
                self._study.tell(trial, state=self._optuna.trial.TrialState.FAIL)
                continue
            if made.spec.run_id in found:
                self._study.tell(trial, state=self._optuna.trial.TrialState.FAIL)
                continue
            self._open[made.spec.run_id] = trial
            found[made.spec.run_id] = made
        return list(found.values())

    def tell(self, run_id: str, loss: float | None, pruned: bool = False, step: int = 0) -> None:
        """What a setting brought: its held-out loss, or, pruned, the one at the rung it got to; None for a failed one."""
        trial, state = self._open.pop(run_id, None), self._optuna.trial.TrialState
        if trial is None:
            return
        if loss is None:
            self._study.tell(trial, state=state.FAIL)
        elif pruned:
            trial.report(loss, step)
            self._study.tell(trial, state=state.PRUNED)
        else:
            self._study.tell(trial, loss)

    def _values(self, params: Mapping[str, Any]) -> dict[str, Value]:
        return {place: float(f"{v:.3g}") if isinstance(v, float) else v for place, v in params.items()}


def _startup(spec: SweepSpec) -> int:
    return max(4, min(10, spec.trials // 4))


def _kind(axis: Axis, optuna: Any) -> Any:
    if axis.low is None or axis.high is None:
        return optuna.distributions.CategoricalDistribution(list(axis.values))
    if axis.is_whole:
        return optuna.distributions.IntDistribution(int(axis.low), int(axis.high), log=axis.log)
    return optuna.distributions.FloatDistribution(axis.low, axis.high, log=axis.log)


def waves(points: list[Point], most: int) -> Iterator[list[Point]]:
    """The points in groups of at most so many."""
    for i in range(0, len(points), most):
        yield points[i : i + most]
