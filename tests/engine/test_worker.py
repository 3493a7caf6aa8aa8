"""The worker process, really killed: a run that dies alone, a queue that goes on, a lab that is gone and comes back."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from experiments import analysis, calibrated, estimates, events
from experiments.catalog import models
from experiments.jobs import Jobs
from experiments.questions import CalibrateSpec, SampleSpec
from experiments.specs import RunSpec, build
from experiments.store import Key, Store
from experiments.workers import Inline, WorkerProcess

ROOT = Path(__file__).parents[2]
LONG = 5000  # steps: some minutes, so nothing ends by itself while a test looks


@pytest.fixture(autouse=True)
def own_home() -> None:
    """The lab of this module is shared: see `lab`."""


@pytest.fixture(scope="module", autouse=True)
def home(tiny, tmp_path_factory) -> Iterator[Path]:
    """One home for the module, and the tiny model under its name, also for child processes."""
    folder = tmp_path_factory.mktemp("lab")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LAB_HOME", str(folder))
        patch.setenv("LAB_MODELS", f"tiny={tiny}")
        yield folder


@pytest.fixture(scope="module")
def lab(home) -> Iterator[Jobs]:
    """A queue over one warm worker process."""
    store = Store(home / "lab.sqlite")
    jobs = Jobs(store, WorkerProcess(home))
    yield jobs
    jobs.close()


def spec(method: str = "lora", steps: int = 3, **changes: Any) -> RunSpec:
    names = {"model": "tiny", "weights": models.weights_of(models.find("tiny")), "task": "pirate", "method": method}
    return build(RunSpec, {**names, "train": {"steps": steps, "batch_size": 2}, **changes})


def soon(condition: Callable[[], Any], timeout_s: float = 90.0) -> Any:
    until = time.monotonic() + timeout_s
    while not (found := condition()):
        assert time.monotonic() < until, "it never happened"
        time.sleep(0.01)
    return found


def steps(lab: Jobs, key: Key) -> int:
    return sum(row.event.kind == "stepped" for row in lab.store.events(key))


def last(lab: Jobs, key: Key) -> events.Event:
    return lab.store.events(key)[-1].event


def started(lab: Jobs, seed: int, owner: str = "ann", count: int = 2) -> Key:
    """A long run that has taken some steps."""
    key = lab.submit([spec(steps=LONG, seed=seed)], owner)[0].key
    soon(lambda: steps(lab, key) >= count)
    return key


def raced() -> list[RunSpec]:
    """Two methods of which one draws random numbers in each step."""
    return [spec(settings={"dropout": 0.3}), spec("prompt")]


def test_two_steps_are_kept_by_the_worker_whoever_waits_for_them(lab):
    key = lab.ask(CalibrateSpec(run=spec(steps=7, seed=70)), "ann").key
    soon(lambda: lab.store.entry(*key).ended)
    found = calibrated.known(lab.store, spec(steps=9, seed=71))
    assert last(lab, key).kind == "finished" and found is not None and found.a_step_s > 0 and found.peak_mb > 100


def test_a_race_runs_to_its_end_as_it_would_in_this_process(lab, home, tmp_path):
    """Raced in the worker, then each alone and inline: the same losses, looks and answers, bit for bit."""
    keys = [t.key for t in lab.submit(raced(), "ann")]
    assert lab.wait(keys, 240)
    inline_store = Store(tmp_path / "lab.sqlite")
    inline = Jobs(inline_store, Inline(inline_store, tmp_path))
    for one, key in zip(raced(), keys, strict=True):
        theirs = analysis.load(lab.store, *key)
        assert theirs.status == "finished", theirs.cause
        assert (home / theirs.finished.adapter_path).is_dir()
        (ticket,) = inline.submit([one], "ann")
        assert inline.wait([ticket.key], 240)
        ours = analysis.load(inline_store, *ticket.key)
        assert [s.loss for s in ours.steps] == [s.loss for s in theirs.steps] and len(ours.steps) == 3
        assert [s.gradient_norm for s in ours.steps] == [s.gradient_norm for s in theirs.steps]
        assert [e.held_out_loss for e in ours.held_out] == [e.held_out_loss for e in theirs.held_out]
        assert ours.tuned.metrics == theirs.tuned.metrics and ours.forgetting == theirs.forgetting
        assert [s.answers for s in ours.samples if s.subject == "tuned"] == [
            s.answers for s in theirs.samples if s.subject == "tuned"
        ]
    inline.close()
    # a second request is served from the store: the worker has nothing to do
    assert [t.state for t in lab.submit(raced(), "bob")] == ["stored"] * 2 and lab.length() == 0
    estimate = estimates.before(raced()[0].model_copy(update={"seed": 77}), lab.store)
    assert estimate.basis == "measured here" and estimate.seconds > 0


def test_stop_acts_within_a_step(lab):
    key = started(lab, seed=1)
    lab.cancel([key], "ann")
    at_stop = steps(lab, key)
    assert lab.wait([key], 60)
    assert at_stop <= steps(lab, key) <= at_stop + 1
    assert last(lab, key) == events.Cancelled(step=steps(lab, key))


def test_two_owners_and_the_run_ends_when_both_have_left(lab):
    key = started(lab, seed=2)
    (shared,) = lab.submit([spec(steps=LONG, seed=2)], "bob")
    assert shared.key == key and shared.state == "shared"
    assert "somebody else's" in lab.cancel([key], "eve")
    lab.cancel([key], "ann")
    before = steps(lab, key)
    soon(lambda: steps(lab, key) > before + 2)  # it goes on for bob
    lab.cancel([key], "bob")
    assert lab.wait([key], 60) and last(lab, key).kind == "cancelled"


def test_a_question_is_answered_while_a_training_goes_on(lab):
    tuned = lab.submit(raced(), "ann")
    assert lab.wait([t.key for t in tuned], 240)  # stored, where the race ran before
    key = started(lab, seed=3)
    question = {"model": "tiny", "weights": spec().weights, "prompt": "Ahoy? <b>&</b>", "max_new_tokens": 8}
    asked = lab.ask(build(SampleSpec, {**question, "runs": [t.key.run_id for t in tuned]}), "ann")
    soon(lambda: lab.store.entry(*asked.key).ended)
    wrote = [r.event for r in lab.store.events(asked.key)]
    assert wrote[-1].kind == "finished", wrote[-1]
    assert {e.column for e in wrote if e.kind == "wrote"} == {0, 1, 2}
    before = steps(lab, key)
    assert lab.position(key) == 0
    soon(lambda: steps(lab, key) > before)  # the training was never in the way, and goes on
    lab.cancel([key], "ann")
    assert lab.wait([key], 60)


def test_a_question_to_a_run_without_a_result_fails_with_a_sentence(lab):
    question = {"model": "tiny", "weights": spec().weights, "prompt": "Ahoy?", "runs": ["0123456789ab"]}
    asked = lab.ask(build(SampleSpec, question), "ann")
    soon(lambda: lab.store.entry(*asked.key).ended)
    failed = last(lab, asked.key)
    assert failed == events.Failed(cause="Run 0123456789ab has no finished result to ask.")


def test_a_model_that_is_gone_fails_one_run_with_a_sentence(lab):
    broken = spec(seed=9).model_copy(update={"weights": "local:tiny@000000000000"})
    (ticket,) = lab.submit([broken], "ann")
    assert lab.wait([ticket.key], 60)
    assert last(lab, ticket.key).kind == "failed" and "tiny" in last(lab, ticket.key).cause
    assert lab.executor.pid is not None  # the worker lives


def test_a_worker_tells_its_pace(lab):
    assert lab.executor.pace(spec(), 1, 0.01) > 0
    assert lab.executor.pace(spec().model_copy(update={"weights": "local:tiny@000000000000"}), 1, 0.01) is None


def test_killed_in_mid_run_the_run_fails_with_its_cause_and_the_next_one_runs(lab):
    key = started(lab, seed=4)
    (waiting,) = lab.submit([spec(seed=4)], "bob")
    seen, pid = lab.store.events(key), lab.executor.pid
    os.kill(pid, signal.SIGKILL)
    assert lab.wait([key], 60)
    kept = lab.store.events(key)
    assert kept[: len(seen)] == seen and len(kept) > len(seen)  # the curve stays
    assert kept[-1].event.kind == "failed" and "was killed" in kept[-1].event.cause and kept[-1].event.advice
    assert analysis.load(lab.store, *key).steps
    assert lab.wait([waiting.key], 240) and last(lab, waiting.key).kind == "finished"
    assert lab.executor.pid not in (None, pid)
    (again,) = lab.submit([spec(steps=LONG, seed=4)], "ann")
    assert again.key.attempt == 2 and again.state == "new"
    lab.cancel([again.key], "ann")
    assert lab.wait([again.key], 60)


def test_closing_the_lab_interrupts_and_ends_the_worker(tiny, tmp_path):
    store = Store(tmp_path / "lab.sqlite")
    jobs = Jobs(store, WorkerProcess(tmp_path))
    key = started(jobs, seed=5)
    worker = psutil.Process(jobs.executor.pid)
    jobs.close()
    assert not worker.is_running() or worker.status() == psutil.STATUS_ZOMBIE
    soon(lambda: last(jobs, key).kind == "interrupted")


def test_closing_its_standard_input_ends_the_worker(tmp_path):
    worker = subprocess.Popen(
        [sys.executable, "-m", "experiments.engine.worker", str(tmp_path)],
        cwd=ROOT,
        stdin=-1,
        stdout=-1,
        stderr=-1,
        text=True,
    )
    worker.stdin.write(json.dumps({"kind": "warm", "model": "no-such-model", "id": 5}) + "\n")
    worker.stdin.flush()
    assert json.loads(worker.stdout.readline()) == {"done": 5}  # a model that is not there is no reason to die
    worker.stdin.close()
    assert worker.wait(10) == 0 and worker.stdout.read() == ""
    worker.stdout.close(), worker.stderr.close()


APP = """
import sys, time
from pathlib import Path
from experiments.jobs import Jobs
from experiments.specs import RunSpec
from experiments.store import Store
from experiments.workers import WorkerProcess

