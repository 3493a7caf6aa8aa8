"""What the data of a sweep says about its knobs: how much each matters, and which rule for alpha it supports.

Importance is Optuna's PED-ANOVA (Watanabe et al. 2023): how differently a knob is distributed among the best cells. The rules
for alpha are those that people give: the update's scale alpha / rank should stay the same (Hu et al. 2021, section 4.1), alpha =
2 · rank is one such, or alpha / √rank should (rank-stabilised LoRA, Kalajdzievski 2023, section 3).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import BaseModel, ConfigDict

from experiments.sweeps.findings import Result, compare, grouped, named
from experiments.sweeps.spec import Axis

RANK, ALPHA = "settings.rank", "settings.alpha"
LEAST_RANKS, LEAST_SCALES = 2, 3
CLEARLY = 0.1  # of the variance: two rules closer than this are not told apart


class Rule(BaseModel):
    """One rule for alpha. `explained`: the share of the differences between cells that the rule's own quantity explains."""

    model_config = ConfigDict(frozen=True)
    key: str
    title: str
    explained: float


class Guidance(BaseModel):
    """The rules, the one that explains most first, and a sentence. `twice` says how alpha = 2 · rank did."""

    model_config = ConfigDict(frozen=True)
    rules: tuple[Rule, ...] = ()
    sentence: str = ""
    twice: str = ""


RULES: dict[str, tuple[str, Any]] = {
    "ratio": ("alpha / rank constant", lambda rank, alpha: alpha / rank),
    "rslora": ("alpha / √rank constant", lambda rank, alpha: alpha / math.sqrt(rank)),
    "alpha": ("alpha constant", lambda rank, alpha: alpha),
}


def importance(results: Sequence[Result], axes: Sequence[Axis], lower_is_better: bool = True) -> dict[str, float]:
    """How much each axis matters, in shares of one, by place; empty where fewer than four cells have a number."""
    points = [(v, n) for v, _, n in results if n is not None and math.isfinite(n) and all(a.place in v for a in axes)]
    varied = [a for a in axes if len({repr(v[a.place]) for v, _ in points}) > 1]
    if len(points) < 4 or not varied or len({n for _, n in points}) == 1:
        return {}
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(direction="minimize" if lower_is_better else "maximize")
    kinds = {a.place: _kind(a, [v[a.place] for v, _ in points]) for a in varied}
    for values, number in points:
        params = {a.place: _listed(values[a.place]) for a in varied}
        study.add_trial(optuna.trial.create_trial(params=params, distributions=kinds, value=number))
    said = optuna.importance.get_param_importances(study, evaluator=optuna.importance.PedAnovaImportanceEvaluator())
    return {place: round(float(share), 4) for place, share in said.items() if math.isfinite(share)}


def _kind(axis: Axis, values: Sequence[Any]) -> Any:
    from optuna.distributions import CategoricalDistribution, FloatDistribution

    if axis.low is not None and axis.high is not None:
        return FloatDistribution(axis.low, axis.high, log=axis.log)
    return CategoricalDistribution(list(dict.fromkeys(map(_listed, values))))


def _listed(value: Any) -> Any:
    return str(value) if isinstance(value, list | tuple) else value


def guidance(results: Sequence[Result], lower_is_better: bool = True) -> Guidance:
    """Which rule for alpha the data supports; nothing where the sweep has too few ranks or alphas.

    Each rule says that the result depends on one quantity alone: a parabola in its logarithm is fitted to the settings, and what
    it explains of their variance is compared.
    """
    settings = [
        (float(values[RANK]), float(values[ALPHA]), sum(seeds.values()) / len(seeds))  # type: ignore[arg-type]
        for values, seeds in grouped(results)
        if {RANK, ALPHA} <= values.keys()
    ]
    if len({r for r, _, _ in settings}) < LEAST_RANKS or len({a for _, a, _ in settings}) < LEAST_SCALES:
        return Guidance()
    rules = tuple(
        sorted(
            (Rule(key=key, title=title, explained=_explained(settings, of)) for key, (title, of) in RULES.items()),
            key=lambda rule: -rule.explained,
        )
    )
    first, second = rules[:2]
    if first.explained < 0.3:
        sentence = "None of the rules for alpha explains these results: rank and alpha matter in their own ways here."
    elif first.explained - second.explained < CLEARLY:
        sentence = f"The data here cannot decide between “{first.title}” and “{second.title}”."
    else:
        sentence = (
            f"The data here supports “{first.title}”: it alone explains {first.explained:.0%} of the differences, "
            f"“{second.title}” {second.explained:.0%}."
        )
    return Guidance(rules=rules, sentence=sentence, twice=_twice(results, lower_is_better))


def _explained(settings: Sequence[tuple[float, float, float]], of: Any) -> float:
    """R² of a parabola in the logarithm of a quantity, adjusted for its three coefficients."""
    import numpy as np

    x = np.log([of(rank, alpha) for rank, alpha, _ in settings])
    y = np.array([number for _, _, number in settings])
    total = float(((y - y.mean()) ** 2).sum())
    degree = min(2, len(set(x.round(9))) - 1)
    if total == 0 or len(y) <= degree + 1:
        return 0.0
    left = float(((y - np.polyval(np.polyfit(x, y, degree), x)) ** 2).sum())
    return round(max(0.0, 1 - left / (len(y) - degree - 1) * (len(y) - 1) / total), 4)


def _twice(results: Sequence[Result], lower_is_better: bool) -> str:
    """How the best setting with alpha = 2 · rank stands to the best of all."""
    found = compare(results, lower_is_better)
    doubled = [r for r in found.rows if _is_twice(r.values)]
    if not doubled or found.best is None:
        return ""
    row = doubled[0]
    if row == found.best:
        return f"The best setting here, {named(row.values)}, follows alpha = 2 · rank."
    gap = abs(row.mean - found.best.mean)
    if found.noise is not None and not row.told_apart:
        return f"alpha = 2 · rank ({named(row.values)}) cannot be told apart from the best."
    return f"alpha = 2 · rank ({named(row.values)}) is {gap:.3f} behind the best, {named(found.best.values)}."


def _is_twice(values: Mapping[str, Any]) -> bool:
    return {RANK, ALPHA} <= values.keys() and values[ALPHA] == 2 * values[RANK]
