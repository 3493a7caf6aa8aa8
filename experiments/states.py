"""Where the states of trainings lie, and what is said of each, without torch: what `engine.checkpoints` writes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

FOLDER, STATE, TENSORS = "checkpoints", "state.json", "state.safetensors"
NEEDED = {"final", "made_with", "spec", "step", "history"}


def read(folder: Path, run_id: str) -> dict[str, Any] | None:
    """What is said of a run's state in this folder of states; None where there is none that can be read."""
    try:
        said = json.loads((folder / run_id / STATE).read_text("utf8"))
        return said if isinstance(said, dict) and said.keys() >= NEEDED else None
    except (OSError, ValueError):
        return None


def goes_on(home: Path, run_id: str) -> bool:
    """Whether this finished run can be trained longer in the lab at `home`."""
    said = read(home / FOLDER, run_id)
    return said is not None and bool(said["final"])
