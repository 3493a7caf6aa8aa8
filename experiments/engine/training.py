"""The one loop for supervised methods: `run(spec, …)` yields what happens, and a run is a pure function of its spec.

It promises: same spec, same losses, bit for bit on one machine and number of threads, alone or raced; only what the method
names is trained; the base is never changed; gone on from a checkpoint it has the losses it would have had. A method plugs in
through `attach`, never through a flag here. The loop knows of no queue and no page: between two pieces of work it calls
`between`, which may raise `Unwanted`.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Generator, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import torch

from experiments import advice, events, methods, objectives, recipe
from experiments.catalog import tasks
from experiments.engine import adapters, checkpoints, data, evaluation, generation, looking, memory, scorer
from experiments.engine.checkpoints import Checkpoints, Progress
from experiments.engine.looking import Run, alone
from experiments.engine.models import Base
from experiments.engine.provenance import commit, versions
from experiments.engine.randomness import RandomState
from experiments.engine.trial import begin, times_at
from experiments.specs import RunSpec

ENDS_LOOKED_AT = 64  # rows of which it is told whether their end is learnt


class Unwanted(BaseException):
    """Nobody wants this run any more. Not an `Exception`: no library on the way may take it for a failure of its own."""


def run(
    spec: RunSpec,
    base: Base,
    folder: Path,
    between: Callable[[], None] = lambda: None,
    keep: Checkpoints | None = None,
    tuned: Callable[[str], Any] = alone,
) -> Iterator[events.Event]:
    """Train as the spec says on a loaded base; save the adapter into `folder`. Ends with Finished, Failed or Cancelled.

    With `keep` the state is kept on the way, and a run that was interrupted, or that trains another one longer, goes on
    from there. `tuned`: the model that a finished run left, for those that the spec names. Raises `ValueError` where one of them
    is not there.
    """
    began = time.perf_counter()
    random_state = RandomState(spec.seed)
    with random_state:
        trial = begin(spec, base, tuned(spec.after) if spec.after else None)
    progress = keep.resume(spec, trial, random_state) if keep else Progress()
    now = Run(spec, base, tasks.of(spec), trial, random_state, between, progress, keep, tuned)
    earlier_s = progress.elapsed_s
    try:
        yield _started(now)
        yield from list(progress.history)
        if not now.is_judge and (base_is_known := evaluation.base_is_known(base, now.task)):
            yield evaluation.base_look(base, now.task, between)
        follow = _aligned if objectives.find(spec.objective).is_trls else _steps
        for event in follow(now, earlier_s - began):
            yield event
            if isinstance(event, events.Failed):
                return
        yield from _measured(now)
        if not now.is_judge and not base_is_known:
            yield evaluation.base_look(base, now.task, between)
        if spec.train.thorough and not now.is_judge:
            yield evaluation.base_judged(base, now.task, between)
        progress.elapsed_s = earlier_s + time.perf_counter() - began
        yield _finished(now, folder)
    except Unwanted:
        progress.elapsed_s = earlier_s + time.perf_counter() - began
        if keep and not objectives.find(spec.objective).is_trls:  # TRL's trainer cannot stand between two steps
            keep.stopped(spec, trial, random_state, progress)
        yield events.Cancelled(step=progress.step)


def _steps(now: Run, clock_s: float) -> Iterator[events.Event]:
    """The training itself, to the last step, to the look after which patience ends, or to a loss that is no number."""
    spec, trial, progress, train, keep = now.spec, now.trial, now.progress, now.spec.train, now.keep
    rows = now.task.split(None).train

    def example(i: int) -> data.Example:  # on first use: encoding thousands of rows would hold up the first step
        return data.encode(now.base.tokenizer, rows[i], now.task.max_length, now.task.template)

    if keep:
        keep.begun()
    was_stopped_in_look = progress.step in recipe.look_steps(train) and not progress.has_looked
    if was_stopped_in_look and (yield from _look_along(now, progress.step)):
        return
    order = data.order(len(rows), train.batch_size, train.steps * train.accumulate, spec.seed)
    order = islice(order, progress.step * train.accumulate, None)
    for step in range(progress.step + 1, train.steps + 1):
        now.between()
        batches = [[example(i) for i in batch] for batch in islice(order, train.accumulate)]
        with now.random_state:
            loss, norm = trial.backward(*batches)
        progress.step = step
        yield now.seen(events.Stepped(
            step=step, loss=loss, gradient_norm=norm, learning_rate=recipe.rate_at(train, step),
            tokens=trial.tokens, train_s=round(trial.train_s, 4),
        ))  # fmt: skip
        if loss is None or norm is None:
            yield diverged(spec, step)
            return
        if step == 1:  # nothing is updated yet
            yield from looking.untrained(now)
        with now.random_state:
            trial.update(times_at(spec, step))
        if (yield from _is_over(now, step, clock_s)):
            return


def _aligned(now: Run, clock_s: float) -> Generator[events.Event, None, None]:
    """The same with TRL's trainer for the objective, which does the steps; all between them stays here."""
    spec, progress = now.spec, now.progress
    if not progress.step:
        yield from looking.untrained(now)
    if now.keep:
        now.keep.begun()
    now.between()
    from experiments.engine import alignment, trainers  # datasets, pandas: only such a run pays for them

    order = trainers.Order(spec, now.base, now.task, now.trial, now.tuned, "", progress.step)
    with contextlib.closing(alignment.steps(order, now.random_state)) as told:
        for event in told:
            yield now.seen(event)
            if isinstance(event, events.Stepped):
                progress.step = event.step
                if event.loss is None or (event.gradient_norm is None and spec.train.clip):
                    yield diverged(spec, event.step)
                    return
                if (yield from _is_over(now, event.step, clock_s)):
                    return
            now.between()


