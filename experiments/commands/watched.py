"""What `sweep` and `compare` share: a sweeper over some workers, and something that it carries out, watched to its end."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Annotated, Any, Protocol

import typer

from experiments import pool
from experiments.catalog.cache import lab_home
from experiments.jobs import Executor, Jobs
from experiments.specs import RunSpec
from experiments.store import Store
from experiments.sweeps.running import Sweeper
from experiments.terminal import owner, people, progress_bar
from experiments.workers import WorkerProcess, several

Workers = Annotated[
    int, typer.Option(min=0, max=64, help="Processes that train at the same time; 0: as many as are measured to be fastest here.")
]  # fmt: skip
WATCHED_S = 0.5  # between two looks at how far it is


def crew(
    store: Store, count: int, runs: Sequence[RunSpec], missing: int, seconds: float | None
) -> Sequence[WorkerProcess]:
    """So many workers; with 0 as many as train these runs fastest, which is measured where `missing` runs of so many seconds in all
    (None: not known) are worth it."""
    if count:
        return several(lab_home(), count)
    return pool.fastest(lab_home(), store, runs, pool.is_worth_it(missing, seconds), people.print)


class Runner(Protocol):
    """A sweeper, or a comparer."""

    def start(self, spec: Any, owner: str) -> str: ...

    def stop(self, its_id: str, owner: str) -> str: ...

    def wait(self, its_id: str, owner: str, timeout_s: float | None = None) -> bool: ...


@contextmanager
def sweeper_over(store: Store, executors: Sequence[Executor]) -> Iterator[Sweeper]:
    """A sweeper with a queue for each executor; all of them are closed afterwards."""
    queues = [Jobs(store, executor) for executor in executors]
    sweeper = Sweeper(store, queues, lab_home())
    try:
        yield sweeper
    finally:
        sweeper.close()
        for queue in queues:
            queue.close()


def watched(runner: Runner, spec: Any, look: Callable[[str], tuple[str, float] | None]) -> str:
    """Start it and wait for its end, with a bar; its id. `look(id)`: what is done now, and the share of all that is done.

    Ctrl-C stops after the step under way and keeps what is done. Raises `SpecError`.
    """
    its_id = runner.start(spec, owner())
    try:
        with progress_bar() as (bar, row):
            while not runner.wait(its_id, owner(), WATCHED_S):
                if now := look(its_id):
                    bar.update(row, description=now[0], completed=round(100 * now[1]), total=100)
    except KeyboardInterrupt:
        people.print(runner.stop(its_id, owner()))
        runner.wait(its_id, owner(), 120)
    return its_id
