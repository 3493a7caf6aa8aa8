"""Mirrors: the numbers that arrive in a real tracker are those of the run, also of two runs at once; a broken one is left out."""

from __future__ import annotations

from pathlib import Path

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from experiments import events, mirrors
from experiments.catalog import models
from experiments.jobs import Job
from experiments.mirrors.base import Mirror, values
from experiments.store import Key, Store
from experiments.workers import Inline
from tests.engine.conftest import run_spec
from tests.mirrors.feed import feed
from tests.unit.runs import spec, told

ROOT = Path(__file__).parents[2]
TENSORBOARD = mirrors.MIRRORS[1]


def test_tensorboard_reads_back_what_was_told(tmp_path):
    feed(TENSORBOARD, tmp_path)
    folders = sorted((tmp_path / "tensorboard").iterdir())
    assert len(folders) == 2
    for folder in folders:
        found = EventAccumulator(str(folder)).Reload()
        assert [(e.step, e.value) for e in found.Scalars("train/loss")] == [(1, 2.75), (2, 2.5), (3, 2.25)]
        assert found.Scalars("held_out/tuned/loss")[0].value == pytest.approx(0.8)
        assert found.Scalars("held_out/base/style")[0].value == 12.0


def test_a_training_is_mirrored_and_not_changed(base, tiny, tmp_path, monkeypatch):
    monkeypatch.setenv("LAB_MODELS", f"tiny={tiny}")
    losses = {}
    for name in ("", "tensorboard"):
        monkeypatch.setenv("LAB_MIRRORS", name)
        home = tmp_path / (name or "plain")
        store, wanted = Store(home / "lab.sqlite"), run_spec(steps=2)
        wanted = wanted.model_copy(update={"weights": models.weights_of(models.find("tiny"))})
        key, _ = store.open(wanted.run_id, "train", wanted.model_dump_json(), "ann")
        executor = Inline(store, home)
        executor.run(Job("train", (key,)))
        executor.close()
        losses[name] = [r.event.loss for r in store.events(key) if isinstance(r.event, events.Stepped)]
        assert store.entry(*key).last == "finished", store.events(key)[-1]
    assert losses[""] == losses["tensorboard"] and not (tmp_path / "plain" / "mirrors").exists()
    (folder,) = (tmp_path / "tensorboard" / "mirrors" / "tensorboard").iterdir()
    found = EventAccumulator(str(folder)).Reload().Scalars("train/loss")
    assert [e.value for e in found] == pytest.approx(losses[""])


def test_a_mirror_that_breaks_is_left_out_and_the_others_go_on(tmp_path):
    class Broken:
        def write(self, step, values):
            raise OSError("gone")

        def close(self):
            raise AssertionError("left out already")

    broken = Mirror("broken", "Broken", "json", lambda name, config, folder: Broken())
    never = Mirror("never", "Never", "json", lambda name, config, folder: 1 / 0)
    one = mirrors.Feed([broken, never, TENSORBOARD], spec(), Key("x", 1), tmp_path)
    for event in told():
        one.tell(event)
    assert one.working == ["tensorboard"]


def test_what_is_not_here_is_one_sentence(monkeypatch):
    with pytest.raises(ValueError, match="There is no mirror “mlflow”; there are trackio, tensorboard, wandb."):
        mirrors.find(["mlflow"])
    monkeypatch.setattr(mirrors, "MIRRORS", (Mirror("gone", "Gone", "no_such_package", TENSORBOARD.open),))
    with pytest.raises(ValueError, match="Gone is not installed here: pip install no_such_package."):
        mirrors.find([" gone "])
    monkeypatch.setenv("LAB_MIRRORS", " , ")
    assert mirrors.asked() == ()


def test_a_loss_that_is_no_number_is_not_sent():
    stepped = events.Stepped(step=1, loss=None, gradient_norm=None, learning_rate=1.0, tokens=1, train_s=0.1)
    assert values(stepped) == {"train/seconds": 0.1, "train/learning_rate": 1.0}


@pytest.mark.parametrize("name", ["tensorboard", "trackio", "wandb"])
def test_a_sink_is_forty_lines_at_most(name):
    assert len((ROOT / "experiments" / "mirrors" / f"{name}.py").read_text("utf8").splitlines()) <= 40
