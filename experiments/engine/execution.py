"""Carries a job out: events from the loop into the store. The worker process and the inline executor are both made of this.

A race advances its runs one event each in turn. Whatever a run raises becomes its own Failed event; the others go on.
"""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Callable, Generator, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import torch

from experiments import calibrated, estimates, events, methods, mirrors, states
from experiments.catalog import models, tasks
from experiments.catalog.cache import ResourceError
from experiments.catalog.tasks.base import Row
from experiments.engine import adapters, calibration, generation, mixing, scorer, surprise, training, truncation
from experiments.engine.checkpoints import Checkpoints
from experiments.engine.models import Base, Bases
from experiments.engine.scorer import Scorer
from experiments.jobs import Job
from experiments.questions import CalibrateSpec, MixSpec, Question, RanksSpec, SampleSpec, ScoreSpec, check_mix, parse
from experiments.specs import RunSpec
from experiments.store import Key, Store
from experiments.templates import CHAT

log = logging.getLogger(__name__)
KEEP_TUNED = 4


class Engine:
    """What stays warm between jobs: the base model, some tuned ones, and the store that events go to.

    `serve` is called between two pieces of work: there the worker answers what cannot wait for a training to end.
    """

    def __init__(self, store: Store, home: Path, serve: Callable[[], None] = lambda: None):
        self.store, self.home, self.serve = store, home, serve
        self.bases = Bases()
        self.checkpoints = Checkpoints(home / states.FOLDER)
        self._tuned: OrderedDict[Path, Any] = OrderedDict()
        self._mirrors = mirrors.asked()

    def execute(self, job: Job) -> None:
        """Carry out a job to its end; every attempt in it has an end then."""
        if job.kind == "sample":
            self._answer(job.keys[0])
            return
        runs = {key: self._events(key) for key in job.keys}
        feeds = {key: self._feed(key) for key in job.keys} if self._mirrors else {}
        while runs:
            for key in list(runs):
                event = self._next(key, runs[key])
                if event is not None:
                    self.store.append(key, event)
                    if key in feeds:
                        feeds[key].tell(event)
                if isinstance(event, events.END):
                    estimates.learn(self.store, key)
                if event is None or isinstance(event, events.END):
                    runs.pop(key).close()

    def warm(self, model: str) -> None:
        """Load a model that is here already and measure its speed: where it is not known, or was measured while the machine was busy."""
        entry = models.find(model, local=True)
        if models.is_ready(entry):
            weights = models.weights_of(entry)
            base = self.bases.get(model, weights)
            key, took_s = estimates.speed_key(weights, "lora"), calibration.seconds_per_token(base)
            known_s: Any = self.store.recall(key)
            if known_s is None or took_s < known_s / 2:  # less of a difference is what rows and looks make of it
                self.store.remember(key, took_s)

    def pace(self, spec: RunSpec, threads: int, seconds: float) -> float:
        """Tokens a second of this run's steps on so many threads, which stay this process's own."""
        torch.set_num_threads(threads)
        base = self.bases.get(spec.model, spec.weights)
        tasks.of(spec).split(None)
        return calibration.pace(spec, base, seconds)

    def _feed(self, key: Key) -> mirrors.Feed:
        spec = RunSpec.model_validate_json(self.store.entry(*key).spec)  # type: ignore[union-attr]
        return mirrors.Feed(self._mirrors, spec, key, self.home / "mirrors")

    def _next(self, key: Key, run: Iterator[events.Event]) -> events.Event | None:
        try:
            return next(run, None)
        except training.Unwanted:
            return events.Cancelled(step=0)
        except Exception as error:  # a run's failure is its own
            log.exception("run %s failed", key.run_id)
            return failure(error)

    def _events(self, key: Key) -> Generator[events.Event, None, None]:
        spec = RunSpec.model_validate_json(self.store.entry(*key).spec)  # type: ignore[union-attr]

        def between() -> None:
            self.serve()
            if not self.store.is_wanted(key):
                raise training.Unwanted

        between()
        base = self._base(spec.model, spec.weights, key)
        tasks.of(spec).split(self._report(key))
        yield from training.run(spec, base, self._folder(key), between, self.checkpoints, partial(self._load, base))

    def _folder(self, key: Key) -> Path:
        return self.home / "adapters" / f"{key.run_id}-{key.attempt}"

    def _answer(self, key: Key) -> None:
        def between() -> None:
            if not self.store.is_wanted(key):
                raise training.Unwanted

        try:
            spec = parse(self.store.entry(*key).spec)  # type: ignore[union-attr]
            elapsed_s = 0.0
            base = self._base(spec.model, spec.weights, key)
            columns = [base.model, *(self._load(base, *column) for column in spec.columns)]
            for event in self._asked(spec, columns, base, between):
                self.store.append(key, event)
                elapsed_s = max(elapsed_s, getattr(event, "elapsed_s", 0.0))
            self.store.append(key, events.Finished(elapsed_s=elapsed_s))
        except training.Unwanted:
            self.store.append(key, events.Cancelled(step=0))
        except Exception as error:
            log.exception("answer %s failed", key.run_id)
            self.store.append(key, failure(error))

    def _asked(
        self, spec: Question, columns: list[Any], base: Base, between: Callable[[], None]
    ) -> Iterator[events.Event]:
        if isinstance(spec, ScoreSpec):
            yield from self._scored(spec, columns[1], base)
            return
        if any(isinstance(model, Scorer) for model in columns):
            raise ValueError("A reward model gives answers a score and writes none: ask it with `reward`.")
        if isinstance(spec, SampleSpec):
            yield from generation.sample(columns, base.tokenizer, spec, between, self._templates(spec))
            return
        if isinstance(spec, RanksSpec):
            run = RunSpec.model_validate_json(self.store.entry(spec.runs[0]).spec)  # type: ignore[union-attr]
            yield from truncation.curve(columns[1], base, tasks.of(run), between)
            return
        if isinstance(spec, MixSpec):
            runs = {run_id: self._finished(base, run_id) for run_id in spec.runs}
            check_mix(spec, [run for run, _ in runs.values()])
            yield from mixing.looks(base, runs, spec, between)
            return
        if isinstance(spec, CalibrateSpec):
            tasks.of(spec.run).split(lambda stage, done, total: between())
            found = calibration.calibrate(spec.run, base, between)
            calibrated.keep(self.store, spec.run, found)  # before it is told: whoever hears it finds it
            yield events.Calibrated(**found.model_dump())
            return
        for i, model in enumerate(columns):
            between()
            yield surprise.read(i, model, base.tokenizer, spec)

    def _scored(self, spec: ScoreSpec, model: Any, base: Base) -> Iterator[events.Event]:
        """The score of each answer. Raises `ValueError` where the run is no reward model."""
        if not isinstance(model, Scorer):
            raise ValueError(f"Run {spec.runs[0]} is no reward model: train one with the objective “reward”.")
        task = tasks.of(RunSpec.model_validate_json(self.store.entry(spec.runs[0]).spec))  # type: ignore[union-attr]
        rows = [Row(spec.prompt, answer) for answer in spec.answers]
        for column, score in enumerate(scorer.scores(model, base, rows, task).tolist()):
            yield events.Scored(column=column, score=score)

    def _templates(self, spec: SampleSpec) -> list[str]:
        """Each column's template: a run's own; the base is asked as the runs are where they agree, else as a chat."""
        entries = [self.store.entry(run_id) for run_id in spec.runs]
        own = [RunSpec.model_validate_json(entry.spec).template for entry in entries if entry]
        return [own[0] if len(set(own)) == 1 else CHAT, *own]

    def _base(self, model: str, weights: str, key: Key) -> Base:
        return self.bases.get(model, weights, self._report(key))

    def _report(self, key: Key) -> Callable[[str, int, int | None], None]:
        """Progress events, a whole percent apart at least, so that a fetch does not flood the store; Stop is heard there."""
        last: tuple[str, int] = ("", -1)

        def report(stage: str, done: int, total: int | None) -> None:
            nonlocal last
            mark = (stage, 100 * done // total if total else done // 2_000_000)
            if mark != last:
                last = mark
                if not self.store.is_wanted(key):
                    raise training.Unwanted
                self.store.append(
                    key, events.Progress(stage=stage, done=done, total=total, unit="bytes" if done else "")
                )

        return report

    def _finished(self, base: Base, run_id: str) -> tuple[RunSpec, Path]:
        """A finished run of this base, and where its adapter lies. Raises `ValueError`."""
        entry = self.store.entry(run_id)
        if entry is None or entry.last != "finished":
            raise ValueError(f"Run {run_id[:20]} has no finished result to ask.")
        spec = RunSpec.model_validate_json(entry.spec)
        if spec.weights != base.weights:
            raise ValueError(f"Run {run_id} was trained on other weights ({spec.weights}).")
        return spec, self._folder(entry.key)

    def _load(self, base: Base, run_id: str, step: int | None = None) -> Any:
        """The tuned model of a finished run, or what it was at a look, kept loaded for a while."""
        spec, at_its_end = self._finished(base, run_id)
        method = methods.find(spec.method)
        if not (method.trains or method.examples(spec.settings) or method.sources(spec.settings)):
            return base.model
        folder = at_its_end if step is None else self.checkpoints.looks / run_id / str(step)
        if folder not in self._tuned:
            while len(self._tuned) >= KEEP_TUNED:
                self._tuned.popitem(last=False)
            self._tuned[folder] = adapters.load(base, folder)
        self._tuned.move_to_end(folder)
        return self._tuned[folder]


def failure(error: Exception) -> events.Failed:
    """An exception as one sentence why and one what to try."""
    text = str(error).strip().split("\n")[0][:400] or type(error).__name__
    if isinstance(error, MemoryError) or "allocate memory" in text or "out of memory" in text:
        return events.Failed(cause="There was not enough memory.", advice="Try a smaller batch or a lighter method.")
    if isinstance(error, OSError) and error.errno == 28:
        return events.Failed(cause="The disk is full.", advice="Free some space and start again.")
    if isinstance(error, ResourceError | ValueError | FileNotFoundError):
        return events.Failed(cause=text)
    return events.Failed(cause=f"{type(error).__name__}: {text}", advice="The worker's log has the details.")
