"""How many workers train fastest: measured with workers whose speeds are known here, kept, and not measured again."""

import pytest

from experiments import fitting, pool
from experiments.specs import RunSpec, build
from experiments.store import Store
from experiments.workers import WorkerDied


class Paced:
    """A worker whose tokens a second are `alone` with all the threads and `shared` with one; `started` are all there were."""

    alone, shared, started = 100.0, 60.0, []

    def __init__(self, home, name):
        self.name, self.threads, self.closed = name, None, False
        self.started.append(self)

    def pace(self, run, threads, seconds):
        self.threads = threads
        return self.shared if threads == 1 else self.alone

    def close(self):
        self.closed = True


class Untrainable(Paced):
    def pace(self, run, threads, seconds):
        return None


class Mortal(Paced):
    def pace(self, run, threads, seconds):
        raise WorkerDied("killed")


@pytest.fixture
def run(monkeypatch) -> RunSpec:
    monkeypatch.setattr(fitting, "cores", lambda: 2)
    monkeypatch.setattr(fitting, "here_mb", lambda: 16_000.0)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    return build(RunSpec, {"model": "lab-nano", "weights": "w", "task": "storyteller", "method": "lora"})


def chosen(monkeypatch, home, run, kind=Paced, measure=True, tell=str, **speeds):
    for name, speed in speeds.items():
        monkeypatch.setattr(Paced, name, speed)
    monkeypatch.setattr(Paced, "started", [])
    monkeypatch.setattr(pool, "WorkerProcess", kind)
    return pool.fastest(home, Store(home / "lab.sqlite"), [run], measure, tell)


@pytest.mark.parametrize(("shared", "threads"), [(70.0, [1, 1]), (60.0, [2]), (40.0, [2])])
def test_more_workers_are_chosen_where_they_train_a_quarter_more_and_that_is_kept(
    monkeypatch, home, run, shared, threads
):
    said = []
    found = chosen(monkeypatch, home, run, shared=shared, tell=said.append)
    assert said[0].startswith("Measuring once") and said[1].startswith(f"{len(threads)} worker")
    assert [worker.threads for worker in found] == threads
    assert [w.closed for w in Paced.started] == [w not in found for w in Paced.started]
    again = chosen(monkeypatch, home, run, shared=1000.0 - shared)  # known: nobody is asked again
    assert len(again) == len(threads) and not Paced.started


def test_what_was_measured_holds_for_runs_with_as_many_frozen_blocks(run):
    top = run.model_copy(update={"settings": run.settings.model_copy(update={"layers": "last 2"})})
    wider = top.model_copy(update={"settings": top.settings.model_copy(update={"rank": 32, "targets": "q_proj"})})
    assert pool.key(run) != pool.key(top) == pool.key(wider)


def test_without_a_measurement_there_is_one_worker_with_all_the_threads(monkeypatch, home, run):
    for found in (
        chosen(monkeypatch, home, run, measure=False),
        chosen(monkeypatch, home, run, Untrainable),
        chosen(monkeypatch, home, run, Mortal),
    ):
        assert [(worker.name, worker.threads) for worker in found] == [("worker-0", None)]
    assert all(worker.closed for worker in Paced.started)


def test_there_are_as_many_as_fit_into_the_memory(monkeypatch, run):
    monkeypatch.setattr(fitting, "cores", lambda: 6)
    assert pool.counts(run) == [1, 2, 4]
    monkeypatch.setattr(fitting, "needed_mb", lambda run, arch: 5_000.0)
    assert pool.counts(run) == [1, 2]
    monkeypatch.setattr(fitting, "here_mb", lambda: None)  # a GPU does the work
    assert pool.counts(run) == [1]
    monkeypatch.setattr(fitting, "here_mb", lambda: 16_000.0)
    assert pool.counts(run) == [1, 2] and pool.counts(run.model_copy(update={"method": "zero-shot"})) == [1]
    monkeypatch.setenv("OMP_NUM_THREADS", "6")
    assert pool.counts(run) == [1]


@pytest.mark.parametrize(
    ("runs", "seconds", "worth"), [(9, 300, True), (9, None, True), (9, 20, False), (3, 300, False)]
)
def test_a_small_sweep_is_not_worth_a_measurement(runs, seconds, worth):
    assert pool.is_worth_it(runs, seconds) == worth
