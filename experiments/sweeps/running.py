"""Carries sweeps out: a client of the queue like any other, which asks for one cell after the other. No torch, no handler.

`Sweeper(store, queues, home)` has a thread for each sweep under way and one of its cells at a time in each queue, so that others
who use the lab get their turn between two cells. It promises: what is stored is not trained again; a cell that diverges or
fails is marked and the sweep goes on; a worker that was killed costs its cells one retry; Stop keeps what is done; `resume`
takes up what a process that is gone left. With halving the cells of a wave are one race, and wait for each other at no rung:
one that is not wanted any more hears it within a step.
"""

from __future__ import annotations

import logging
import math
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

from experiments import access, events, states
from experiments.jobs import Jobs, QueueFull
from experiments.specs import RunSpec, SpecError
from experiments.store import Key, Store
from experiments.sweeps import halving, table
from experiments.sweeps.expansion import Point, expand, point
from experiments.sweeps.race import Race
from experiments.sweeps.search import Tpe, waves
from experiments.sweeps.spec import SweepSpec

log = logging.getLogger(__name__)
WAVE = 16  # cells that race: each keeps its own optimizer and gradients in memory
POLL_S = 0.05
DEATH = "The worker process"
"""How the cause of a run begins whose worker died: see `workers`."""


class Stopped(Exception):
    """The sweep is not wanted any more, or its time is over; the sentence says which."""


class Sweeper:
    """Runs the sweeps of a lab on its queues: one in the app, one a worker on the command line."""

    def __init__(self, store: Store, queues: Sequence[Jobs], home: Path):
        self.store, self.queues, self.home = store, tuple(queues), home
        self._ended: dict[tuple[str, str], threading.Event] = {}
        self._lock = threading.Lock()
        self._closed = False

    def start(self, spec: SweepSpec, owner: str) -> str:
        """Begin a sweep, or take it up again; its id. One that is under way goes on as it is. Raises `SpecError`."""
        access.require_rows(spec.base, owner)
        expand(spec)
        with self._lock:
            if table.open_sweep(self.store, spec, owner):
                self._begin(spec, owner)
        return spec.sweep_id

    def resume(self) -> list[str]:
        """Take up every sweep that a process which is gone left under way; their ids."""
        found = table.unfinished(self.store)
        for row in found:
            if row.state == "stopping":
                table.end(self.store, row.sweep_id, row.owner, "stopped", "Stopped by you.")
            else:
                self.start(row.spec, row.owner)
        return [row.sweep_id for row in found if row.state == "running"]

    def stop(self, sweep_id: str, owner: str) -> str:
        """Stop this owner's sweep within a step; one sentence on what that did. What is done stays."""
        if table.stop(self.store, sweep_id, owner):
            return "Stopping after the step under way; what is done stays."
        return "This sweep is somebody else's, or has ended."

    def wait(self, sweep_id: str, owner: str, timeout_s: float | None = None) -> bool:
        """Block until this sweep has ended; False where the time ran out first."""
        ended = self._ended.get((sweep_id, owner))
        return ended is None or ended.wait(timeout_s)

    def close(self) -> None:
        """Leave the sweeps as they are, to be resumed."""
        self._closed = True

    @property
    def closed(self) -> bool:
        """Whether sweeps end here, to be resumed by who opens the lab next: a queue that is closed carries nothing out."""
        return self._closed or any(queue.closed for queue in self.queues)

    def _begin(self, spec: SweepSpec, owner: str) -> None:
        self._ended[spec.sweep_id, owner] = in_thread(_Sweep(self, spec, owner).run, f"sweep {spec.sweep_id}")


def in_thread(run: Callable[[], None], name: str) -> threading.Event:
    """Run it in a thread of its own; the event says that it has ended. Not by `join`: Ctrl-C in one takes the thread for ended."""
    ended = threading.Event()

    def to_its_end() -> None:
        try:
            run()
        finally:
            ended.set()

    threading.Thread(target=to_its_end, name=name, daemon=True).start()
    return ended


