"""TensorBoard: event files below `tensorboard/`, one folder a run. Nothing leaves the machine."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from experiments.mirrors.base import Mirror


class TensorBoardSink:
    def __init__(self, name: str, config: dict[str, Any], folder: Path):
        from torch.utils.tensorboard import SummaryWriter

        self._writer = SummaryWriter(folder / "tensorboard" / name)
        self._writer.add_text("spec", f"```json\n{json.dumps(config, indent=1)}\n```")

    def write(self, step: int, values: dict[str, float]) -> None:
        for name, value in values.items():
            self._writer.add_scalar(name, value, step)

    def close(self) -> None:
        self._writer.close()


MIRROR = Mirror("tensorboard", "TensorBoard", "tensorboard", TensorBoardSink)
