"""Two steps of a run before it starts: how long a step takes here, what the looks around it take, and how high memory goes.

The first step warms up and reads the longest of some batches, which makes the peak; the second is timed. Looks and answers are timed
on one batch of each and multiplied. Nothing of it reaches the run itself, which begins afresh.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable
from typing import Any

from experiments import methods
from experiments.calibrated import Calibration
from experiments.catalog import tasks
from experiments.engine import data, evaluation, generation
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
            trial.backward([_example(base, task, rows[i]) for i in batch])
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
    mean = sum(len(_example(base, task, row).ids) for row in rows[:ROWS]) / len(rows[:ROWS])
    order = data.order(len(rows), train.batch_size, max(ROWS // train.batch_size, train.accumulate), spec.seed)
    batches = [[_example(base, task, rows[i]) for i in batch] for batch in order]
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


def _example(base: Base, task: tasks.Task, row: tasks.Row) -> data.Example:
    return data.encode(base.tokenizer, row, task.max_length, task.template)


def _around_s(
    spec: RunSpec, base: Base, task: tasks.Task, model: Any, between: Callable[[], None]
) -> tuple[float, float]:
    """Seconds of all looks and answers of the run, and of one look on its way."""
    rows = task.split(None).held_out[: task.scored_rows]
    some = rows[: evaluation.EVAL_BATCH]
    began = time.perf_counter()
    evaluation.mean_loss(model, [_example(base, task, r) for r in some], base.tokenizer.pad_token_id, between)
    look_s = (time.perf_counter() - began) / max(len(some), 1) * min(evaluation.HELD_OUT_ROWS, len(rows))
    prompts = [data.prompt_ids(base.tokenizer, r, task.template) for r in rows[: generation.BATCH]]
    read_s, token_s = _answer_s(model, prompts)
    longest = max(len(_example(base, task, r).ids) - _example(base, task, r).start for r in rows)
    said = min(longest, task.max_new_tokens)
    answers_s = -(-len(rows) // generation.BATCH) * (read_s + said * token_s)
    probes = [data.prompt_ids(base.tokenizer, p, task.template) for p in task.asked]
    probe_read_s, probe_token_s = _answer_s(model, probes)
    probes_s = probe_read_s + said * probe_token_s
    fresh = not methods.find(spec.method).starts_at_base(spec.settings)
    steps = spec.train.steps
    looks = (spec.train.looks - 1 if steps else 0) + 1 + fresh
    sampled = (2 if steps > 1 else 1 if steps else 0) + fresh
    general_s = look_s  # about as many tokens
    own_s = looks * look_s + general_s + answers_s + sampled * probes_s
    judged_s = general_s + look_s * len(evaluation.judged_rows(task)[1]) / max(
        min(evaluation.HELD_OUT_ROWS, len(rows)), 1
    )
    if spec.train.thorough:
        own_s += (looks - 1) * general_s + judged_s
    if not evaluation.base_is_known(base, task):
        own_s += 2 * look_s + answers_s + probes_s + (judged_s if spec.train.thorough else 0.0)
    return own_s, look_s + (general_s if spec.train.thorough else 0.0)


def _answer_s(model: Any, prompts: list[list[int]]) -> tuple[float, float]:
    """Seconds to read these prompts together, and to write one token after them."""
    began = time.perf_counter()
    steps = generation.decode(model, prompts, set(), generation.Sampling(TOKENS + 1))
    next(steps)
    read_s = time.perf_counter() - began
    began = time.perf_counter()
    for _ in range(TOKENS):
        next(steps)
    return read_s, (time.perf_counter() - began) / TOKENS


def seconds_per_token(base: Base) -> float:
    """This machine's speed: the faster of two LoRA steps of 4 × 64 tokens after a first one, in seconds a token."""
    spec = RunSpec.model_validate({"model": base.key or "any", "task": tasks.TASKS[0].key, "method": "lora"})
    trial = begin(spec, base)
    ids = range(min(1000, base.model.config.get_text_config().vocab_size - 64))
    rows = [data.Example(tuple(ids[i : i + 64]), 40) for i in range(4)]
    taken = []
    for _ in range(3):
        before = trial.train_s
        trial.backward(rows)
        trial.update()
        taken.append(trial.train_s - before)
    return min(taken[1:]) / (4 * 64)