def _is_over(now: Run, step: int, clock_s: float) -> Generator[events.Event, None, bool]:
    """After a step: a look where one is due, and a checkpoint; whether patience has ended."""
    train, keep = now.spec.train, now.keep
    if step in recipe.look_steps(train) and (yield from _look_along(now, step)):
        return True
    if keep and keep.due() and step < train.steps:
        now.progress.elapsed_s = clock_s + time.perf_counter()
        keep.write(now.spec, now.trial, now.random_state, now.progress)
    return False


def _look_along(now: Run, step: int) -> Generator[events.Event, None, bool]:
    """A look on the way; whether patience is over by it."""
    yield from looking.look(now, step, samples=step == round(now.spec.train.steps / 2))
    return bool(now.spec.train.patience) and _patience_is_over(now)


def _patience_is_over(now: Run) -> bool:
    """Weigh the look that was just taken; where too many have passed without a better one, go back to the best."""
    look, best = now.progress.history[-1], now.progress.best
    assert isinstance(look, events.Evaluated)
    if look.held_out_loss is not None and (best.loss is None or look.held_out_loss < best.loss):
        best.step, best.loss, best.since = look.step, look.held_out_loss, 0
        best.parameters = checkpoints.kept(now.trial.parameters)
        return False
    best.since += 1
    if best.since < now.spec.train.patience:
        return False
    for parameter, kept in zip(now.trial.parameters, best.parameters, strict=False):  # none where no look was a number
        parameter.data.copy_(kept)
    return True


def _measured(now: Run) -> Iterator[events.Event]:
    """The full look at what was trained, or at the untrained method where nothing was."""
    progress = now.progress
    if progress.step == 0:
        yield from looking.untrained(now)
    step = progress.best.step if _stopped_early(now) and progress.best.step else progress.step
    with now.trial.at_rest() as model:
        if now.is_judge:
            yield now.seen(scorer.look(model, now.base, now.task, step, now.between))
            return
        look = evaluation.full_look(model, now.base, now.task, step, now.between)
        if step:
            yield now.seen(looking.probed("tuned", step, now.task, look.probes))
        yield now.seen(look.told)
        if now.spec.train.thorough:
            told = evaluation.judged("tuned", model, now.base, now.task, step, look.said, look.general, now.between)
            yield now.seen(told)


def _stopped_early(now: Run) -> bool:
    return now.progress.step < now.spec.train.steps


def _finished(now: Run, folder: Path) -> events.Finished:
    """Save what is left, and the state that a longer run would go on from."""
    trial, progress, keep = now.trial, now.progress, now.keep
    sources = methods.find(now.spec.method).sources(now.spec.settings)
    leaves = bool(trial.parameters or sources or generation.virtual_tokens(trial.model))
    if keep and progress.step and not _stopped_early(now) and checkpoints.size_mb(trial) <= checkpoints.FINAL_MB:
        keep.write(now.spec, trial, now.random_state, progress, final=True)
    elif keep:
        keep.drop(now.spec)
    size = adapters.save(trial.model, folder) if leaves else 0
    return events.Finished(
        elapsed_s=round(progress.elapsed_s, 3), train_s=round(trial.train_s, 3),
        peak_mb=round(trial.meter.peak_mb(now.base.resting_mb), 1),
        adapter_path=f"{folder.parent.name}/{folder.name}" if leaves else None, adapter_bytes=size,
        stopped_at=progress.step if _stopped_early(now) else None,
    )  # fmt: skip


def _started(now: Run) -> events.Started:
    return events.Started(
        trainable=sum(p.numel() for p in now.trial.parameters),
        total=now.base.total,
        context_tokens=generation.virtual_tokens(now.trial.model),
        resumed_at=now.progress.step,
        without_end=_without_end(now) if now.trial.parameters else None,
        packed_mb=round(memory.weights_mb(now.trial.model), 1) if methods.find(now.spec.method).prepare else None,
        rows=len(now.task.split(None).train),
        device=torch.cuda.get_device_name() if torch.cuda.is_available() else "cpu",
        threads=torch.get_num_threads(),
        resting_mb=round(now.base.resting_mb, 1),
        versions=versions(),
        commit=commit(),
    )


def _without_end(now: Run) -> float:
    """The share of the first rows whose learnt tokens hold no end token."""
    rows = now.task.split(None).train[:ENDS_LOOKED_AT]
    ends = generation.end_ids(now.base.model, now.base.tokenizer)
    examples = [data.encode(now.base.tokenizer, row, now.task.max_length, now.task.template) for row in rows]
    return round(sum(not ends & set(e.ids[e.start :]) for e in examples) / max(len(examples), 1), 3)


def diverged(spec: RunSpec, step: int) -> events.Failed:
    """What to say when the loss is no longer a number."""
    cause = f"Diverged at step {step}: the loss is no longer a number."
    return events.Failed(cause=cause, advice=advice.diverged(spec))
