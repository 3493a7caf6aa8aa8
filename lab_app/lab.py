"""What every tab is given: the store, the queue and the folder of one lab. No module globals anywhere in the page."""

from __future__ import annotations

import logging
import sqlite3
import threading
import time
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from experiments import fitting, recorded, shelf
from experiments.analysis import Record
from experiments.catalog import models
from experiments.catalog.background import Background
from experiments.catalog.cache import lab_home
from experiments.catalog.own_data import keep
from experiments.comparison import Comparison
from experiments.comparison.running import Comparer
from experiments.jobs import Jobs
from experiments.store import Store, opened
from experiments.sweeps import Progress
from experiments.sweeps.running import Sweeper
from lab_app.tokens import Desk

log = logging.getLogger(__name__)
TIDY_S = 3600.0


@dataclass(frozen=True)
class Lab:
    """One lab: its folder, what it remembers, who is next, the recorded comparison shown to a newcomer, what is being fetched
    meanwhile, and the tokenizers that all visitors share."""

    home: Path
    store: Store
    jobs: Jobs
    recorded: tuple[Record, ...] = ()
    background: Background = field(default_factory=Background)
    desk: Desk = field(default_factory=Desk)

    @cached_property
    def sweeper(self) -> Sweeper:
        """Who carries sweeps out: a client of the queue like any visitor."""
        return Sweeper(self.store, [self.jobs], self.home)

    @property
    def sweep(self) -> tuple[Progress, dict[str, Record]] | None:
        """The recorded sweep with the records of its runs, shown to a newcomer; None where none ships."""
        return recorded.sweep()

    @property
    def shipped(self) -> tuple[Record, ...]:
        """Every recorded run there is to look at: the comparison, and one run of each method on a real model."""
        return (*self.recorded, *recorded.gallery())

    @property
    def comparison(self) -> Comparison | None:
        """The recorded comparison, shown to a newcomer; None where none ships."""
        return recorded.comparison()

    @cached_property
    def comparer(self) -> Comparer:
        """Who carries comparisons out: a client of the sweeper."""
        return Comparer(self.sweeper)

    def machine(self) -> str:
        """One line on what runs here and how busy it is."""
        count = fitting.cores()
        jobs = self.jobs.length()
        queue = "empty" if not jobs else "1 training" if jobs == 1 else f"1 training, {jobs - 1} waiting"
        return f"{count} core{'s' if count > 1 else ''} · {gpu()} · queue: {queue}"


def gpu() -> str:
    """What the driver says is there; asked of the system, because asking torch would load it."""
    cards = Path("/proc/driver/nvidia/gpus")
    count = len(list(cards.iterdir())) if cards.is_dir() else 0
    return "no GPU" if not count else "1 GPU" if count == 1 else f"{count} GPUs"


def open_lab() -> Lab:
    """The lab of this machine: its store under LAB_HOME, a worker process, and the first model warm where it is ready.

    Raises `ValueError` where LAB_MIRRORS names what is not here, `ResourceError` where LAB_HOME cannot be used.
    """
    from experiments import mirrors
    from experiments.workers import WorkerProcess

    mirrors.asked()
    home = lab_home()
    store = opened(home)
    lab = Lab(home, store, Jobs(store, WorkerProcess(home)), tuple(recorded.load()))
    lab.sweeper.resume()
    lab.comparer.resume()
    threading.Thread(target=_warm, args=(lab,), name="warm", daemon=True).start()
    threading.Thread(target=_tidy, args=(lab,), name="tidy", daemon=True).start()
    return lab


def _warm(lab: Lab) -> None:
    first = models.available()[0]
    if models.is_ready(first):
        lab.jobs.executor.warm(first.key)


def _tidy(lab: Lab) -> None:
    """Now and every hour: throw away what nobody has kept for a day."""
    while True:
        try:
            shelf.sweep(lab.store, lab.home)
            keep.tidy(shelf.own_rows_in_use(lab.store))
        except (sqlite3.Error, OSError):  # a full or busy disk: in an hour again
            log.exception("nothing was tidied")
        time.sleep(TIDY_S)
