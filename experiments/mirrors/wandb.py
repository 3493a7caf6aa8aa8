"""Weights & Biases: offline files below `wandb/`; sent on only where WANDB_MODE=online says so."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from experiments.mirrors.base import Mirror


class WandbSink:
    def __init__(self, name: str, config: dict[str, Any], folder: Path):
        import wandb

        folder.mkdir(parents=True, exist_ok=True)
        self._run = wandb.init(
            project="fine-tuning-lab", name=name, config=config, dir=folder, reinit="create_new",
            mode="online" if os.environ.get("WANDB_MODE") == "online" else "offline",
            settings=wandb.Settings(silent=True, console="off", disable_git=True, save_code=False),
        )  # fmt: skip

    def write(self, step: int, values: dict[str, float]) -> None:
        self._run.log(values, step=step)

    def close(self) -> None:
        self._run.finish()


MIRROR = Mirror("wandb", "Weights & Biases", "wandb", WandbSink)
