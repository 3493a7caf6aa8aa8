"""Events: every kind goes to JSON and back unchanged, with missing values missing, and nothing else gets in."""

import json
from typing import get_args

import pytest
from pydantic import ValidationError

from experiments import events
from experiments.store import END_KINDS

UNION = get_args(get_args(events.Event)[0])
EXAMPLES = [
    events.Queued(),
    events.Progress(stage="downloading", done=3, total=None, unit="bytes"),
    events.Started(trainable=1, total=2, rows=3, device="cpu", threads=2, resting_mb=1.5, versions={"torch": "2"}),
    events.Stepped(step=1, loss=2.5, gradient_norm=0.5, learning_rate=1e-3, tokens=9, train_s=0.1),
    events.Stepped(step=2, loss=None, gradient_norm=None, learning_rate=10, tokens=9, train_s=0.1),
    events.Stepped(step=3, loss=0.6, learning_rate=1e-3, tokens=9, train_s=0.1, measures={"margin": 0.5}),
    events.Grouped(step=1, prompt="P?", answers=("a", "b"), rewards=(1.0, None), advantages=(1.0, -1.0)),
    events.Evaluated(subject="base", step=0, held_out_loss=None, metrics={"style": 0.0}, baselines={"echo": {"a": 1}}),
    events.Evaluated(subject="tuned", step=4, general_loss=3.0),
    events.Sampled(subject="tuned", step=0, answers=(events.Answer(prompt="<b>?</b>", answer="Åye 🏴‍☠️\n"),)),
    events.Wrote(column=1, text="ahoy ", tokens=2, elapsed_s=0.2, ended=True),
    events.Read(
        column=0,
        ids=(5, 6),
        tokens=("a", " b"),
        shape=(1, 2),
        dtype="int64",
        bits=(None, 3.5),
        expected=((7, "!", 0.5),),
    ),
    events.Mixed(name="ties", task="pirate", held_out_loss=None, answers=(events.Answer(prompt="P", answer="A"),)),
    events.Scored(column=1, score=-0.5),
    events.Judged(
        subject="tuned",
        step=4,
        first=24,
        losses=(1.5, None),
        tokens=(3, 2),
        general_losses=(4.0,),
        general_tokens=(8,),
        answers=("Arr",),
        scores=({"style": 100.0},),
    ),
    events.Calibrated(a_step_s=0.1, around_s=3.0, look_s=0.4, peak_mb=700.0),
    events.Ranked(rank=4, held_out_loss=None, kept=0.5, parameters=9),
    events.Finished(elapsed_s=1.0, adapter_path=None, peak_mb=None),
    events.Failed(cause="The disk is full."),
    events.Cancelled(step=3),
    events.Interrupted(),
]


def test_there_is_an_example_of_every_kind():
    assert {type(e) for e in EXAMPLES} == set(UNION)


@pytest.mark.parametrize("event", EXAMPLES, ids=lambda e: e.kind)
@pytest.mark.parametrize("stored", [False, True])
def test_json_and_back(event, stored):
    """Also the way the store writes them, with what is missing left out."""
    assert events.parse(event.model_dump_json(exclude_none=stored)) == event


def test_kinds_are_named_once_and_ends_are_ends():
    kinds = [kind.model_fields["kind"].default for kind in UNION]
    assert len(set(kinds)) == len(kinds)
    assert set(END_KINDS) == {"finished", "failed", "cancelled", "interrupted"} < set(kinds)


@pytest.mark.parametrize(
    "body",
    ['{"kind": "exploded"}', '{"step": 1}', "[]", "not json", '{"kind": "cancelled"}',
     '{"kind": "cancelled", "step": 1, "tensor": [1]}', '{"kind": "evaluated", "subject": "other", "step": 1}'],
)  # fmt: skip
def test_anything_else_is_refused(body):
    with pytest.raises(ValidationError):
        events.parse(body)


def test_events_are_frozen_and_hold_plain_values_only():
    with pytest.raises(ValidationError):
        EXAMPLES[0].kind = "other"
    for event in EXAMPLES:
        json.dumps(event.model_dump(), allow_nan=False)
