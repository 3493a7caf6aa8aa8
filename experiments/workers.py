"""Executors: the parent's side of the worker process, and one that works in this process. Free of torch until used.

A hosted ZeroGPU Space and a cluster will be two more classes with the same three methods.
"""

from __future__ import annotations

import itertools
import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

from experiments import fitting
from experiments.jobs import Job
from experiments.specs import RunSpec
from experiments.store import Store


class WorkerDied(RuntimeError):
    """The worker process ended in the middle of a job; the message says how."""


class Inline:
    """Carries jobs out in this process, in the calling thread: for the command line and tests."""

    def __init__(self, store: Store, home: Path):
        self.store, self.home = store, home
        self._engine: Any = None

    def run(self, job: Job) -> None:
        if self._engine is None:
            from experiments.engine.execution import Engine

            self._engine = Engine(self.store, self.home)
        self._engine.execute(job)

    def warm(self, model: str) -> None:
        """Nothing: what is loaded here is loaded when it is asked for."""

    def close(self) -> None:
        self._engine = None


def several(home: Path, count: int) -> list[WorkerProcess]:
    """So many worker processes that share the cores; one alone has the threads that torch, or OMP_NUM_THREADS, gives it."""
    threads = max(1, fitting.cores() // count) if count > 1 else None
    return [WorkerProcess(home, f"worker-{i}", threads) for i in range(count)]


class WorkerProcess:
    """One warm worker process, started on first use and again whenever it died. Its log is `worker.log` in the home folder.

    Of several, each has a `name` for its log, and `threads` of its own; None leaves them to torch.
    """

    def __init__(self, home: Path, name: str = "worker", threads: int | None = None):
        self.home, self.name, self.log = home, name, home / f"{name}.log"
        self.threads = threads
        self._lock = threading.Lock()
        self._process: subprocess.Popen[str] | None = None
        self._open: dict[int, threading.Event] = {}
        self._deaths: dict[int, str] = {}
        self._told: dict[int, float] = {}
        self._ids = itertools.count()
        self._warm: str | None = None
        self._closed = False

    def run(self, job: Job) -> None:
        """Hand a job over and wait for its end. Raises `WorkerDied`."""
        number, ended = self._send({"kind": job.kind, "keys": [list(key) for key in job.keys]})
        ended.wait()
        if cause := self._deaths.pop(number, None):
            raise WorkerDied(cause)

    def pace(self, run: RunSpec, threads: int, seconds: float) -> float | None:
        """Tokens a second of this run's steps, over so many seconds, on so many threads, which are this worker's from now on; None
        where it cannot be trained here. Raises `WorkerDied`."""
        self.threads = threads
        asked = {"kind": "pace", "run": run.model_dump_json(), "threads": threads, "seconds": seconds}
        number, ended = self._send(asked)
        ended.wait()
        if cause := self._deaths.pop(number, None):
            raise WorkerDied(cause)
        return self._told.pop(number, None)

    def warm(self, model: str) -> None:
        """Load a model before anybody asks; returns at once."""
        self._warm = model
        self._send({"kind": "warm", "model": model})

    @property
    def pid(self) -> int | None:
        process = self._process
        return process.pid if process and process.poll() is None else None

    def close(self) -> None:
        """End the worker; what it was doing is lost from the last event on."""
        self._closed = True
        process = self._process
        if process and process.poll() is None:
            process.kill()
            process.wait(10)

    def _send(self, command: dict[str, Any]) -> tuple[int, threading.Event]:
        number, ended = next(self._ids), threading.Event()
        with self._lock:
            if self._closed:
                raise WorkerDied("The lab is shutting down.")
            process = self._running()
            self._open[number] = ended
            try:
                assert process.stdin is not None
                process.stdin.write(json.dumps({**command, "id": number}) + "\n")
                process.stdin.flush()
            except OSError:  # it died just now: its watcher reports that for every open job
                pass
        return number, ended

    def _running(self) -> subprocess.Popen[str]:
        if self._process is None:
            self.home.mkdir(parents=True, exist_ok=True)
            environment = {**os.environ, "TOKENIZERS_PARALLELISM": "false", "PYTHONUNBUFFERED": "1"}
            if self.threads:
                environment["OMP_NUM_THREADS"] = str(self.threads)
            with self.log.open("w") as log:
                self._process = subprocess.Popen(
                    [sys.executable, "-m", "experiments.engine.worker", str(self.home)],
                    stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True, env=environment,
                    cwd=Path(__file__).parents[1],
                )  # fmt: skip
            threading.Thread(target=self._watch, args=(self._process,), name="worker-watch", daemon=True).start()
        return self._process

    def _watch(self, process: subprocess.Popen[str]) -> None:
        """Pass on what the worker finished; when it dies, fail its jobs and start the next one."""
        assert process.stdout is not None
        for line in process.stdout:
            said = json.loads(line)
            if "told" in said:
                self._told[said["done"]] = said["told"]
            if ended := self._open.pop(said["done"], None):
                ended.set()
        cause = self._cause(process.wait())
        with self._lock:
            self._process = None
            lost, self._open = self._open, {}
        for number, ended in lost.items():
            self._deaths[number] = cause
            ended.set()
        if self._warm and lost and not self._closed:
            self.warm(self._warm)

    def _cause(self, code: int) -> str:
        if code == -signal.SIGKILL:
            return "The worker process was killed, most often because memory ran out."
        if code < 0:
            return f"The worker process was ended by {signal.Signals(-code).name}."
        lines = self.log.read_text("utf8", errors="replace").strip().splitlines()
        return f"The worker process ended: {lines[-1][:300] if lines else f'exit status {code}'}."
