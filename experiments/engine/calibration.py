"""Two steps of a run before it starts: how long a step takes here, what the looks around it take, and how high memory goes.

The first step warms up and reads the longest of some batches, which makes the peak; the second is timed. Looks and answers are timed
on one batch of each and multiplied. Nothing of it reaches the run itself, which begins afresh.
"""

from __future__ import annotations

import itertools
import math
import time
from collections.abc import Callable, Sequence
from typing import Any

from experiments import methods
from experiments.calibrated import Calibration
from experiments.catalog import tasks
from experiments.engine import data, evaluation, generation
from experiments.engine.evaluation import encoded
from experiments.engine.models import Base
from experiments.engine.randomness import RandomState
from experiments.engine.trial import Trial, begin
from experiments.specs import RunSpec

ROWS = 160  # rows that say how long the rows of a task are, and its longest batch
TOKENS = 4  # tokens written to learn how long one takes
PACED = 2  # different batches of which a pace is taken, each read once before: what is kept of frozen blocks is there in most steps


def calibrate(spec: RunSpec, base: Base, between: Callable[[], None] = lambda: None) -> Calibration:
    """What this run takes here, from two of its steps. Raises what a step of it raises, also where memory runs out."""
    task, state = tasks.of(spec), RandomState(spec.seed)
    with state:
        trial = begin(spec, base)
    a_step_s = _a_step_s(spec, base, task, trial, state, between) if trial.parameters and spec.train.steps else 0.0
    with trial.at_rest() as model:
        around_s, look_s = _around_s(spec, base, task, model, between)
    return Calibration(
        a_step_s=round(a_step_s, 5),
        around_s=round(around_s, 3),
        look_s=round(look_s, 3),
        peak_mb=round(trial.meter.peak_mb(base.resting_mb), 1),
        context_tokens=generation.virtual_tokens(trial.model),
    )


def pace(spec: RunSpec, base: Base, seconds: float) -> float:
    """Tokens a second of this run's steps, over about so many seconds after the first ones; nothing of it reaches the run itself."""
    task, state = tasks.of(spec), RandomState(spec.seed)
    with state:
        trial = begin(spec, base)
    rows = task.split(None).train
    for batch in itertools.cycle(data.order(len(rows), spec.train.batch_size, PACED, spec.seed)):
        if trial.step == PACED:
            began, before = time.perf_counter(), trial.tokens
        with state:
            trial.backward([encoded(base, task, rows[i]) for i in batch])
            trial.update()
        if trial.step > PACED and (taken := time.perf_counter() - began) >= seconds:
            return (trial.tokens - before) / taken
    raise AssertionError("a cycle does not end")


def _a_step_s(
    spec: RunSpec, base: Base, task: tasks.Task, trial: Trial, state: RandomState, between: Callable[[], None]
) -> float:
    """Seconds of the second step, for rows of the task's mean length."""
    rows = task.split(None).train
    train = spec.train
    mean = sum(len(encoded(base, task, row).ids) for row in rows[:ROWS]) / len(rows[:ROWS])
    order = data.order(len(rows), train.batch_size, max(ROWS // train.batch_size, train.accumulate), spec.seed)
    batches = [[encoded(base, task, rows[i]) for i in batch] for batch in order]
    longest = max(batches, key=lambda batch: max(len(example.ids) for example in batch))
    taken = tokens = 0.0
    for step in ([longest], batches[: train.accumulate]):
        between()
        before_s, before = trial.train_s, trial.tokens
        with state:
            trial.backward(*step)
            trial.update()
        taken, tokens = trial.train_s - before_s, trial.tokens - before
    return taken * mean * train.batch_size * train.accumulate / max(tokens, 1)


def _around_s(
    spec: RunSpec, base: Base, task: tasks.Task, model: Any, between: Callable[[], None]
) -> tuple[float, float]:
    """Seconds of all looks and answers of the run, and of one look on its way."""
    rows = task.split(None).held_out[: task.scored_rows]
    held_out = [encoded(base, task, row) for row in rows[: evaluation.HELD_OUT_ROWS]]
    look_s = _read_s(model, base, held_out, between)
    general_s = _read_s(model, base, evaluation.general_text(base), between)
    longest = max(len(encoded(base, task, r).ids) - encoded(base, task, r).start for r in rows)
    said = min(longest, task.max_new_tokens)
    answers_s, probes_s = (_answers_s(model, base, task, asked, said) for asked in ([*rows, *task.asked], task.asked))
    fresh = not methods.find(spec.method).starts_at_base(spec.settings)
    steps = spec.train.steps
    looks = (spec.train.looks - 1 if steps else 0) + 1 + fresh
    sampled = (steps > 1) + fresh  # the last ones are written with the answers
    own_s = looks * look_s + general_s + answers_s + sampled * probes_s
    judged_s = look_s * len(evaluation.judged_rows(task)[1]) / max(len(held_out), 1)
    if spec.train.thorough:
        own_s += (looks - 1) * general_s + judged_s
    if not evaluation.base_is_known(base, task):
        own_s += look_s + general_s + answers_s + probes_s + (judged_s + general_s if spec.train.thorough else 0.0)
    return own_s, look_s + (general_s if spec.train.thorough else 0.0)


def _read_s(model: Any, base: Base, examples: list[data.Example], between: Callable[[], None]) -> float:
    """Seconds to read these rows, by the first batch of them and its share of their tokens."""
    some = examples[: evaluation.EVAL_BATCH]
    began = time.perf_counter()
    evaluation.row_losses(model, base, some, between)
    taken = time.perf_counter() - began
    return taken * sum(len(e.ids) for e in examples) / max(sum(len(e.ids) for e in some), 1)


def _answers_s(model: Any, base: Base, task: tasks.Task, asked: Sequence[str | tasks.Row], tokens: int) -> float:
    """Seconds of so many tokens of an answer to each of these, by the first few tokens of one batch."""
    prompts = [data.prompt_ids(base.tokenizer, prompt, task.template) for prompt in asked]
    size = generation.together([len(prompt) for prompt in prompts], task.max_new_tokens)
    began = time.perf_counter()
    steps = generation.decode(model, prompts[:size], set(), generation.Sampling(TOKENS + 1))
    next(steps)
    read_s = time.perf_counter() - began
    began = time.perf_counter()
    for _ in range(TOKENS):
        next(steps)
    return math.ceil(len(prompts) / size) * (read_s + tokens * (time.perf_counter() - began) / TOKENS)


def seconds_per_token(base: Base) -> float:
    """This machine's speed: the faster of two LoRA steps on four rows of the first task after a first one, in seconds a token."""
    task = tasks.TASKS[0]
    trial = begin(RunSpec.model_validate({"model": base.key or "any", "task": task.key, "method": "lora"}), base)
    rows = [encoded(base, task, row) for row in task.split(None).train[:4]]
    taken = []
    for _ in range(3):
        before = trial.train_s
        trial.backward(rows)
        trial.update()
        taken.append(trial.train_s - before)
    return min(taken[1:]) / sum(len(row.ids) for row in rows)
