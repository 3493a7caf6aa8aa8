"""Two steps before the start: what they say is of the run that follows, and they leave no trace in it."""

from __future__ import annotations

import itertools
from types import SimpleNamespace

import pytest

from experiments import calibrated, estimates
from experiments.catalog import models
from experiments.engine import calibration, evaluation
from experiments.engine.calibration import calibrate
from experiments.engine.execution import Engine
from experiments.engine.trial import Trial
from experiments.store import Store
from tests.engine.conftest import losses, run_spec
from tests.engine.test_training import run


@pytest.mark.parametrize("method", ["lora", "prompt", "few-shot", "zero-shot"])
def test_it_tells_a_step_the_looks_and_the_memory(method, base, weights):
    settings = {"examples": 1} if method == "few-shot" else {}
    found = calibrate(run_spec(method, **settings), base)
    assert (found.a_step_s > 0) == (method in ("lora", "prompt")) and found.around_s > 0
    assert found.peak_mb >= round(base.resting_mb, 1) and (found.context_tokens > 0) == (
        method in ("prompt", "few-shot")
    )
    assert found.seconds(100) == pytest.approx(100 * found.a_step_s + found.around_s) and weights()


def test_a_speed_measured_while_the_machine_was_busy_does_not_stay(base, own_home, tiny, monkeypatch):
    monkeypatch.setenv("LAB_MODELS", f"tiny={tiny}")
    store, weights = Store(own_home / "lab.sqlite"), models.weights_of(models.find("tiny"))
    engine, key = Engine(store, own_home), estimates.speed_key(weights, "lora")
    engine.bases._loaded[weights] = base
    engine.warm("tiny")
    first = store.recall(key)
    assert first > 0
    store.remember(key, 1000 * first)
    engine.warm("tiny")
    assert store.recall(key) < 500 * first
    store.remember(key, 1e-9)  # what runs taught stays
    engine.warm("tiny")
    assert store.recall(key) == 1e-9


def test_the_longest_batch_comes_first_and_makes_the_peak(base, monkeypatch):
    """So the second step is timed alone: to measure a larger batch than before, freed memory is given back within its time."""
    read: list[int] = []
    backward = Trial.backward

    def watched(trial, *batches):
        read.append(max(len(example.ids) for batch in batches for example in batch))
        return backward(trial, *batches)

    monkeypatch.setattr(Trial, "backward", watched)
    for seed in range(4):
        calibrate(run_spec("lora", seed=seed), base)
    assert all(first >= second for first, second in zip(read[::2], read[1::2], strict=True)) and len(set(read)) > 1


def test_a_base_that_is_not_known_takes_longer(base, monkeypatch):
    """Its own answers and looks come on top: by a clock on which everything that is timed takes one second."""
    monkeypatch.setattr(calibration, "time", SimpleNamespace(perf_counter=itertools.count().__next__))
    spec = run_spec("lora")
    monkeypatch.setattr(evaluation, "base_is_known", lambda *_: False)
    first = calibrate(spec, base).around_s
    monkeypatch.setattr(evaluation, "base_is_known", lambda *_: True)
    assert 0 < calibrate(spec, base).around_s < first


def test_the_run_is_the_same_with_it_and_without(base, tmp_path):
    spec = run_spec("lora", steps=3, dropout=0.3)
    expected = losses(run(spec, base, tmp_path / "a"))
    calibrate(spec, base)
    assert losses(run(spec, base, tmp_path / "b")) == expected


def test_a_pace_is_of_the_run_and_leaves_no_trace(base, tmp_path, weights):
    spec = run_spec("lora", steps=3, dropout=0.3)
    expected = losses(run(spec, base, tmp_path / "a"))
    assert calibration.pace(spec, base, 0.01) > 0 and weights()
    assert losses(run(spec, base, tmp_path / "b")) == expected


def test_a_pace_is_of_batches_that_were_read_before(base, monkeypatch):
    """Of most steps of a sweep what leaves the frozen blocks is known."""
    read, encoded = [], calibration.encoded
    monkeypatch.setattr(calibration, "encoded", lambda base, task, row: read.append(row) or encoded(base, task, row))
    spec = run_spec("lora")
    calibration.pace(spec, base, 0.0)
    first = calibration.PACED * spec.train.batch_size
    assert len(read) > first and set(read[first:]) <= set(read[:first])


def test_what_was_measured_is_the_next_estimate(base, home):
    store, spec = (
        Store(home / "lab.sqlite"),
        run_spec("lora").model_copy(update={"model": "smollm2-135m", "task": "pirate"}),
    )
    assert calibrated.known(store, spec) is None
    calibrated.keep(store, spec, calibrated.Calibration(a_step_s=0.5, around_s=10, peak_mb=1500))
    longer = spec.model_copy(update={"train": spec.train.model_copy(update={"steps": 100}), "seed": 4})
    assert calibrated.known(store, longer) is not None
    estimate = estimates.before(longer, store)
    assert (estimate.seconds, estimate.peak_mb, estimate.basis) == (60.0, 1500, "from two steps of it here")
    wider = spec.model_copy(update={"train": spec.train.model_copy(update={"batch_size": 9})})
    assert calibrated.known(store, wider) is None
