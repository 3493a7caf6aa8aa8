"""What a mirror is: a run's numbers, sent on as they come to a tracker that somebody has already."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from experiments import events


class Sink(Protocol):
    """One run in one tracker: numbers at a step, then the end."""

    def write(self, step: int, values: dict[str, float]) -> None: ...

    def close(self) -> None: ...


@dataclass(frozen=True)
class Mirror:
    """One tracker. `open(name, config, folder)` begins a run in it; what it keeps on this machine goes below `folder`."""

    key: str
    title: str
    package: str
    open: Callable[[str, dict[str, Any], Path], Sink]

    @property
    def installed(self) -> bool:
        return importlib.util.find_spec(self.package) is not None


def values(event: events.Event) -> dict[str, float]:
    """The numbers of an event under names like `train/loss`; {} where it tells none."""
    match event:
        case events.Stepped():
            found = {
                "train/loss": event.loss,
                "train/gradient_norm": event.gradient_norm,
                "train/seconds": event.train_s,
            }
            found["train/learning_rate"] = event.learning_rate
        case events.Evaluated():
            found = {"loss": event.held_out_loss, "general_loss": event.general_loss, **(event.metrics or {})}
            found = {f"held_out/{event.subject}/{name}": value for name, value in found.items()}
        case events.Finished():
            found = {"peak_mb": event.peak_mb, "elapsed_s": event.elapsed_s}
        case _:
            return {}
    return {name: value for name, value in found.items() if value is not None}
