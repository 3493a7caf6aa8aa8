"""Carries comparisons out: first two steps of each method that was not measured here yet, then a sweep for each method in turn.

A client of the sweeper, which is a client of the queue: no torch, no handler. It promises what a sweep promises: what is stored is
not trained again, a method that fails is marked and the others go on, Stop keeps what is done and loses at most the step in hand,
and `resume` takes up what a process that is gone left.
"""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from concurrent.futures import ThreadPoolExecutor

from experiments import access, calibrated, events
from experiments.calibrated import Calibration
from experiments.comparison import budgets, table
from experiments.comparison.parts import part
from experiments.comparison.spec import ComparisonSpec
from experiments.jobs import Jobs, QueueFull
from experiments.questions import CalibrateSpec
from experiments.specs import RunSpec, SpecError
from experiments.store import Key
from experiments.sweeps.running import Stopped, Sweeper, in_thread
from experiments.sweeps.table import State

log = logging.getLogger(__name__)
POLL_S = 0.1


class Comparer:
    """Runs the comparisons of a lab on its sweeper."""

    def __init__(self, sweeper: Sweeper):
        self.sweeper, self.store = sweeper, sweeper.store
        self._ended: dict[tuple[str, str], threading.Event] = {}
        self._lock = threading.Lock()

    def start(self, spec: ComparisonSpec, owner: str) -> str:
        """Begin a comparison, or take it up again; its id. One that is under way goes on as it is. Raises `SpecError`."""
        for run in spec.runs:
            access.require_rows(run, owner)
            part(spec, run)
        with self._lock:
            if table.open_comparison(self.store, spec, owner, len(self.sweeper.queues)):
                whole = _Comparison(self, spec, owner)
                self._ended[spec.comparison_id, owner] = in_thread(whole.run, f"comparison {spec.comparison_id}")
        return spec.comparison_id

    def resume(self) -> list[str]:
        """Take up every comparison that a process which is gone left under way; their ids."""
        found = table.unfinished(self.store)
        for row in found:
            if row.state == "stopping":
                table.end(self.store, row.comparison_id, row.owner, "stopped", "Stopped by you.")
            else:
                self.start(row.spec, row.owner)
        return [row.comparison_id for row in found if row.state == "running"]

    def stop(self, comparison_id: str, owner: str) -> str:
        """Stop this owner's comparison within a step; one sentence on what that did."""
        if table.stop(self.store, comparison_id, owner):
            return "Stopping after the step under way; what is done stays."
        return "This comparison is somebody else's, or has ended."

    def wait(self, comparison_id: str, owner: str, timeout_s: float | None = None) -> bool:
        """Block until this comparison has ended; False where the time ran out first."""
        ended = self._ended.get((comparison_id, owner))
        return ended is None or ended.wait(timeout_s)


class _Comparison:
    """One comparison under way."""

    def __init__(self, comparer: Comparer, spec: ComparisonSpec, owner: str):
        self.sweeper, self.store, self.spec, self.owner = comparer.sweeper, comparer.store, spec, owner

    def run(self) -> None:
        state: State = "finished"
        sentence = ""
        try:
            for run in self._fitted():
                self._sweep(run)
        except Stopped as error:
            state, sentence = "stopped", str(error)
        except SpecError as error:
            state, sentence = "failed", str(error)
        except Exception as error:  # the comparison's failure is its own; its runs are in the store
            log.exception("comparison %s", self.spec.comparison_id)
            state, sentence = "failed", f"{type(error).__name__}: {str(error)[:300]}"
        if self.sweeper.closed:
            return  # stays "running": who opens the lab next resumes it
        table.end(self.store, self.spec.comparison_id, self.owner, state, sentence)

    def _fitted(self) -> list[RunSpec]:
        """The runs within the budget."""
        row = table.find(self.store, self.spec.comparison_id, self.owner)
        fits = list(row.fits) if row else []
        if not fits:
            if self.spec.budget.kind != "parameters":  # there the runs are not those that were asked for
                self._measure_all()
            fits = budgets.fit(self.spec, self._measure)
            table.set_fits(self.store, self.spec.comparison_id, self.owner, fits)
        return budgets.fitted(fits)

    def _measure_all(self) -> None:
        """What was asked for, on every queue at once; what cannot be measured is met again by the budget, which says so."""

        def measure(numbered: tuple[int, RunSpec]) -> None:
            with contextlib.suppress(budgets.Unmeasurable, Stopped):
                self._measure(numbered[1], numbered[0])

        with ThreadPoolExecutor(len(self.sweeper.queues), "measure") as pool:
            list(pool.map(measure, enumerate(self.spec.runs)))

    def _measure(self, run: RunSpec, number: int = 0) -> Calibration:
        """Two steps of a run, where they were not taken here before. Raises `Unmeasurable` where they cannot be taken."""
        if known := calibrated.known(self.store, run):
            return known
        key = self._ask(CalibrateSpec(run=run), self.sweeper.queues[number % len(self.sweeper.queues)])
        while not (entry := self.store.entry(*key)) or not entry.ended:
            if why := self._over():
                self.store.leave(key, self.owner)
                raise Stopped(why)
            time.sleep(POLL_S)
        if found := calibrated.known(self.store, run):  # kept by who measured it
            return found
        last = self.store.events(key)[-1].event
        raise budgets.Unmeasurable(
            last.cause if isinstance(last, events.Failed) else "Its first steps could not be taken."
        )

    def _ask(self, question: CalibrateSpec, queue: Jobs) -> Key:
        while True:
            if why := self._over():
                raise Stopped(why)
            try:
                return queue.ask(question, self.owner).key
            except QueueFull:
                time.sleep(1.0)

    def _sweep(self, run: RunSpec) -> None:
        """One method to its end: its rates, then its seeds. Raises `Stopped`."""
        if why := self._over():
            raise Stopped(why)
        sweep_id = self.sweeper.start(part(self.spec, run), self.owner)
        while not self.sweeper.wait(sweep_id, self.owner, POLL_S):
            if why := self._over():
                self.sweeper.stop(sweep_id, self.owner)
                self.sweeper.wait(sweep_id, self.owner, 120)
                raise Stopped(why)

    def _over(self) -> str:
        if self.sweeper.closed:
            return "The lab was closed."
        if table.state(self.store, self.spec.comparison_id, self.owner) != "running":
            return "Stopped by you; what is done stays."
        return ""
