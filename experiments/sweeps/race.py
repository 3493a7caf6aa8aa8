"""The race of one wave: which cells have reached which rung with what loss, and which of them stop there."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Collection

from experiments import events
from experiments.recipe import TrainSettings
from experiments.store import Key, Store
from experiments.sweeps import halving


class Race:
    """`at_rung`: the losses of earlier waves at each rung, to which this one's come; `lost`: of what stops its loss and its step,
    filled here. `prune` is called for a run that stops and ends it within a step."""

    def __init__(
        self,
        store: Store,
        train: TrainSettings,
        runs: Collection[str],
        at_rung: dict[int, list[float]],
        lost: dict[str, tuple[float, int]],
        prune: Callable[[Key], None],
    ):
        self.store, self.live, self.at_rung, self.lost, self.prune = store, set(runs), at_rung, lost, prune
        self.rungs = halving.rungs(train)
        self.losses: dict[int, dict[str, float | None]] = {step: {} for step in self.rungs}
        self._seen: dict[Key, int] = {}
        self._lock = threading.Lock()

    def look(self, keys: dict[str, Key]) -> None:
        """Take in what these runs told since; where all that are left have reached a rung, stop the hopeless."""
        with self._lock:
            for run_id, key in keys.items():
                self._take_in(run_id, key)
            while self.rungs and all(run in self.losses[self.rungs[0]] for run in self.live):
                self._decide(self.rungs.pop(0))

    def _take_in(self, run_id: str, key: Key) -> None:
        for row in self.store.events(key, self._seen.get(key, -1)):
            self._seen[key] = row.seq
            event = row.event
            if isinstance(event, events.Evaluated) and event.subject == "tuned" and event.step in self.losses:
                self.losses[event.step][run_id] = event.held_out_loss
            if isinstance(event, events.Failed | events.Cancelled | events.Interrupted):
                self.live.discard(run_id)

    def _decide(self, step: int) -> None:
        losses = {run: loss for run, loss in self.losses[step].items() if run in self.live}
        before = self.at_rung.setdefault(step, [])
        for run_id in halving.hopeless(losses, before):
            entry = self.store.entry(run_id)
            if entry is None or entry.last == "finished":
                continue  # it was stored, or was quicker than this: its result counts
            self.live.discard(run_id)
            self.lost[run_id] = (losses[run_id] or math.inf, step)
            self.prune(entry.key)
        before += [loss for loss in losses.values() if loss is not None]
