"""`python -m experiments …` in a process of its own, forked from one that has imported torch and what stands on it: 0.2 s instead of 8.

For tests of what a command says and does. Those of what befalls its process (killed, interrupted, another hub) start it the usual way.
"""

from __future__ import annotations

import multiprocessing
import os
import runpy
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

ROOT = Path(__file__).parents[1]
FORKS = multiprocessing.get_context("forkserver")
FORKS.set_forkserver_preload(["experiments.commands", "experiments.engine.execution", "experiments.engine.trainers"])
STREAMS = {"in": os.O_RDONLY, "out": os.O_WRONLY | os.O_CREAT, "err": os.O_WRONLY | os.O_CREAT}


def call(
    *words: str, environment: Mapping[str, str], given: str = "", timeout_s: float = 280
) -> subprocess.CompletedProcess[str]:
    """What `subprocess.run` of that command would return, `given` to its standard input. Raises `subprocess.TimeoutExpired`."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "in").write_text(given, "utf8")
        process = FORKS.Process(target=_command, args=(words, {**os.environ, **environment}, folder))
        process.start()
        process.join(timeout_s)
        if process.is_alive():
            process.kill()
            raise subprocess.TimeoutExpired(list(words), timeout_s)
        told = [Path(folder, name).read_text("utf8") for name in ("out", "err")]
        return subprocess.CompletedProcess(words, process.exitcode or 0, *told)


def _command(words: Sequence[str], environment: Mapping[str, str], folder: str) -> None:
    for number, (name, how) in enumerate(STREAMS.items()):
        os.dup2(os.open(Path(folder, name), how), number)
    sys.stdin = open(0, encoding="utf8", closefd=False)  # noqa: SIM115 - multiprocessing has closed it
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(ROOT)
    sys.argv = ["experiments", *words]
    runpy.run_module("experiments", run_name="__main__")
