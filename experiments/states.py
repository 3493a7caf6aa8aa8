"""Where the states of trainings lie, and the adapters kept at their looks, without torch: what `engine.checkpoints` writes."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

FOLDER, STATE, TENSORS = "checkpoints", "state.json", "state.safetensors"
LOOKS = "looks"
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


def looks(home: Path, run_id: str) -> list[int]:
    """The steps of a run at which its adapter was kept, besides the end."""
    folder = home / LOOKS / run_id
    return sorted(int(f.name) for f in folder.iterdir() if f.name.isdecimal()) if folder.is_dir() else []


def drop(home: Path, run_id: str) -> None:
    """Throw away all of it: the run cannot be gone on from or asked along its way any more."""
    for name in (FOLDER, LOOKS):
        shutil.rmtree(home / name / run_id, ignore_errors=True)
