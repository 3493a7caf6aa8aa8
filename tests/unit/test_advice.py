"""Advice: said where people go wrong, silent where they do not, and never in the way."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from experiments import advice, events, methods
from experiments.analysis import Record, fold
from experiments.specs import RunSpec, build
from experiments.store import Row


def spec(method: str = "lora", settings: dict[str, Any] | None = None, **train: Any) -> RunSpec:
    known = {"model": "smollm2-135m", "task": "pirate", "method": method}
    return build(RunSpec, {**known, "settings": settings or {}, "train": train})


@pytest.mark.parametrize("method", [m.key for m in methods.METHODS])
def test_the_defaults_for_long_enough_need_no_advice(method):
    assert advice.before(spec(method, steps=200)) == []


BEFORE = [
    (spec(settings={"alpha": 1}), "settings.alpha", "alpha / rank is 0.12: the update hardly counts. Usual is 1 to 2, here alpha 8."),
    (spec(settings={"alpha": 128}), "settings.alpha",
     "alpha / rank is 16, which acts like a learning rate 8 times as high. Usual is 1 to 2."),
    (spec(settings={"alpha": 128, "rslora": True}), "settings.alpha",
     "alpha / √rank is 45.3, which acts like a learning rate 23 times as high. Usual is 1 to 2."),
    (spec(learning_rate=0.03), "train.learning_rate",
     "0.03 is above what is usual for LoRA, 0.0001 to 0.002; it is usual for Prompt, Prefix, IA³."),
    (spec("prompt", learning_rate=1e-3, steps=200), "train.learning_rate",
     "0.001 is below what is usual for Prompt, 0.003 to 0.3; it is usual for LoRA, Prefix, P-tuning."),
    (spec("full", learning_rate=9), "train.learning_rate", "9 is above what is usual for Full, 1e-06 to 0.0001."),
    (spec(learning_rate=0), "train.learning_rate", "A learning rate of 0 changes nothing."),
    (spec("prompt", steps=40), "train.steps", "40 steps are few for Prompt; from 100 on it learns something."),
    (spec(steps=10, warmup=6), "train.warmup",
     "A warm-up of 6 steps takes most of the 10: the full rate comes late or never."),
    (spec(patience=3), "train.patience",
     "With 4 looks a patience of 3 can never end the run; ask for more looks."),
]  # fmt: skip


@pytest.mark.parametrize(("of", "field", "sentence"), BEFORE, ids=[f"{b[1]}-{i}" for i, b in enumerate(BEFORE)])
def test_before_the_start(of, field, sentence):
    assert advice.before(of) == [advice.Advice(field, sentence)]


def test_what_trains_nothing_gets_none():
    assert advice.before(spec("zero-shot")) == [] == advice.before(spec("few-shot"))
    assert advice.before(spec(steps=0, learning_rate=5)) == []


CHANGE = st.fixed_dictionaries({}, optional={
    "steps": st.integers(0, 300), "learning_rate": st.floats(0, 10), "warmup": st.integers(0, 300),
    "patience": st.integers(0, 50), "looks": st.integers(1, 50), "clip": st.floats(0, 10),
})  # fmt: skip


@settings(max_examples=200, deadline=None)
@given(st.sampled_from([m.key for m in methods.METHODS]), CHANGE)
def test_any_spec_gets_plain_sentences(method, train):
    of = spec(method, **train)
    for found in advice.before(of):
        assert found.sentence.endswith(".") and len(found.sentence.splitlines()) == 1 and found.field
    assert advice.diverged(of).endswith(".")


def record(of: RunSpec, *happened: events.Event) -> Record:
    return fold(Record(of, of.run_id), (Row(i, 0.0, e) for i, e in enumerate(happened)))


def started(**changes: Any) -> events.Started:
    known = {"trainable": 1, "total": 2, "rows": 3, "device": "cpu", "threads": 1, "resting_mb": 1.0, "versions": {}}
    return events.Started.model_validate({**known, **changes})


def look(step: int, loss: float | None, **changes: Any) -> events.Evaluated:
    return events.Evaluated(subject="tuned", step=step, held_out_loss=loss, **changes)


BASE = events.Evaluated(subject="base", step=0, general_loss=3.0)
END = events.Finished(elapsed_s=1.0)


@pytest.mark.parametrize(
    ("happened", "field", "part"),
    [
        ([started(without_end=0.25), look(0, 4.0), look(40, 2.0), END], "task", "25% of the rows are learnt without the end token"),
        ([look(0, 4.0), look(40, 2.0, largest_logit_change=0.0), END], "train.learning_rate",
         "The adapter changed nothing, the largest change of a logit is 0: nothing that was trained reaches the answer."),
        ([look(0, 4.0), look(20, 2.0), look(40, 2.4), END], "train.steps", "lowest at step 20 (2.00) and rose to 2.40"),
        ([look(0, 4.0), look(40, 3.99), END], "train.learning_rate", "Held-out loss hardly moved (4.00 → 3.99)"),
        ([look(0, 3.65), look(3, 70.0), look(6, 24449.0), END], "train.learning_rate",
         "Held-out loss rose from 3.65 to 24449.00, and no look was better than the first: try a lower learning rate."),
        ([BASE, look(0, 4.0), look(40, 2.0, general_loss=3.7), END], "train.learning_rate",
         "Loss on general text rose by 0.70"),
        ([BASE.model_copy(update={"held_out_loss": 3.9}), started(packed_mb=9.4, total=5_000_000), look(0, 4.0), look(40, 2.0), END],
         "settings.weights", "Packed, the frozen weights take 9 MB instead of 20; that alone moved the base's held-out loss by "
         "+0.100, from 3.900."),
        ([look(0, 4.0), look(20, 2.0), events.Finished(elapsed_s=1.0, stopped_at=30)], "train.patience",
         "Stopped early at step 30; the best look was at step 20."),
    ],
)  # fmt: skip
def test_after_the_end(happened, field, part):
    (found,) = advice.after(record(spec(), *happened))
    assert found.field == field and part in found.sentence


def test_an_adapter_that_changed_nothing_is_told_why():
    still = [look(0, 4.0), look(40, 2.0, largest_logit_change=0.0), END]
    (found,) = advice.after(record(spec(learning_rate=0), *still))
    assert found.sentence.endswith("the learning rate is 0.")
    (found,) = advice.after(record(spec(steps=40, warmup=40), *still))
    assert found.sentence.endswith("the warm-up never ended.")


def test_what_was_not_trained_is_not_said_to_have_learnt_nothing():
    assert advice.after(record(spec(steps=0), look(0, 4.0), look(0, 4.0, largest_logit_change=0.0), END)) == []
    (found,) = advice.after(record(spec(learning_rate=0), look(0, 4.0), look(40, 4.0, largest_logit_change=0.0), END))
    assert found.sentence.endswith("the learning rate is 0.")


def test_a_run_that_learns_from_preferences_is_not_told_that_the_loss_stood_still():
    still = [look(0, 4.0), look(40, 3.99), END]
    assert advice.after(record(spec().model_copy(update={"objective": "dpo"}), *still)) == []


def test_a_good_run_and_one_under_way_get_none():
    good = [started(without_end=0.0), BASE, look(0, 4.0), look(40, 2.0, general_loss=3.1, largest_logit_change=9.0)]
    assert advice.after(record(spec(), *good)) == []
    assert advice.after(record(spec(), *good, END)) == []


def test_what_to_try_after_a_divergence_follows_from_the_spec():
    said = advice.diverged(spec(learning_rate=0.5, settings={"alpha": 256}, clip=0))
    assert said == (
        "Usual rates for LoRA are 0.0001 to 0.002; this run had 0.5. "
        "Try a learning rate of 0.002 or an alpha of 16 or a warm-up or clipping at 1."
    )