class _Sweep:
    """One sweep under way."""

    def __init__(self, sweeper: Sweeper, spec: SweepSpec, owner: str):
        self.sweeper, self.store, self.spec, self.owner = sweeper, sweeper.store, spec, owner
        self.began = time.monotonic()
        self.at_rung: dict[int, list[float]] = {}
        self.lost: dict[str, tuple[float, int]] = {}
        """Of what was pruned, its loss and the step it got to."""

    def run(self) -> None:
        state: table.State = "finished"
        sentence = ""
        try:
            self._search() if self.spec.search == "tpe" else self._all()
        except Stopped as error:
            state, sentence = "stopped", str(error)
        except SpecError as error:
            state, sentence = "failed", str(error)
        except Exception as error:  # the sweep's failure is its own; its runs are in the store
            log.exception("sweep %s", self.spec.sweep_id)
            state, sentence = "failed", f"{type(error).__name__}: {str(error)[:300]}"
        if self.sweeper.closed:
            return  # stays "running": who opens the lab next resumes it
        for cell in table.cells(self.store, self.spec.sweep_id, self.owner):
            if self.store.entry(cell.run_id) is None:
                self._mark(cell.run_id, "skipped")
        table.end(self.store, self.spec.sweep_id, self.owner, state, sentence)

    # which cells

    def _all(self) -> None:
        points = list(expand(self.spec).points)
        self._add(points)
        if self.spec.prune == "none":
            self._each(points)
            return
        first = [p for p in points if p.seed == self.spec.seeds[0]]
        self._halve(first)
        kept = [p for p in first if self._loss(p) is not None]
        self._again(kept)

    def _search(self) -> None:
        study, tried = Tpe(self.spec, self.owner, self.sweeper.home), list[Point]()
        together = WAVE // 2 if self.spec.prune == "halving" else len(self.sweeper.queues)
        while study.done < self.spec.trials:
            asked = study.ask(min(together, self.spec.trials - study.done))
            if not asked:
                break
            self._add(asked)
            self._halve(asked) if self.spec.prune == "halving" else self._each(asked)
            for p in asked:
                run_id, loss = p.spec.run_id, self._loss(p)
                at, step = self.lost.get(run_id, (None, 0))
                study.tell(run_id, loss if loss is not None else at, loss is None and at is not None, step)
            tried += asked
        tried = list({p.spec.run_id: p for p in tried}.values())
        best = sorted((p for p in tried if self._loss(p) is not None), key=lambda p: self._loss(p) or 0.0)
        self._again(best[: math.ceil(len(best) / halving.KEEP_ONE_OF)])

    def _again(self, kept: Sequence[Point]) -> None:
        """The further seeds of settings that the first one spoke for."""
        further = [point(self.spec, p.values, seed) for seed in self.spec.seeds[1:] for p in kept]
        self._add(further)
        self._each(further)

    # carrying them out

    def _each(self, points: Sequence[Point]) -> None:
        """Every cell to its end, one at a time in each queue."""
        waiting = iter(points)
        lock = threading.Lock()

        def work(queue: Jobs) -> None:
            while True:
                with lock:
                    p = next(waiting, None)
                if p is None:
                    return
                self._carry_out(queue, [p.spec])

        self._on_every_queue([partial(work, queue) for queue in self.sweeper.queues])

    def _halve(self, points: Sequence[Point]) -> None:
        """Waves of cells, each a race in which the hopeless are stopped at the rungs."""
        queues = self.sweeper.queues
        for wave in waves(self._not_pruned(points), WAVE * len(queues)):
            runs = {p.spec.run_id for p in wave}
            look = Race(self.store, self.spec.base.train, runs, self.at_rung, self.lost, self._prune).look
            parts = [[p.spec for p in wave[i :: len(queues)]] for i in range(len(queues))]
            pairs = zip(queues, parts, strict=True)
            self._on_every_queue([partial(self._carry_out, queue, part, look) for queue, part in pairs])
            for run_id in self.lost:
                states.drop(self.sweeper.home, run_id)  # nobody goes on from what was hopeless

    def _not_pruned(self, points: Sequence[Point]) -> list[Point]:
        """What this sweep, taken up again, did not stop before; the losses of the others count at the rungs they got to."""
        rows = table.cells(self.store, self.spec.sweep_id, self.owner)
        pruned = {row.run_id for row in rows if row.mark == "pruned"}
        rungs = halving.rungs(self.spec.base.train)
        for run_id in pruned:
            for look in self._looks(run_id):
                if look.step in rungs and look.held_out_loss is not None:
                    self.at_rung.setdefault(look.step, []).append(look.held_out_loss)
                    self.lost[run_id] = (look.held_out_loss, look.step)
        return [p for p in points if p.spec.run_id not in pruned]

    def _on_every_queue(self, works: Sequence[Callable[[], None]]) -> None:
        with ThreadPoolExecutor(len(works), "sweep") as pool:
            for done in [pool.submit(work) for work in works]:
                done.result()

    def _carry_out(
        self, queue: Jobs, specs: Sequence[RunSpec], look: Callable[[dict[str, Key]], None] | None = None
    ) -> None:
        """These cells to their ends; those whose worker died once more. Raises `Stopped`."""
        keys = self._ask(queue, specs, look)
        died = [s for s in specs if self._died(keys[s.run_id])]
        for spec in died:
            self._mark(spec.run_id, "retried")
            self._ask(queue, [spec], None)

    def _ask(
        self, queue: Jobs, specs: Sequence[RunSpec], look: Callable[[dict[str, Key]], None] | None
    ) -> dict[str, Key]:
        keys = self._submit(queue, specs)
        while not queue.wait(list(keys.values()), POLL_S) or not all(self._ended(k) for k in keys.values()):
            if look:
                look(keys)
            if self.sweeper.closed:
                raise Stopped("The lab was closed.")
            if why := self._over():
                queue.cancel(list(keys.values()), self.owner)
                queue.wait(list(keys.values()), 60)
                raise Stopped(why)
            time.sleep(POLL_S)
        if look:
            look(keys)
        return keys

    def _submit(self, queue: Jobs, specs: Sequence[RunSpec]) -> dict[str, Key]:
        while True:
            if why := self._over():
                raise Stopped(why)
            if not specs:
                return {}
            try:
                return {t.key.run_id: t.key for t in queue.submit(specs, self.owner)}
            except QueueFull:
                time.sleep(1.0)

    def _over(self) -> str:
        if self.sweeper.closed:
            return "The lab was closed."
        if table.state(self.store, self.spec.sweep_id, self.owner) != "running":
            return "Stopped by you; what is done stays."
        if self.spec.budget_s and time.monotonic() - self.began > self.spec.budget_s:
            return f"The time budget of {self.spec.budget_s:g} s is over."
        return ""

    # what became of them

    def _add(self, points: Sequence[Point]) -> None:
        rows = [(p.spec.run_id, p.spec.model_dump_json()) for p in points]
        table.add_cells(self.store, self.spec.sweep_id, self.owner, rows)

    def _mark(self, run_id: str, said: table.Mark) -> None:
        table.mark(self.store, self.spec.sweep_id, self.owner, run_id, said)

    def _prune(self, key: Key) -> None:
        self._mark(key.run_id, "pruned")
        self.store.leave(key, self.owner)

    def _ended(self, key: Key) -> bool:
        entry = self.store.entry(*key)
        return entry is not None and entry.ended

    def _died(self, key: Key) -> bool:
        rows = self.store.events(key)
        return bool(rows) and isinstance(rows[-1].event, events.Failed) and rows[-1].event.cause.startswith(DEATH)

    def _loss(self, p: Point) -> float | None:
        """The held-out loss of a cell that went to its end."""
        entry = self.store.entry(p.spec.run_id)
        if entry is None or entry.last != "finished":
            return None
        return next((look.held_out_loss for look in reversed(self._looks(p.spec.run_id))), None)

    def _looks(self, run_id: str) -> list[events.Evaluated]:
        """What was seen of a run's own model, its latest attempt."""
        entry = self.store.entry(run_id)
        told = [row.event for row in self.store.events(entry.key)] if entry else []
        return [e for e in told if isinstance(e, events.Evaluated) and e.subject == "tuned"]
