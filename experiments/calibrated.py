"""What two steps of a run said before it started: kept as a fact of this machine, and held against the memory there is."""

from __future__ import annotations

import hashlib
import json

import psutil
from pydantic import BaseModel, ConfigDict

from experiments.specs import RunSpec
from experiments.store import Store

SPARE_MB = 200.0  # left to the system and the page


class Calibration(BaseModel):
    """Seconds of a step and of the looks around all of them; the highest memory of a step in 10⁶ bytes."""

    model_config = ConfigDict(frozen=True)
    a_step_s: float
    around_s: float
    peak_mb: float
    context_tokens: int = 0

    def seconds(self, steps: int) -> float:
        """What a run of so many steps takes."""
        return steps * self.a_step_s + self.around_s


def key(spec: RunSpec) -> str:
    """The same for runs that take the same a step: all but the steps, the rate and the seed."""
    same = spec.model_dump(
        mode="json", exclude={"seed": True, "start": True, "train": {"steps", "learning_rate", "warmup"}}
    )
    return "calibration|" + hashlib.sha256(json.dumps(same, sort_keys=True).encode()).hexdigest()[:16]


def keep(store: Store, spec: RunSpec, found: Calibration) -> None:
    store.remember(key(spec), found.model_dump())


def known(store: Store, spec: RunSpec) -> Calibration | None:
    """What was measured for such a run here, None where nothing was."""
    said = store.recall(key(spec))
    return Calibration.model_validate(said) if said else None


def free_mb() -> float:
    """Memory that a run could have now, in 10⁶ bytes."""
    return psutil.virtual_memory().available / 1e6


def refusal(needed_mb: float, here_mb: float, batch_size: int) -> str:
    """Why a run that needs so much memory cannot start where there is so much; empty where it can."""
    if needed_mb + SPARE_MB <= here_mb:
        return ""
    what = "a smaller batch or a lighter method" if batch_size > 1 else "a lighter method or a smaller model"
    return f"This run needs {needed_mb:,.0f} MB at its highest and {here_mb:,.0f} MB are free: choose {what}."
