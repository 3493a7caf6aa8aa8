"""Sweeps carried out on a two-layer model by real workers: what is stored is not trained, halving, TPE, kills, Stop, resuming."""

import os
import signal
import time
from pathlib import Path

import pytest

from experiments import analysis, sweeps
from experiments.jobs import Jobs
from experiments.store import Store
from experiments.sweeps import halving, table
from experiments.sweeps.running import Sweeper
from experiments.workers import Inline, WorkerProcess
from tests.engine.conftest import run_spec


@pytest.fixture
def store(home) -> Store:
    return Store(home / "lab.sqlite")


@pytest.fixture
def here(store, home, base):
    """A sweeper that trains in this process, on the two-layer model."""
    inline = Inline(store, home)
    from experiments.engine.execution import Engine

    inline._engine = Engine(store, home)
    inline._engine.bases._loaded["local:tiny"] = base
    queue = Jobs(store, inline)
    yield Sweeper(store, [queue], home)
    queue.close()


def grid(axes=None, steps=4, **more) -> sweeps.SweepSpec:
    run = run_spec(steps=steps, rate=1e-2)
    return sweeps.build({"base": run, "axes": axes or {"rank": [1, 4], "alpha": [4, 8]}, "seeds": [0], **more})


def swept(sweeper: Sweeper, spec: sweeps.SweepSpec, owner="ann") -> sweeps.Progress:
    assert sweeper.wait(sweeper.start(spec, owner), owner, 120)
    found = sweeps.progress(sweeper.store, spec.sweep_id, owner)
    assert found is not None
    return found


def curve(store: Store, run_id: str) -> list[float | None]:
    record = analysis.load(store, run_id)
    return [s.loss for s in record.steps]


def test_a_cell_that_diverges_is_marked_and_the_sweep_goes_on(here, brittle):
    here.queues[0].executor._engine.bases._loaded["local:tiny"] = brittle
    found = swept(here, sweeps.build({"base": run_spec("full", steps=12), "axes": {"lr": [10, 1e-30]}, "seeds": [0]}))
    assert found.state == "finished" and [c.status for c in found.cells] == ["diverged", "finished"]
    assert found.cells[0].cause.startswith("Diverged at step") and found.best.values == {"train.learning_rate": 1e-30}


def test_a_sweep_whose_queue_is_closed_ends_and_can_be_taken_up(here, store):
    spec = grid(steps=400)
    sweep_id = here.start(spec, "ann")
    here.queues[0].close()
    assert here.wait(sweep_id, "ann", 60)
    assert table.state(store, sweep_id, "ann") == "running"  # for who opens the lab next


def test_a_grid_is_trained_once(here, store):
    spec = grid({"rank": [1, 4]})
    stored = sweeps.expand(spec).specs[0]
    here.queues[0].wait([here.queues[0].submit([stored], "bob")[0].key])
    found = swept(here, spec)
    assert [(c.status, c.stored, c.attempt) for c in found.cells] == [("finished", True, 1), ("finished", False, 1)]
    assert found.state == "finished" and found.done == found.total == 2
    again = swept(here, spec)
    assert [c.attempt for c in again.cells] == [1, 1]
    assert "one seed a setting" in found.verdict and found.best.values == found.rows[0].values


def test_halving_stops_the_hopeless_and_a_survivor_is_the_run_it_would_be_alone(here, store):
    spec = grid({"lr": [1e-2, 1e-5, 1e-6]}, steps=12, prune="halving", seeds=[0, 1])
    assert halving.rungs(spec.base.train) == [3, 9]
    found = swept(here, spec)
    first = [c for c in found.cells if c.seed == 0]
    assert [c.status for c in first] == ["finished", "pruned", "pruned"]
    assert all(3 <= c.metrics["step"] < 12 for c in first[1:])
    assert [c.status for c in found.cells if c.seed == 1] == ["finished", "skipped", "skipped"]
    raced = curve(store, first[0].run_id)
    here.queues[0].wait([here.queues[0].submit([first[0].spec], "bob", again=True)[0].key])
    assert curve(store, first[0].run_id) == raced and len(raced) == 12


def test_tpe_asks_where_it_was_good_and_keeps_its_study(here, home):
    spec = grid({"lr": {"low": 1e-5, "high": 1e-1}}, steps=2, search="tpe", trials=6)
    found = swept(here, spec)
    assert found.state == "finished" and len(found.cells) == 6
    assert (home / "sweeps.sqlite").exists()
    assert len(swept(here, spec).cells) == 6  # all asked already


def test_a_budget_and_a_stop_keep_what_is_done(here, store):
    spec = grid({"rank": [1, 2, 4, 8]}, steps=6)
    here.start(spec, "ann")
    until = time.monotonic() + 60
    while sweeps.progress(store, spec.sweep_id, "ann").done < 1 and time.monotonic() < until:
        time.sleep(0.02)
    assert "somebody else's" in here.stop(spec.sweep_id, "eve")
    assert "what is done stays" in here.stop(spec.sweep_id, "ann")
    assert here.wait(spec.sweep_id, "ann", 60)
    found = sweeps.progress(store, spec.sweep_id, "ann")
    assert found.state == "stopped" and found.cells[0].status == "finished" and found.cells[-1].status == "skipped"
    over = swept(here, grid({"rank": [1, 2, 4, 8]}, steps=7, budget_s=1e-3))
    assert over.state == "stopped" and "budget" in over.sentence


def test_a_sweep_whose_process_is_gone_is_resumed(here, store):
    spec = grid({"rank": [1, 2]})
    table.open_sweep(store, spec, "ann")
    store.connection.execute("UPDATE sweeps SET writer = '1:0.00'")
    assert here.resume() == [spec.sweep_id]
    assert here.wait(spec.sweep_id, "ann", 60)
    assert [c.status for c in sweeps.progress(store, spec.sweep_id, "ann").cells] == ["finished"] * 2


def test_a_killed_worker_costs_one_cell_which_is_retried(store, home, tiny: Path):
    run = run_spec(steps=60, rate=1e-2)
    run = run.model_copy(update={"model": str(tiny), "task": "pirate"})
    from experiments.catalog import models

    run = run.model_copy(update={"weights": models.weights_of(models.find(str(tiny), local=True))})
    spec = sweeps.build({"base": run, "axes": {"rank": [1, 2]}, "seeds": [0]})
    worker = WorkerProcess(home)
    queue = Jobs(store, worker)
    sweeper = Sweeper(store, [queue], home)
    try:
        sweeper.start(spec, "ann")
        first = sweeps.expand(spec).specs[0].run_id
        until = time.monotonic() + 100
        while not ((entry := store.entry(first)) and entry.last == "stepped") and time.monotonic() < until:
            time.sleep(0.02)
        os.kill(worker.pid, signal.SIGKILL)
        assert sweeper.wait(spec.sweep_id, "ann", 250)
    finally:
        queue.close()
    found = sweeps.progress(store, spec.sweep_id, "ann")
    assert [(c.status, c.attempt) for c in found.cells] == [("finished", 2), ("finished", 1)]
    assert [c.mark for c in table.cells(store, spec.sweep_id, "ann")] == ["retried", ""]
