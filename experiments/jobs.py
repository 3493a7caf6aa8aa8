"""The queue: who asked for what, whose turn it is, and who may stop it. Free of torch; the work is an executor's.

Trainings run one job at a time, in the order they were asked for; a job is one run or a race of several. Side-by-side
answers do not wait for trainings: the worker takes them between two steps.
"""

from __future__ import annotations

import contextlib
import sqlite3
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Literal, Protocol

from experiments import access, events, gists
from experiments.questions import CalibrateSpec, Question
from experiments.specs import RunSpec
from experiments.store import Key, Store

MOST_WAITING = 20
MOST_ANSWERS = 4


class QueueFull(ValueError):
    """Too many jobs wait; the sentence says so."""


@dataclass(frozen=True)
class Job:
    """What an executor gets: the attempts to carry out together. Their specs stand in the store."""

    kind: Literal["train", "sample"]
    keys: tuple[Key, ...]


class Executor(Protocol):
    """Carries jobs out. `run` returns when the job has ended, whatever its end; it may be called from several
    threads. `warm` loads a model before anybody asks, and returns at once."""

    def run(self, job: Job) -> None: ...

    def warm(self, model: str) -> None: ...

    def close(self) -> None: ...


@dataclass(frozen=True)
class Ticket:
    """The answer to a request: which attempt, and whether it is "new", "shared" with others or "stored"."""

    key: Key
    state: str


@contextlib.contextmanager
def _said_where_full() -> Iterator[None]:
    """A store that takes nothing more is a sentence to who asks, `QueueFull`."""
    try:
        yield
    except sqlite3.OperationalError:
        raise QueueFull("The disk of this lab is full or busy, so nothing was started; try again later.") from None


