"""What a run sees of itself on the way: the base's answers, its own, and the losses on rows that it does not learn from.

`Run` is what the loop holds while it runs; each look is kept in its history, so that a run that goes on has seen what it saw before.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from experiments import events, methods
from experiments.catalog import tasks
from experiments.engine import evaluation, generation, scorer
from experiments.engine.checkpoints import Checkpoints, Progress
from experiments.engine.models import Base
from experiments.engine.randomness import RandomState
from experiments.engine.trial import Trial
from experiments.specs import RunSpec


def alone(run_id: str) -> Any:
    """Where a run stands by itself there is no other to ask."""
    raise ValueError(f"Run {run_id} is not on this machine.")


@dataclass
class Run:
    """What the loop holds while it runs: the spec, the base, the task, the trial, and how far it is."""

    spec: RunSpec
    base: Base
    task: tasks.Task
    trial: Trial
    random_state: RandomState
    between: Callable[[], None]
    progress: Progress
    keep: Checkpoints | None = None
    tuned: Callable[[str], Any] = alone

    @property
    def is_judge(self) -> bool:
        """Whether what is trained gives scores: then it is looked at as a judge, and has no answers."""
        return isinstance(self.trial.model, scorer.Scorer)

    def seen(self, event: events.Event) -> events.Event:
        """The event, kept for a run that goes on from here."""
        self.progress.history.append(event)
        return event


def look(now: Run, step: int, samples: bool = True) -> Iterator[events.Event]:
    """A look on the way after this many steps: its answers to the probes where `samples`, its losses, and the adapter kept."""
    with now.trial.at_rest() as model:
        if samples and not now.is_judge:
            yield now.seen(sampled(now, model, step))
        if now.is_judge:
            yield now.seen(scorer.look(model, now.base, now.task, step, now.between))
        else:
            yield now.seen(evaluation.look(model, now.base, now.task, step, now.between, now.spec.train.thorough))
        if now.keep and now.trial.parameters:
            now.keep.look(now.spec, step, model, now.trial)


def untrained(now: Run) -> Iterator[events.Event]:
    """The base's answers, and the method before its first update; where that is the base, what is known of it is told."""
    if now.is_judge:
        yield from look(now, 0)
        return
    said = evaluation.base_probes(now.base, now.task, now.between)
    yield now.seen(probed("base", 0, now.task, said))
    if methods.find(now.spec.method).starts_at_base(now.spec.settings) and not now.spec.after:
        yield now.seen(probed("tuned", 0, now.task, said))
        loss = evaluation.base_held_out_loss(now.base, now.task, now.between)
        thorough = now.spec.train.thorough
        general = evaluation.base_look(now.base, now.task, now.between).general_loss if thorough else None
        yield now.seen(events.Evaluated(subject="tuned", step=0, held_out_loss=loss, general_loss=general))
    else:
        yield from look(now, 0)


def sampled(now: Run, model: Any, step: int) -> events.Sampled:
    """What the tuned model answers to the task's probes."""
    task = now.task
    said = generation.answers(model, now.base.tokenizer, task.asked, task.max_new_tokens, now.between, task.template)
    return probed("tuned", step, task, said)


def probed(subject: Literal["base", "tuned"], step: int, task: tasks.Task, said: Sequence[str]) -> events.Sampled:
    """What was said to the task's probes, in their order."""
    pairs = tuple(events.Answer(prompt=p, answer=a) for p, a in zip(task.probes, said, strict=True))
    return events.Sampled(subject=subject, step=step, answers=pairs)
