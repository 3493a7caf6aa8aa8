"""Fetching a resource in a thread of its own, so that it is here when it is wanted; anyone may ask how far it is.

A resource is fetched once at a time, and once more where it failed and is asked for later. Knows nothing of pages or runs; a
run that wants the same resource meanwhile waits for the same making (`cache.make_once`).
"""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field

from experiments.catalog import resources
from experiments.catalog.cache import ResourceError
from experiments.catalog.resources import Resource

PATIENCE_S = 30.0  # after so long what failed is tried again, if it is asked for


@dataclass
class Fetching:
    """One fetching. `done`, `total`: bytes, `total` None where it is unknown; `problem`: why it failed, one sentence."""

    stage: str = "asking"
    done: int = 0
    total: int | None = None
    ended: bool = False
    problem: str | None = None
    since: float = field(default_factory=time.monotonic)

    @property
    def sentence(self) -> str:
        """How it stands, for a person."""
        if self.problem:
            return f"It could not be fetched: {self.problem}"
        if self.ended:
            return "It is here, and is made ready when the first run starts."
        how_far = f" {self.done / 1e6:,.0f} of {self.total / 1e6:,.0f} MB" if self.total else f" {self.stage}"
        return f"It is being fetched in the background:{how_far}."


@dataclass
class Background:
    """The fetchings of this process by the resource's name."""

    fetchings: dict[str, Fetching] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def bring(self, resource: Resource) -> Fetching:
        """Begin to fetch a resource, or say how far it is."""
        with self._lock:
            known = self.fetchings.get(resource.name)
            if known and not (known.problem and time.monotonic() - known.since > PATIENCE_S):
                return known
            begun = self.fetchings[resource.name] = Fetching()
        threading.Thread(target=self._fetch, args=(resource, begun), name=f"fetch {resource.name}", daemon=True).start()
        return begun

    def _fetch(self, resource: Resource, fetching: Fetching) -> None:
        def report(stage: str, done: int, total: int | None) -> None:
            fetching.stage, fetching.done, fetching.total = stage, done, total

        try:
            resources.get(resource, report)
        except ResourceError as error:
            fetching.problem = str(error)
        fetching.ended = True
