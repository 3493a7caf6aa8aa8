"""A run that goes on from a checkpoint: the losses it would have had, bit for bit, whatever broke it off and wherever."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from experiments import events, states
from experiments.catalog import tasks
from experiments.engine import adapters, checkpoints, evaluation, training
from experiments.engine.checkpoints import Checkpoints
from experiments.specs import RunSpec, build
from experiments.variants import longer
from tests.engine.conftest import losses, run_spec
from tests.engine.test_training import run, timeless

ROOT = Path(__file__).parents[2]


@pytest.fixture
def keep(tmp_path) -> Checkpoints:
    """Checkpoints after every step."""
    keep = Checkpoints(tmp_path / "checkpoints")
    keep.every_s = 0.0
    return keep


def spec_of(method: str = "lora", settings: dict[str, Any] | None = None, **train: Any) -> RunSpec:
    known = run_spec(method, **(settings or {})).model_dump()
    return build(RunSpec, {**known, "train": {**known["train"], "steps": 8, **train}})


def told(happened: list[events.Event]) -> list[dict[str, Any]]:
    """What is told of a run, but for clocks and for where it went on."""
    return [{k: v for k, v in e.items() if k != "resumed_at"} for e in timeless(happened)]


CASES: dict[str, dict[str, Any]] = {
    "lora with dropout": {"settings": {"dropout": 0.4, "plus_ratio": 4}, "schedule": "cosine", "warmup": 2},
    "full": {"method": "full", "learning_rate": 1e-3, "weight_decay": 0.1, "accumulate": 2},
    "p-tuning": {"method": "p-tuning", "settings": {"encoder": "LSTM", "hidden": 16, "dropout": 0.2}},
    "pissa": {"settings": {"init": "pissa"}},
    "adalora": {"method": "adalora"},  # scores and the directions that are left
    "qlora": {"method": "qlora", "settings": {"optimizer": "paged-adamw-8bit", "rank": 64}},  # moments in 8 bits
    "patience": {"method": "full", "learning_rate": 3e-2, "steps": 16, "looks": 8, "patience": 2},
}


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("step", [1, 3, 7])
def test_broken_off_and_gone_on_is_the_whole_run(name, step, base, keep, tmp_path):
    spec = spec_of(**CASES[name])
    whole = run(spec, base, tmp_path / "whole")
    half = training.run(spec, base, tmp_path / "half", lambda: None, keep)
    for event in half:
        if isinstance(event, events.Stepped) and event.step == step + 1:  # the state after `step` is on disk by now
            half.close()
            break
    rest = list(training.run(spec, base, tmp_path / "rest", lambda: None, keep))
    assert rest[0].resumed_at == step and losses(rest) == losses(whole)
    assert sorted(map(str, told(rest))) == sorted(map(str, told(whole)))
    for file in (tmp_path / "whole").iterdir():
        assert file.read_bytes() == (tmp_path / "rest" / file.name).read_bytes()


LOOKS: dict[str, dict[str, Any]] = {
    "lora": {}, "pissa": {"settings": {"init": "pissa"}}, "p-tuning": {"method": "p-tuning", "settings": {"hidden": 16, "dropout": 0.2}},
    "partial": {"method": "partial", "settings": {"last_layers": 1}}, "prefix": {"method": "prefix"},
}  # fmt: skip


@pytest.mark.parametrize("name", LOOKS)
def test_the_adapters_of_its_looks_answer_as_the_run_did_then_and_change_nothing_in_it(name, base, keep, tmp_path):
    spec = spec_of(**LOOKS[name])
    happened = list(training.run(spec, base, tmp_path / "end", lambda: None, keep))
    assert losses(happened) == losses(run(spec, base, tmp_path / "without"))
    steps = states.looks(tmp_path, spec.run_id)
    assert steps == ([0] if name in ("pissa", "p-tuning", "prefix") else []) + [2, 4, 6]
    seen = {e.step: e.held_out_loss for e in happened if isinstance(e, events.Evaluated) and e.subject == "tuned"}
    task = tasks.of(spec)
    for step in steps:
        model = adapters.load(base, keep.looks / spec.run_id / str(step))
        assert evaluation.look(model, base, task, step, lambda: None).held_out_loss == pytest.approx(
            seen[step], abs=2e-4
        )
    states.drop(tmp_path, spec.run_id)
    assert states.looks(tmp_path, spec.run_id) == [] and not states.goes_on(tmp_path, spec.run_id)


def test_large_adapters_are_kept_in_the_middle_alone_or_not_at_all():
    train = spec_of(steps=40).train
    assert checkpoints.kept_looks(train, 9.8) == {0, 10, 20, 30}
    assert checkpoints.kept_looks(train, 30) == {20}
    assert checkpoints.kept_looks(train, 500) == set()


def test_a_full_disk_costs_the_look_and_not_the_run(base, keep, tmp_path, monkeypatch):
    save = adapters.save

    def full_at_looks(model: Any, folder: Path) -> int:
        if keep.looks in folder.parents:
            raise OSError(28, "No space left on device")
        return save(model, folder)

    monkeypatch.setattr(adapters, "save", full_at_looks)
    happened = list(training.run(spec_of(), base, tmp_path / "a", lambda: None, keep))
    assert isinstance(happened[-1], events.Finished) and not states.looks(tmp_path, spec_of().run_id)


def test_a_finished_run_is_not_gone_on_from_when_it_is_asked_again(base, keep, tmp_path):
    first, second = (list(training.run(spec_of(), base, tmp_path / "a", lambda: None, keep)) for _ in range(2))
    assert second[0].resumed_at == 0 and losses(first) == losses(second)


def test_trained_longer_it_has_the_losses_of_a_run_of_that_length(base, keep, tmp_path):
    short = spec_of(settings={"dropout": 0.3}, steps=5)
    list(training.run(short, base, tmp_path / "short", lambda: None, keep))
    assert states.goes_on(tmp_path, short.run_id) and not list(tmp_path.glob("checkpoints/**/*.p*"))
    further = list(training.run(longer(short, 9), base, tmp_path / "further", lambda: None, keep))
    assert further[0].resumed_at == 5 and isinstance(further[-1], events.Finished)
    assert losses(further) == losses(run(spec_of(settings={"dropout": 0.3}, steps=9), base, tmp_path / "whole"))


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"start": "0123456789ab"}, "Run 0123456789ab keeps no state to go on from on this machine"),
        ({"seed": 5}, "has another model, task, method, settings, seed or batch"),
        ({"train": {"steps": 3, "batch_size": 2}}, "has 3 steps already; ask for more than that"),
    ],
)
def test_what_cannot_be_gone_on_from_gets_a_sentence(change, sentence, base, keep, tmp_path):
    short = spec_of(steps=3)
    list(training.run(short, base, tmp_path / "short", lambda: None, keep))
    spec = build(RunSpec, {**longer(short, 5).model_dump(), **change})
    with pytest.raises(ValueError, match=sentence):
        list(training.run(spec, base, tmp_path / "x", lambda: None, keep))


@pytest.mark.parametrize("damage", [b"", b"{", b"[]", b"\xff\xfe"])
def test_a_damaged_state_is_no_state(damage, base, keep, tmp_path):
    short = spec_of(steps=2)
    list(training.run(short, base, tmp_path / "a", lambda: None, keep))
    (tmp_path / "checkpoints" / short.run_id / states.STATE).write_bytes(damage)
    assert not states.goes_on(tmp_path, short.run_id)
    with pytest.raises(ValueError, match="keeps no state"):
        list(training.run(longer(short, 4), base, tmp_path / "b", lambda: None, keep))


def test_a_full_disk_costs_the_checkpoint_and_not_the_run(base, keep, tmp_path, monkeypatch):
    from experiments.engine import checkpoints

    def full_disk(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(checkpoints, "save_file", full_disk)
    happened = list(training.run(spec_of(steps=3), base, tmp_path / "a", lambda: None, keep))
    assert isinstance(happened[-1], events.Finished) and not list(keep.folder.iterdir())


def test_a_large_state_is_not_kept_of_a_finished_run(base, keep, tmp_path, monkeypatch):
    from experiments.engine import checkpoints

    monkeypatch.setattr(checkpoints, "FINAL_MB", 0.001)
    spec = spec_of(steps=2)
    list(training.run(spec, base, tmp_path / "a", lambda: None, keep))
    assert not states.goes_on(tmp_path, spec.run_id) and not list(keep.folder.iterdir())


def test_killed_in_mid_run_and_started_again(tiny, tmp_path):
    """kill -9 on the process that trains; the second call goes on and ends with the losses of a lab that nothing befell."""
    command = [sys.executable, "-m", "experiments", "run", "--model", "tiny", "--method", "lora", "--set", "dropout=0.3",
               "--steps", "40", "--batch-size", "2", "--lr", "1e-3", "--json"]  # fmt: skip

    def environment(home: str) -> dict[str, str]:
        known = {**os.environ, "LAB_HOME": str(tmp_path / home), "LAB_MODELS": f"tiny={tiny}", "OMP_NUM_THREADS": "1"}
        return {**known, "LAB_CHECKPOINT_S": "0"}

    def whole(home: str) -> dict[str, Any]:
        done = subprocess.run(
            command, cwd=ROOT, env=environment(home), capture_output=True, text=True, timeout=280, check=True
        )
        return json.loads(done.stdout)

    victim = subprocess.Popen(
        command, cwd=ROOT, env=environment("killed"), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    until = time.monotonic() + 200
    while time.monotonic() < until and victim.poll() is None:
        found = [states.read(p.parent.parent, p.parent.name) for p in tmp_path.glob("killed/checkpoints/*/state.json")]
        if found and found[0] and found[0]["step"] >= 5:
            break
        time.sleep(0.02)
    victim.send_signal(signal.SIGKILL)
    assert victim.wait(20) == -signal.SIGKILL
    resumed, expected = whole("killed"), whole("spared")
    assert resumed["attempt"] == 2 and 5 <= resumed["resumed_at"] < 40 and expected["resumed_at"] == 0
    assert resumed["curve"] == expected["curve"] and len(resumed["curve"]) == 40
    assert resumed["metrics"] == expected["metrics"] and resumed["held_out"] == expected["held_out"]


@pytest.mark.parametrize("when", ["between two steps", "in a look", "in the last look"])
def test_stopped_and_asked_for_again_it_loses_no_step(when, base, keep, tmp_path):
    spec = spec_of("lora", {"dropout": 0.4}, looks=2, thorough=True)
    keep.every_s = 1e9  # no checkpoint but that of the stop
    whole = run(spec, base, tmp_path / "whole")
    seen: list[events.Event] = []

    def between() -> None:
        at = max((e.step for e in seen if isinstance(e, events.Stepped)), default=0)
        looking = any(isinstance(e, events.Sampled) and e.subject == "tuned" and e.step == at for e in seen)
        if (at, looking) == {"between two steps": (5, False), "in a look": (4, True), "in the last look": (8, True)}[
            when
        ]:
            raise training.Unwanted

    for event in training.run(spec, base, tmp_path / "half", between, keep):
        seen.append(event)
    assert isinstance(seen[-1], events.Cancelled)
    rest = list(training.run(spec, base, tmp_path / "rest", lambda: None, keep))
    assert rest[0].resumed_at == seen[-1].step == {"between two steps": 5, "in a look": 4, "in the last look": 8}[when]
    assert losses(rest) == losses(whole) and sorted(map(str, told(rest))) == sorted(map(str, told(whole)))


def test_a_thorough_run_is_the_same_run_judged_row_by_row(base, tmp_path):
    plain, thorough = (run(spec_of(thorough=how), base, tmp_path / str(how)) for how in (False, True))
    assert losses(plain) == losses(thorough)
    looks = [e for e in thorough if isinstance(e, events.Evaluated) and e.subject == "tuned"]
    assert all(e.general_loss is not None for e in looks)
    judged = {e.subject: e for e in thorough if isinstance(e, events.Judged)}
    assert judged.keys() == {"base", "tuned"} and not any(isinstance(e, events.Judged) for e in plain)
    tuned, last = judged["tuned"], looks[-1]
    assert tuned.first == 0 and len(tuned.losses) == 5  # few rows: all of them
    assert sum(tuned.losses) / sum(tuned.tokens) == pytest.approx(last.held_out_loss, rel=1e-5)
    assert sum(tuned.general_losses) / sum(tuned.general_tokens) == pytest.approx(last.general_loss, rel=1e-5)
    for key in ("style", "facts"):
        assert sum(s[key] for s in tuned.scores) / len(tuned.scores) == pytest.approx(last.metrics[key])
    assert last.generation.rows == last.generation.batch == 6  # four that are scored and two probes, written together
    assert last.generation.temperature == 0 and last.generation.tokens > 0
