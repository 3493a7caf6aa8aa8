"""How training goes: schedules as transformers has them, gradients that add up, patience; all against references."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from transformers import get_scheduler

from experiments import events
from experiments.engine import data, training
from experiments.recipe import TrainSettings, rate_at
from experiments.specs import RunSpec, build
from tests.engine.conftest import losses, run_spec
from tests.engine.test_against_trl import trl_losses
from tests.engine.test_training import run


def spec_with(method: str = "lora", settings: dict[str, Any] | None = None, **train: Any) -> RunSpec:
    known = run_spec(method, **(settings or {})).model_dump()
    return build(RunSpec, {**known, "train": {**known["train"], **train}})


@pytest.mark.parametrize(("schedule", "warmup", "steps"), [
    ("constant", 0, 5), ("constant", 3, 8), ("linear", 0, 7), ("linear", 2, 9), ("cosine", 0, 6), ("cosine", 4, 10), ("cosine", 5, 5),
])  # fmt: skip
def test_a_schedule_is_transformers_own(schedule, warmup, steps):
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.3)
    name = "constant_with_warmup" if schedule == "constant" else schedule
    theirs = get_scheduler(name, optimizer, num_warmup_steps=warmup, num_training_steps=steps)
    expected = []
    for _ in range(steps):
        expected.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        theirs.step()
    train = TrainSettings(steps=steps, warmup=warmup, schedule=schedule, learning_rate=0.3)
    assert [rate_at(train, step) for step in range(1, steps + 1)] == pytest.approx(expected, abs=1e-12)


RECIPES: dict[str, dict[str, Any]] = {
    "cosine": {"schedule": "cosine", "warmup": 2},
    "linear": {"schedule": "linear"},
    "clip": {"clip": 0.05},
    "no clip": {"clip": 0.0},
    "decay": {"weight_decay": 0.3},
    "accumulate": {"accumulate": 3},
    "all": {"schedule": "cosine", "warmup": 1, "accumulate": 2, "weight_decay": 0.1, "clip": 0.3},
}


@pytest.mark.parametrize("name", RECIPES)
def test_losses_of_a_recipe_equal_trls(name, base, tmp_path):
    """TRL's trainer with the same settings; of its losses a step, the mean weighted by learnt tokens."""
    method = "full" if name in ("decay", "all") else "lora"
    spec = spec_with(method, steps=5, learning_rate=1e-3 if method == "full" else 1e-2, **RECIPES[name])
    ours = losses(run(spec, base, tmp_path / "adapter"))
    reference = trl_losses(base, spec, tmp_path / "trl")
    each = spec.train.accumulate
    found = [sum(reference[i : i + each]) for i in range(0, len(reference), each)]
    assert ours == pytest.approx(found, abs=1e-4) and len(ours) == 5
    if name != "no clip":
        assert ours != losses(
            run(spec_with(method, steps=5, learning_rate=spec.train.learning_rate), base, tmp_path / "b")
        )


def test_accumulated_batches_are_one_large_one(base, tmp_path):
    """The same rows, the mean over all their learnt tokens, in the memory of a small batch."""
    small = spec_with(steps=4, learning_rate=1e-2, batch_size=1, accumulate=4)
    large = spec_with(steps=4, learning_rate=1e-2, batch_size=4)
    found, expected = (run(s, base, tmp_path / "a") for s in (small, large))
    assert losses(found) == pytest.approx(losses(expected), abs=1e-4)
    tokens = [[e.tokens for e in happened if e.kind == "stepped"] for happened in (found, expected)]
    assert tokens[0] == tokens[1]


def test_patience_stops_at_a_look_that_is_no_better_and_goes_back_to_the_best(base, tmp_path):
    """A rate at which a few steps help and more harm; what is saved is what was best."""
    spec = spec_with("full", steps=24, learning_rate=3e-2, looks=12, patience=2)
    happened = run(spec, base, tmp_path / "adapter")
    end = happened[-1]
    assert isinstance(end, events.Finished) and end.stopped_at is not None and end.stopped_at < 24
    looks = [e for e in happened if e.kind == "evaluated" and e.subject == "tuned" and e.step > 0 and e.metrics is None]
    best = min(looks, key=lambda e: e.held_out_loss)
    assert [e.step for e in looks][-3:] == [best.step, *[e.step for e in looks if e.step > best.step]][-3:]
    assert len([e for e in looks if e.step > best.step]) == 2 and looks[-1].step == end.stopped_at
    final = next(e for e in happened if e.kind == "evaluated" and e.metrics is not None and e.subject == "tuned")
    assert final.step == best.step and final.held_out_loss == best.held_out_loss


def test_patience_that_is_never_tried_changes_nothing(base, tmp_path):
    plain, patient = (spec_with(steps=8, learning_rate=1e-3, patience=p) for p in (0, 4))
    assert plain.run_id != patient.run_id
    first, second = run(plain, base, tmp_path / "a"), run(patient, base, tmp_path / "b")
    assert losses(first) == losses(second) and second[-1].stopped_at is None


def test_a_rate_factor_is_scheduled_too(base):
    """LoRA+ and a schedule together: each group at its own rate times the schedule's share."""
    spec = spec_with(settings={"plus_ratio": 4}, steps=4, learning_rate=0.1, schedule="linear")
    trial = training.begin(spec, base)
    trial.backward([data.Example((1, 2, 3, 4), 1)])
    trial.update(0.5)
    assert sorted(g["lr"] for g in trial.optimizer.param_groups) == pytest.approx([0.05, 0.2])