home = Path(sys.argv[1])
store = Store(home / "lab.sqlite")
jobs = Jobs(store, WorkerProcess(home))
jobs.submit([RunSpec.model_validate_json(sys.argv[2])], "ann")
jobs.submit([RunSpec.model_validate_json(sys.argv[3])], "ann")
while jobs.executor.pid is None:
    time.sleep(0.01)
print(jobs.executor.pid, flush=True)
time.sleep(600)
"""


def test_the_lab_is_killed_and_comes_back(tmp_path):
    """`kill -9` of the app: its worker goes, too; after a restart the run is interrupted, with its curve."""
    long, waiting = spec(steps=LONG, seed=6), spec(seed=6)
    command = [sys.executable, "-c", APP, str(tmp_path), long.model_dump_json(), waiting.model_dump_json()]
    app = subprocess.Popen(command, cwd=ROOT, stdout=-1, text=True)
    worker = psutil.Process(int(app.stdout.readline()))
    store, key = Store(tmp_path / "lab.sqlite"), Key(long.run_id, 1)
    soon(lambda: any(r.event.kind == "stepped" and r.event.step >= 3 for r in store.events(key)))
    app.send_signal(signal.SIGKILL)
    app.wait()
    app.stdout.close()
    soon(lambda: not worker.is_running() or worker.status() == psutil.STATUS_ZOMBIE, 15)
    curve = analysis.load(store, *key)
    assert curve.status == "running" and len(curve.steps) >= 3
    back = Jobs(store, WorkerProcess(tmp_path))
    shown = analysis.load(store, *key)
    assert shown.status == "interrupted" and shown.steps == curve.steps and "killed" in shown.cause
    assert store.entry(waiting.run_id).last == "interrupted"
    (again,) = back.submit([waiting], "ann")
    assert again.key == Key(waiting.run_id, 2) and again.state == "new"
    assert back.wait([again.key], 240) and last(back, again.key).kind == "finished"
    back.close()
