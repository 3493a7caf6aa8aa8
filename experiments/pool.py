"""How many workers, with how many threads each: what trains most tokens a second here, measured once for each machine and model.

Small models leave most of a second thread idle, so that two workers of one thread each train more than one of two; of
large ones, which wait for memory, that is less sure. Each worker holds the model once more. Free of torch.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from statistics import median

from experiments import fitting, methods
from experiments.accounting import Arch
from experiments.catalog import models
from experiments.specs import RunSpec
from experiments.store import Store
from experiments.workers import WorkerDied, WorkerProcess, several

MEASURED_S = 1.5  # a look at one division of the cores
ROUNDS = 3  # in turn, so that a machine that slows down slows all of them
GAIN = 1.25
"""How much faster more workers must be than fewer: each loads the model for itself, and waits for the others at rungs and at the end."""
FEWEST_RUNS = 4
WORTH_S = 60.0
"""A sweep of fewer runs or less time than this gains less than measuring takes."""


def is_worth_it(runs: int, seconds: float | None) -> bool:
    """Whether so many runs, which take so many seconds (None: not known), are worth measuring for."""
    return runs >= FEWEST_RUNS and (seconds is None or seconds >= WORTH_S)


def key(run: RunSpec) -> str:
    """The same for runs that divide the cores the same way: one model and method, as many frozen blocks below what trains, batches of
    one size."""
    arch = _arch(run)
    lowest = methods.find(run.method).footprint(arch, run.settings).lowest if arch else 0
    return f"workers|{fitting.cores()}|{run.weights}|{run.method}|{lowest}|{run.train.batch_size}"


def fastest(
    home: Path, store: Store, runs: Sequence[RunSpec], measure: bool, tell: Callable[[str], object] = lambda _: None
) -> list[WorkerProcess]:
    """The workers that train the first of these runs fastest, as was measured here before or, with `measure`, is now; else one with
    all the threads. `tell` gets a sentence before a measurement, and one on what came of it."""
    run = next((r for r in runs if methods.find(r.method).trains), runs[0])
    known, among = store.recall(key(run)), counts(run)
    if known or not measure or len(among) < 2:
        return several(home, int(known or 1))
    tell("Measuring once how the cores of this machine are best divided among workers.")
    workers = [WorkerProcess(home, f"worker-{i}") for i in range(among[-1])]
    try:
        count = best(workers, run, among)
    except WorkerDied:  # as with too little memory: one worker then says what is wrong
        count = None
    if count is None:
        _close(workers)
        return several(home, 1)
    store.remember(key(run), count)
    threads = fitting.cores() // count
    tell(
        f"{count} worker{'s' if count > 1 else ''} of {threads} thread{'s' if threads > 1 else ''} will do it fastest here."
    )
    _close(workers[count:])
    _paces(workers[:count], run, threads, 0.0)  # from now on so many threads each
    return workers[:count]


def counts(run: RunSpec) -> list[int]:
    """The numbers of workers there can be: 1, 2, 4, … up to one a core, as far as they fit into the memory together. One where
    nothing is to be measured: the model is not here yet, nothing trains, a GPU does the work, or OMP_NUM_THREADS says how many
    threads there are."""
    arch, here = _arch(run), fitting.here_mb()
    if arch is None or here is None or "OMP_NUM_THREADS" in os.environ or not methods.find(run.method).trains:
        return [1]
    a_worker = fitting.needed_mb(run, arch)
    found = (2**i for i in range(fitting.cores().bit_length()))
    return [n for n in found if n == 1 or (n <= fitting.cores() and n * a_worker + fitting.SPARE_MB <= here)]


def _arch(run: RunSpec) -> Arch | None:
    """The shape of its model, None where that is not on this machine yet."""
    entry = models.find(run.model, local=True)
    return models.arch(entry) if models.is_ready(entry) else None


def best(workers: Sequence[WorkerProcess], run: RunSpec, among: Sequence[int]) -> int | None:
    """The number of workers with the most tokens a second together, `GAIN` more than fewer of them; None where the run cannot be
    trained here."""
    if None in _paces(workers, run, 1, 0.0):  # the model is loaded everywhere
        return None
    taken: dict[int, list[float]] = {count: [] for count in among}
    for _ in range(ROUNDS):
        for count in among:
            told = _paces(workers[:count], run, fitting.cores() // count, MEASURED_S)
            taken[count].append(sum(pace or 0.0 for pace in told))
    found = among[0]
    for count in among[1:]:
        if median(taken[count]) >= GAIN * median(taken[found]):
            found = count
    return found


def _paces(workers: Sequence[WorkerProcess], run: RunSpec, threads: int, seconds: float) -> list[float | None]:
    """The pace of each, all at the same time."""
    with ThreadPoolExecutor(len(workers), "pace") as pool:
        asked = [pool.submit(partial(worker.pace, run, threads, seconds)) for worker in workers]
        return [one.result() for one in asked]


def _close(workers: Sequence[WorkerProcess]) -> None:
    for worker in workers:
        worker.close()
