"""What a comparison brought, as JSON-able records that the page, `--json` and the reports share. `folding` makes them."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

from experiments.comparison.intervals import Number
from experiments.comparison.items import Changes
from experiments.comparison.spec import Budget, ComparisonSpec
from experiments.specs import RunSpec
from experiments.sweeps.table import State


class Metric(BaseModel):
    """One column of the table: `lower` says which way is better, `digits` how it is written; `compares` whether methods are
    told apart by it."""

    model_config = ConfigDict(frozen=True)
    key: str
    label: str
    unit: str
    lower: bool
    digits: int
    compares: bool = True
    help: str = ""


class Seed(BaseModel):
    """One run of a method at its rate: its seed, its id, its state, and its trail: (step, gain, forgetting) at every look, in nats."""

    model_config = ConfigDict(frozen=True)
    seed: int
    run_id: str
    status: str
    trail: tuple[tuple[int, float, float], ...] = ()


class Row(BaseModel):
    """One method: its run within the budget, how it stands, and a number with an interval for each metric.

    `rates`: each tried, how it stands, its last held-out loss; `first_rung`: the losses where all of them were compared first.
    `against`: metric → its difference to the best method; `close`: the metrics in which the two cannot be told apart.
    """

    model_config = ConfigDict(frozen=True)
    label: str
    method: str
    run: RunSpec | None
    sweep_id: str = ""
    note: str = ""
    state: str = "waiting"
    rate: float | None = None
    rates: tuple[tuple[float, str, float | None], ...] = ()
    first_rung: tuple[float | None, ...] = ()
    seeds: tuple[Seed, ...] = ()
    numbers: dict[str, Number] = {}
    against: dict[str, Number] = {}
    close: tuple[str, ...] = ()
    changes: tuple[Changes, ...] = ()


class Comparison(BaseModel):
    """A comparison as a whole. `planned_s`: foretold for all of it, `remaining_s`: what is left; None: not known yet."""

    model_config = ConfigDict(frozen=True)
    comparison_id: str
    spec: ComparisonSpec
    state: State
    sentence: str = ""
    stage: str = ""
    created_s: float
    elapsed_s: float
    planned_s: float | None = None
    remaining_s: float | None = None
    share: float = 0.0
    metrics: tuple[Metric, ...] = ()
    rows: tuple[Row, ...] = ()
    base: dict[str, Number] = {}
    best: dict[str, str] = {}
    verdict: str = ""
    made_with: dict[str, str] = {}

    @property
    def budget(self) -> Budget:
        return self.spec.budget


def metrics_of(spec: ComparisonSpec) -> tuple[Metric, ...]:
    """The columns of a comparison on this task."""
    own = [
        Metric(key=m.key, label=m.label, unit=m.unit, lower=not m.higher_is_better, digits=1, help=m.help)
        for m in spec.task.metrics
    ]
    return (
        Metric(key="held_out", label="Held-out loss", unit="nats a token", lower=True, digits=3,
               help="On held-out rows that no choice of a learning rate has seen."),
        Metric(key="perplexity", label="Perplexity", unit="", lower=True, digits=2, compares=False, help="e to the held-out loss."),
        *own,
        Metric(key="forgetting", label="Forgetting", unit="nats a token", lower=True, digits=3,
               help="Loss on general text, tuned minus base."),
        Metric(key="trainable", label="Trains", unit="parameters", lower=True, digits=0, compares=False),
        Metric(key="step_s", label="Step", unit="s", lower=True, digits=3, compares=False),
        Metric(key="train_s", label="Training", unit="s", lower=True, digits=1, compares=False,
               help="Forward, backward and update of one run."),
        Metric(key="peak_mb", label="Memory", unit="MB", lower=True, digits=0, compares=False, help="At its highest."),
        Metric(key="adapter_mb", label="Adapter", unit="MB", lower=True, digits=2, compares=False),
        Metric(key="tokens_per_s", label="Answers", unit="tokens/s", lower=False, digits=0, compares=False,
               help="In batches, greedy, while the held-out prompts were answered."),
    )  # fmt: skip
