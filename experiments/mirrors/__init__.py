"""Trackers that a run's numbers are sent on to, where one is installed and asked for by name (LAB_MIRRORS, `--mirror`).

A mirror never disturbs a run: one that fails is left out from there on, and the log says why.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from experiments import events
from experiments.mirrors import tensorboard, trackio, wandb
from experiments.mirrors.base import Mirror, Sink, values
from experiments.specs import RunSpec
from experiments.store import Key

MIRRORS: tuple[Mirror, ...] = (trackio.MIRROR, tensorboard.MIRROR, wandb.MIRROR)
log = logging.getLogger(__name__)


def find(names: Iterable[str]) -> tuple[Mirror, ...]:
    """The mirrors of these names. Raises `ValueError` for one that there is not, or that is not installed."""
    known = {mirror.key: mirror for mirror in MIRRORS}
    for name in (found := [name.strip() for name in names if name.strip()]):
        if name not in known:
            raise ValueError(f"There is no mirror “{name[:40]}”; there are {', '.join(known)}.")
        if not known[name].installed:
            raise ValueError(f"{known[name].title} is not installed here: pip install {known[name].package}.")
    return tuple(known[name] for name in dict.fromkeys(found))


def asked() -> tuple[Mirror, ...]:
    """Those that LAB_MIRRORS names. Raises `ValueError`."""
    return find(os.environ.get("LAB_MIRRORS", "").split(","))


class Feed:
    """One run in its mirrors. `tell` is called with every event, the end closes it."""

    def __init__(self, mirrors: Sequence[Mirror], spec: RunSpec, key: Key, folder: Path):
        self._step = 0
        self._sinks: dict[str, Sink] = {}
        name, config = f"{spec.method}-{key.run_id}-{key.attempt}", spec.model_dump(mode="json")
        for mirror in mirrors:
            try:
                self._sinks[mirror.key] = mirror.open(name, config, folder)
            except Exception:
                log.exception("mirror %s", mirror.key)

    def tell(self, event: events.Event) -> None:
        self._step = getattr(event, "step", self._step)
        if found := values(event):
            self._each(lambda sink: sink.write(self._step, found))
        if isinstance(event, events.END):
            self._each(lambda sink: sink.close())

    @property
    def working(self) -> list[str]:
        """The mirrors that took everything so far."""
        return list(self._sinks)

    def _each(self, do: Callable[[Sink], None]) -> None:
        for name, sink in list(self._sinks.items()):
            try:
                do(sink)
            except Exception:
                log.exception("mirror %s", name)
                del self._sinks[name]
