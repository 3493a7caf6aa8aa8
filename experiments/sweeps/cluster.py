"""Runs on a Ray cluster: an executor like the others, whose trials are `run(spec)` on some node and whose events come back here.

Ray places them, and starts one again whose node was lost; a run is a pure function of its spec, so it tells the same events again,
and what is in the store already is passed over. The lab is installed on every node and fetches its models there; the adapter comes
back as files. How many processors and GPUs a trial takes are settings. Free of torch and of Ray until used.
"""

from __future__ import annotations

import socket
import tempfile
import threading
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from experiments import events
from experiments.jobs import Job
from experiments.specs import RunSpec
from experiments.store import Key, Store

RETRIES = 3
POLL_S = 0.2
ANSWER_S = 5.0
_joining = threading.Lock()
"""Held by the one executor of several that joins the cluster for this process."""


class RayExecutor:
    """Carries trainings out on the cluster at `address` ("auto": the one this machine belongs to), one at a time."""

    def __init__(self, store: Store, home: Path, address: str = "auto", cpus: float = 1, gpus: float = 0):
        self.store, self.home = store, home
        self.address, self.cpus, self.gpus = address, cpus, gpus
        self._trial: Any = None

    def run(self, job: Job) -> None:
        """Every attempt of the job to its end. Raises `ValueError` for what is no training."""
        if job.kind != "train":
            raise ValueError("A cluster trains; answers are given by a worker of this machine.")
        for key in job.keys:
            self._one(key)

    def warm(self, model: str) -> None:
        """Nothing: each node loads a model when it first needs it."""

    def close(self) -> None:
        self._trial = None

    def join(self) -> None:
        """Make this process one of the cluster's, where it is none yet. Raises `ConnectionError` with one sentence."""
        import ray

        with _joining:
            if ray.is_initialized():
                return
            _require_answer(self.address)
            root = str(Path(__file__).parents[2])
            try:
                ray.init(address=self.address, log_to_driver=False, runtime_env={"env_vars": {"PYTHONPATH": root}})
            except (ConnectionError, RuntimeError, ValueError) as error:
                raise ConnectionError(
                    f"There is no Ray cluster at “{self.address[:80]}”: {_first_line(error)}"
                ) from error

    def _remote(self) -> Any:
        import ray

        self.join()
        if self._trial is None:
            how: dict[str, Any] = {
                "num_cpus": self.cpus,
                "num_gpus": self.gpus,
                "max_retries": RETRIES,
                "num_returns": "streaming",
            }
            self._trial = ray.remote(**how)(trial)
        return self._trial

    def _one(self, key: Key) -> None:
        import ray

        entry = self.store.entry(*key)
        assert entry is not None
        told, step = self._remote().remote(entry.spec), 0
        while True:
            if not self.store.is_wanted(key):
                ray.cancel(told, force=False)
                self.store.append(key, events.Cancelled(step=step))
                return
            ready, _ = ray.wait([told], timeout=POLL_S)
            if not ready:
                continue
            try:
                said = ray.get(next(told))
            except StopIteration:
                return
            event = events.parse(said["event"])
            step = getattr(event, "step", step)
            if isinstance(event, events.Finished):
                event = self._kept(key, event, said["files"])
            self.store.append(key, event)

    def _kept(self, key: Key, event: events.Finished, files: dict[str, bytes]) -> events.Finished:
        """Write the adapter that came back where those of this machine stand."""
        if not files:
            return event
        folder = self.home / "adapters" / f"{key.run_id}-{key.attempt}"
        folder.mkdir(parents=True, exist_ok=True)
        for name, content in files.items():
            (folder / Path(name).name).write_bytes(content)
        return event.model_copy(update={"adapter_path": f"adapters/{folder.name}"})


def _require_answer(address: str) -> None:
    """Raises `ConnectionError` where nobody listens at host:port; Ray itself would try for a minute and more."""
    place = urlsplit(address if "://" in address else f"//{address}")
    try:
        if place.hostname and place.port:
            socket.create_connection((place.hostname, place.port), ANSWER_S).close()
    except (OSError, ValueError) as error:
        raise ConnectionError(f"Nobody answers at “{address[:80]}”: {_first_line(error)}") from error


def _first_line(error: BaseException) -> str:
    return str(error).partition("\n")[0].rstrip(".") + "."


def trial(spec: str) -> Iterator[dict[str, Any]]:
    """One run on a node: its events as JSON, with the last one the adapter's files."""
    from experiments.catalog import tasks
    from experiments.engine import training
    from experiments.engine.execution import failure

    run = RunSpec.model_validate_json(spec)
    with tempfile.TemporaryDirectory(prefix="trial-") as place:
        folder = Path(place) / "adapters" / run.run_id
        try:
            base = _bases().get(run.model, run.weights)
            tasks.of(run).split(None)
            for event in training.run(run, base, folder):
                done = isinstance(event, events.Finished) and folder.is_dir()
                files = {file.name: file.read_bytes() for file in folder.iterdir()} if done else {}
                yield {"event": event.model_dump_json(), "files": files}
        except Exception as error:  # a run's failure is its own
            yield {"event": failure(error).model_dump_json(), "files": {}}


@cache
def _bases() -> Any:
    """The models this process of a node keeps warm between trials."""
    from experiments.engine.models import Bases

    return Bases()
