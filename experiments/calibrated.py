"""What two steps of a run said before it started: kept as a fact of this machine."""

from __future__ import annotations

import hashlib
import json

from pydantic import BaseModel, ConfigDict

from experiments.specs import RunSpec
from experiments.store import Store


class Calibration(BaseModel):
    """Seconds of a step, of the looks around all of them and of one look on the way; the highest memory of a step in 10⁶ bytes."""

    model_config = ConfigDict(frozen=True)
    a_step_s: float
    around_s: float
    peak_mb: float
    context_tokens: int = 0
    look_s: float = 0.0

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
