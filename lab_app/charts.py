"""Records to chart values. Pure but for one thing: packing remembers how far it got, so a long run is not packed anew."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from experiments import objectives
from experiments.analysis import Record
from experiments.catalog import tasks


def names(records: Sequence[Record]) -> list[str]:
    """What to call each run: the method, and where two share one, the settings in which they differ."""
    return [record.method.title + _difference(record, records) for record in records]


def _difference(record: Record, records: Sequence[Record]) -> str:
    same = [r for r in records if r.spec.method == record.spec.method and r is not record]
    if not same:
        return ""
    mine, parts = _flat(record), []
    for key, value in mine.items():
        if any(_flat(other).get(key) != value for other in same):
            shown = f"{value:g}" if isinstance(value, float) else str(value)
            parts.append(f"{key.replace('_', ' ')} {shown[:24]}")
    return ", " + ", ".join(parts) if parts else f", {record.run_id}"


def _flat(record: Record) -> dict[str, Any]:
    spec = record.spec.model_dump(mode="json", exclude={"weights", "schema_version"})
    return {**spec.pop("settings"), **spec.pop("goal"), **spec.pop("train"), **spec}


class Curves:
    """The loss chart of some records. `value()` may be called again and again as they grow; its strings only ever grow."""

    def __init__(self, records: Sequence[Record], note: str = ""):
        self._records = [r for r in records if r.method.trains]
        self._all = records
        self._note = note
        self._train = [""] * len(self._records)
        self._held_out = [""] * len(self._records)
        self._seen = [[0, 0] for _ in self._records]

    def value(self) -> dict[str, Any]:
        """What `LossChart` draws."""
        for i, record in enumerate(self._records):
            self._pack(i, record)
        labels = dict(zip(map(id, self._all), names(self._all), strict=True))
        base = next((r.base.held_out_loss for r in self._all if r.base and r.base.held_out_loss is not None), None)
        return {
            "view": ",".join(f"{r.run_id}.{r.attempt}" for r in self._all),
            "title": title(self._all, self._note),
            "steps": max([r.spec.train.steps for r in self._records], default=1),
            "base": base,
            "series": [
                {"id": f"{r.run_id}.{r.attempt}", "name": labels[id(r)], "method": r.spec.method}
                | {"nth": self._nth(i), "d": self._train[i], "h": self._held_out[i]}
                for i, r in enumerate(self._records)
            ],
        }

    def _nth(self, i: int) -> int:
        """The how-manieth of its method: what tells curves of one colour apart."""
        return sum(r.spec.method == self._records[i].spec.method for r in self._records[:i]) % 4

    def _pack(self, i: int, record: Record) -> None:
        steps, looks = self._seen[i]
        for step in record.steps[steps:]:
            self._train[i] += point(step.step, step.tokens, step.train_s, step.loss)
        for look in record.held_out[looks:]:
            at = next((s for s in reversed(record.steps) if s.step <= look.step), None)
            tokens, seconds = (at.tokens, at.train_s) if at and look.step else (0, 0.0)
            self._held_out[i] += point(look.step, tokens, seconds, look.held_out_loss)
        self._seen[i] = [len(record.steps), len(record.held_out)]


def point(step: int, tokens: int, seconds: float, loss: float | None) -> str:
    """One packed point; a loss that is not a number is left empty, which the chart draws as a gap."""
    return f"{step},{tokens},{seconds:.6g},{'' if loss is None else format(loss, '.5g')};"


def title(records: Sequence[Record], note: str = "") -> str:
    """A title that says what to see."""
    if not records:
        return "Loss: lower means the model is less surprised by the right answer"
    task = tasks.find(records[0].spec.task)
    objective = objectives.find(records[0].spec.objective)
    if objective.feeds != "answers":
        circles = (
            "held-out pairs" if objective.scores else "imitating the better answers of held-out rows, in nats a token"
        )
        return f"{note}{objective.title} on “{task.title}”: its own loss; circles: the loss of {circles}"
    return f"{note}Loss on “{task.title}”, in nats a token: lower means less surprised by the right answer"
