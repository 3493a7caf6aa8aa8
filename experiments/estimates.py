"""What a run will take, from what runs here took: parameters exactly, seconds from this machine's own measurements.

Speeds are kept in the store as facts: seconds a token for each model and method, tokens a row for each task, and the
seconds that looks and answers take around the training itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from experiments import analysis, calibrated, methods, objectives
from experiments.catalog import models, tasks
from experiments.specs import RunSpec
from experiments.store import Key, Store

AGAINST_LORA = {"full": 2.0, "partial": 0.6, "prompt": 1.1, "prefix": 1.1}
"""Time of a step against a LoRA step, used only until the method itself was measured here (docs/LOG.md)."""
ROW_TOKENS = 90
"""Tokens a row with the chat template, used only until the task itself was measured."""
PASSES = {"answers": 1.0, "pairs": 1.5, "prompts": 4.0}
"""Time of a token against one that is imitated, by what an objective reads, used only until it was measured itself: pairs are read by the
reference, too, and answers to prompts are written first."""


@dataclass(frozen=True)
class Estimate:
    """What is known before the start. None: cannot be known yet; `basis` says what the seconds rest on."""

    trainable: int | None
    total: int | None
    seconds: float | None
    basis: str
    formula: str = ""
    peak_mb: float | None = None


def speed_key(weights: str, method: str, objective: str = "sft") -> str:
    return f"seconds a token|{weights}|{_asked(method, objective)}"


def _asked(method: str, objective: str) -> str:
    return method if objective == "sft" else f"{method} {objective}"


def _around_key(spec: RunSpec, weights: str) -> str:
    return f"seconds around|{weights}|{spec.task}|{_asked(spec.method, spec.objective)}"


def before(spec: RunSpec, store: Store) -> Estimate:
    """The estimate for a spec. Fast: no fetching, no torch. Raises `ValueError` for a model that is not known."""
    entry = models.find(spec.model, local=True)
    arch = models.arch(entry)
    method = methods.find(spec.method)
    trainable = method.count(arch, spec.settings) if arch else None
    formula = method.formula(arch, spec.settings) if arch else ""
    weights = spec.weights or ready_weights(entry)
    seconds, basis = _seconds(spec, weights, store) if weights else (None, "Nothing was measured with this model yet.")
    peak_mb = None
    if weights and (found := calibrated.known(store, spec.model_copy(update={"weights": weights}))):
        seconds, basis, peak_mb = found.seconds(spec.train.steps), "from two steps of it here", found.peak_mb
    return Estimate(trainable, arch.total if arch else None, seconds, basis, formula, peak_mb)


def general_s(run: RunSpec, store: Store) -> float:
    """Seconds to read the general text once, at half of what a LoRA step takes a token; 0 before this model was measured."""
    tokens = len(tasks.general_text()) * tasks.PASSAGE_TOKENS
    return float(store.recall(speed_key(run.weights, "lora")) or 0.0) * tokens / 2


def speed(model: str, store: Store) -> str | None:
    """One sentence on how fast this model trains here, None before it was measured."""
    weights = ready_weights(models.find(model, local=True))
    a_token = store.recall(speed_key(weights, "lora")) if weights else None
    return f"{a_token * 4 * ROW_TOKENS:.2g} s a LoRA step of 4 rows here" if a_token else None


def ready_weights(entry: models.ModelEntry) -> str | None:
    """The weights that are on this machine, None where none are; never asks the network."""
    known = models.here(entry)
    return known[0] if known else None


def learn(store: Store, key: Key) -> None:
    """Keep what a run took, for the next estimate: of one that ended before its time, its steps."""
    record = analysis.load(store, *key)
    if record is None:
        return
    spec = record.spec
    if len(record.steps) > 1:
        first, last = record.steps[0], record.steps[-1]
        tokens = last.tokens - first.tokens
        store.remember(
            speed_key(spec.weights, spec.method, spec.objective), (last.train_s - first.train_s) / max(tokens, 1)
        )
        store.remember(
            f"tokens a row|{spec.model}|{_asked(spec.task, spec.objective)}",
            last.tokens / last.step / objectives.find(spec.objective).read(spec.train.batch_size, spec.goal),
        )
    if record.finished:
        looks_s = sum(look.elapsed_s for look in record.held_out)
        store.remember(_around_key(spec, spec.weights), looks_s)


def _seconds(spec: RunSpec, weights: str, store: Store) -> tuple[float | None, str]:
    own: Any = store.recall(speed_key(weights, spec.method, spec.objective))
    lora: Any = store.recall(speed_key(weights, "lora"))
    objective = objectives.find(spec.objective)
    passes = PASSES[objective.feeds]
    a_token = own if own else lora * AGAINST_LORA.get(spec.method, 1.0) * passes if lora else None
    if a_token is None and spec.train.steps:
        return None, "Nothing was measured with this model yet."
    row_tokens = store.recall(f"tokens a row|{spec.model}|{_asked(spec.task, spec.objective)}") or ROW_TOKENS
    around_s = store.recall(_around_key(spec, weights))
    if around_s is None:  # looks and answers: about as many tokens as 60 steps of a forward pass
        around_s = 20 * 4 * ROW_TOKENS * (lora or a_token or 0.0)
    answers = objective.read(spec.train.batch_size, spec.goal)
    seconds = spec.train.steps * answers * row_tokens * (a_token or 0.0) + around_s
    return seconds, "measured here" if own else "from this machine's LoRA speed"