class Jobs:
    """A FIFO queue over one executor. `close` ends the executor; what is under way is then interrupted."""

    def __init__(self, store: Store, executor: Executor):
        self.store = store
        self.executor = executor
        self._waiting: list[Job] = []
        self._current: Job | None = None
        self._change = threading.Condition()
        self._closed = False
        self._answers = ThreadPoolExecutor(MOST_ANSWERS, "answers")
        self._answering = 0
        self._owed: dict[Key, events.Event] = {}  # ends that a full disk did not take yet
        self._settling = threading.Lock()  # an end is written by one thread: the store takes no second one
        store.reap()
        self._thread = threading.Thread(target=self._dispatch, name="jobs", daemon=True)
        self._thread.start()

    def submit(self, specs: Sequence[RunSpec], owner: str, again: bool = False) -> list[Ticket]:
        """Ask for runs, to be raced where several are new. Raises `QueueFull`, or `SpecError` for rows or runs that are
        somebody else's; then nothing was asked for."""
        for spec in specs:
            access.require_all(self.store, spec, owner)
        self._settle()
        with self._change, _said_where_full():
            unique = list({spec.run_id: spec for spec in specs}.values())
            if len(self._waiting) >= MOST_WAITING and any(self._would_train(spec, again) for spec in unique):
                raise QueueFull(f"{MOST_WAITING} trainings are waiting already; try again when some have ended.")
            tickets = [
                Ticket(*self.store.open(spec.run_id, "train", spec.model_dump_json(), owner, again)) for spec in unique
            ]
            if new := tuple(t.key for t in tickets if t.state == "new"):
                self._waiting.append(Job("train", new))
                self._change.notify_all()
        return tickets

    def _would_train(self, spec: RunSpec, again: bool) -> bool:
        entry = self.store.entry(spec.run_id)
        return entry is None or (entry.ended and (again or entry.last != "finished"))

    def ask(self, spec: Question, owner: str, again: bool = False) -> Ticket:
        """Ask for side-by-side answers, or for how models read a text. Raises `QueueFull`, or `SpecError` for runs that are
        somebody else's own."""
        access.require_runs(self.store, spec.runs, owner)
        if isinstance(spec, CalibrateSpec):
            access.require_all(self.store, spec.run, owner)
        with self._change, _said_where_full():
            if self._answering >= MOST_WAITING:
                raise QueueFull("Many questions are waiting already; try again in a moment.")
            ticket = Ticket(*self.store.open(spec.sample_id, "sample", spec.model_dump_json(), owner, again))
            if ticket.state == "new":
                self._answering += 1
                self._answers.submit(self._answer, Job("sample", (ticket.key,)))
        return ticket

    def cancel(self, keys: Sequence[Key], owner: str) -> str:
        """Stop wanting these attempts; one sentence on what that did. A run goes on while anybody else wants it."""
        mine = [key for key in keys if self.store.leave(key, owner)]
        if not mine:
            return "These are somebody else's runs: only who started a run can stop it."
        left = [key for key in mine if not self.store.is_wanted(key)]
        with self._change:
            for job in [j for j in self._waiting if all(not self.store.is_wanted(k) for k in j.keys)]:
                self._waiting.remove(job)
                for key in job.keys:
                    self.store.append(key, events.Cancelled(step=0))
        if not left:
            return "You left; others who started the same run still want it, so it goes on."
        return "Stopping after the step under way."

    def position(self, key: Key) -> int | None:
        """How many jobs come before this one; 0 while it runs, None once it is no longer in the queue."""
        with self._change:
            if self._current and key in self._current.keys:
                return 0
            for place, job in enumerate(self._waiting, start=1):
                if key in job.keys:
                    return place
        return None

    def length(self) -> int:
        """Jobs that run or wait."""
        with self._change:
            return len(self._waiting) + (self._current is not None)

    def wait(self, keys: Sequence[Key], timeout_s: float | None = None) -> bool:
        """Block until none of these is in the queue; False where the time ran out first."""
        with self._change:
            return self._change.wait_for(lambda: not any(self._pending(key) for key in keys), timeout_s)

    def _pending(self, key: Key) -> bool:
        jobs = [*self._waiting, *([self._current] if self._current else [])]
        return any(key in job.keys for job in jobs)

    @property
    def closed(self) -> bool:
        return self._closed

    def close(self) -> None:
        with self._change:
            self._closed = True
            for job in self._waiting:
                for key in job.keys:
                    self.store.append(key, events.Interrupted())
            self._waiting.clear()
            self._change.notify_all()
        self.executor.close()
        self._answers.shutdown(wait=False, cancel_futures=True)

    def _dispatch(self) -> None:
        while True:
            with self._change:
                self._change.wait_for(lambda: self._waiting or self._closed)
                if self._closed:
                    return
                self._current = self._waiting.pop(0)
            self._carry_out(self._current)
            with self._change:
                self._current = None
                self._change.notify_all()

    def _answer(self, job: Job) -> None:
        try:
            self._carry_out(job)
        finally:
            with self._change:
                self._answering -= 1

    def _settle(self) -> None:
        """Write the ends that are owed; one that the disk does not take now is written before the next request."""
        with self._settling:
            for key, end in list(self._owed.items()):
                with contextlib.suppress(sqlite3.OperationalError):
                    if not self.store.entry(*key).ended:  # type: ignore[union-attr]
                        self.store.append(key, end)
                    self._owed.pop(key, None)

    def _carry_out(self, job: Job) -> None:
        """Run a job; whatever the executor left without an end gets one."""
        cause = "The job ended without a result."
        try:
            self.executor.run(job)
        except Exception as error:  # an executor's failure is the run's, never the queue's
            cause = str(error) or type(error).__name__
        for key in job.keys:
            if not self.store.entry(*key).ended:  # type: ignore[union-attr]
                advice = f"{'Press Start' if job.kind == 'train' else 'Ask'} again: the worker was restarted."
                self._owed[key] = events.Interrupted() if self._closed else events.Failed(cause=cause, advice=advice)
        self._settle()
        if job.kind == "train":
            with contextlib.suppress(sqlite3.Error):  # a full disk: they are made when they are asked for
                gists.gists(self.store, [entry for key in job.keys if (entry := self.store.entry(*key))])
