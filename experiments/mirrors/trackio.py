"""Trackio: a local database below `trackio/`, or the Space that TRACKIO_SPACE_ID names."""

from __future__ import annotations

import contextlib
import contextvars
import os
import sys
from pathlib import Path
from typing import Any

from experiments.mirrors.base import Mirror


class TrackioSink:
    def __init__(self, name: str, config: dict[str, Any], folder: Path):
        os.environ.setdefault("TRACKIO_DIR", str(folder / "trackio"))  # read when it is imported
        if not os.environ.get("TRACKIO_SPACE_ID"):
            os.environ.pop("TRACKIO_SPACE_ID", None)  # an empty one is taken for a Space, too
        import trackio

        quiet = {"embed": False, "auto_log_gpu": False, "auto_log_cpu": False}
        with contextlib.redirect_stdout(sys.stderr):
            # a context of its own, or the second run of a race would end the first
            begin = contextvars.Context().run
            self._run = begin(lambda: trackio.init("fine-tuning-lab", name=name, config=config, **quiet))

    def write(self, step: int, values: dict[str, float]) -> None:
        self._run.log(values, step=step)

    def close(self) -> None:
        with contextlib.redirect_stdout(sys.stderr):
            self._run.finish()


MIRROR = Mirror("trackio", "Trackio", "trackio", TrackioSink)
