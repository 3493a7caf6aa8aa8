"""From events to records: folding bit by bit equals folding at once, and what was not measured stays missing."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from experiments import analysis, events
from experiments.analysis import Record, fold
from experiments.specs import RunSpec, build
from experiments.store import Row, Store

SPEC = build(RunSpec, {"model": "m", "task": "pirate", "method": "lora", "train": {"steps": 3}})


def step(number: int, loss: float | None = 2.0) -> events.Stepped:
    return events.Stepped(
        step=number, loss=loss, gradient_norm=1.0, learning_rate=0.1, tokens=10 * number, train_s=1 + 0.5 * (number - 1)
    )


def look(at: int, subject: str = "tuned", **values) -> events.Evaluated:
    return events.Evaluated(subject=subject, step=at, **values)


STARTED = events.Started(
    trainable=8, total=80, rows=5, device="cpu", threads=2, resting_mb=9.0, versions={"torch": "2"}
)
WHOLE = [
    events.Queued(),
    events.Progress(stage="loading"),
    STARTED,
    step(1),
    look(0, held_out_loss=3.0),
    step(2, None),
    look(2, held_out_loss=None),
    step(3),
    events.Sampled(subject="tuned", step=3, answers=()),
    look(3, held_out_loss=1.0, general_loss=4.5, metrics={"style": 90.0, "facts": 20.0}),
    look(0, "base", held_out_loss=3.0, general_loss=4.0, metrics={"style": 10.0, "facts": 30.0}),
    events.Finished(elapsed_s=9.0, train_s=2.0, peak_mb=100.0, adapter_path="adapters/x-1", adapter_bytes=7),
]
ENDS = [events.Failed(cause="Broke.", advice="Mend it."), events.Cancelled(step=2), events.Interrupted()]


def rows(found: list[events.Event], first: int = 0) -> list[Row]:
    return [Row(i, 100.0 + i, e) for i, e in enumerate(found, first)]


def record(found: list[events.Event]) -> Record:
    return fold(Record(SPEC, SPEC.run_id), rows(found))


@given(st.lists(st.sampled_from(WHOLE[:-1]), max_size=12), st.sampled_from([WHOLE[-1], *ENDS]), st.data())
def test_bit_by_bit_is_the_same_as_at_once(middle, end, data):
    """In any order, cut anywhere, with rows that come twice."""
    whole = rows([*middle, end])
    live = Record(SPEC, SPEC.run_id)
    at = 0
    while at < len(whole):
        size = data.draw(st.integers(1, len(whole)))
        fold(live, whole[max(0, at - 1) : at + size])
        at += size
    assert live == fold(Record(SPEC, SPEC.run_id), whole)
    assert live.seen == len(whole) - 1 and live.ended


def test_a_whole_run():
    run = record(WHOLE)
    assert run.status == "finished" and run.ended and run.progress is None
    assert [s.step for s in run.steps] == [1, 2, 3] and [s.loss for s in run.steps] == [2.0, None, 2.0]
    assert run.base.metrics["style"] == 10.0 and run.tuned.step == 3
    assert run.forgetting == 0.5
    assert run.seconds_per_step == 0.5  # the first step, which warms up, left out
    assert run.metric("base", "facts") == 30.0 and run.metric("tuned", "facts") == 20.0
    assert run.metric("tuned", "chrf") is None
    assert run.ended_s == 111.0


def test_nothing_yet_is_none_never_a_number():
    new = record([])
    assert (new.tuned, new.base, new.seconds_per_step, new.forgetting, new.ended_s) == (None,) * 5
    assert new.metric("base", "style") is None and new.metric("tuned", "style") is None
    assert new.status == "queued" and not new.ended
    values = analysis.summary(new, Path("/home"))
    for name in ("cause", "trainable", "total", "forgetting", "seconds_per_step", "elapsed_s", "peak_mb", "adapter_path",
                 "adapter_bytes", "versions"):  # fmt: skip
        assert values[name] is None, name
    assert values["metrics"] == {"base": None, "tuned": None, "baselines": None} and values["curve"] == []


def test_states_on_the_way():
    assert [record(WHOLE[:n]).status for n in range(5)] == ["queued", "queued", "preparing", "running", "running"]
    assert record(WHOLE[:2]).progress.stage == "loading" and record(WHOLE[:3]).progress is None
    assert record(WHOLE[:4]).seconds_per_step == 1.0
    assert record(WHOLE[:6]).forgetting is None  # no general loss so far


@pytest.mark.parametrize(("end", "status", "cause", "advice"), [
    (ENDS[0], "failed", "Broke.", "Mend it."), (ENDS[1], "cancelled", "Stopped at step 2.", ""),
    (ENDS[2], "interrupted", events.Interrupted().cause, ""),
])  # fmt: skip
def test_a_run_that_did_not_finish_keeps_its_curve_and_its_cause(end, status, cause, advice):
    run = record([*WHOLE[:6], end])
    assert (run.status, run.cause, run.advice) == (status, cause, advice)
    assert run.ended and run.finished is None and len(run.steps) == 2


def test_a_missing_general_loss_makes_no_forgetting():
    for base, tuned in ((None, 4.0), (4.0, None)):
        assert record([look(0, "base", general_loss=base), look(3, general_loss=tuned)]).forgetting is None
    assert record([look(0, "base", general_loss=4.0), look(0, general_loss=4.0)]).forgetting == 0.0


def test_the_summary_is_json_with_the_keys_that_scripts_use():
    values = json.loads(json.dumps(analysis.summary(record(WHOLE), Path("/home")), allow_nan=False))
    assert {"run_id", "status", "spec", "trainable", "total", "curve", "metrics", "elapsed_s", "peak_mb",
            "adapter_path"} <= values.keys()  # fmt: skip
    assert values["run_id"] == SPEC.run_id and RunSpec.model_validate(values["spec"]) == SPEC
    assert values["curve"] == [{"step": 1, "loss": 2.0}, {"step": 2, "loss": None}, {"step": 3, "loss": 2.0}]
    assert values["metrics"]["tuned"] == {"style": 90.0, "facts": 20.0}
    assert Path(values["adapter_path"]) == Path("/home/adapters/x-1")


def test_a_stored_run_is_loaded_by_id_and_attempt(tmp_path):
    store = Store(tmp_path / "lab.sqlite")
    key, _ = store.open(SPEC.run_id, "train", SPEC.model_dump_json(), "ann")
    for event in WHOLE[1:]:
        store.append(key, event)
    loaded = analysis.load(store, SPEC.run_id)
    assert loaded.spec == SPEC and loaded.attempt == 1 and loaded.steps == record(WHOLE).steps
    store.open(SPEC.run_id, "train", SPEC.model_dump_json(), "ann", again=True)
    assert analysis.load(store, SPEC.run_id).status == "queued"
    assert analysis.load(store, SPEC.run_id, 1).status == "finished"
    store.open("s123", "sample", "{}", "ann")
    assert analysis.load(store, "s123") is None and analysis.load(store, "nothing") is None


def scored(method: str, style: float | None, end: events.Event = WHOLE[-1]) -> Record:
    spec = build(RunSpec, {"model": "m", "task": "pirate", "method": method})
    metrics = {"style": style} if style is not None else {}
    found = [look(0, "base", metrics={"style": 10.0}), look(3, metrics=metrics), end]
    return fold(Record(spec, spec.run_id), rows(found))


def test_the_verdict_names_the_leader():
    assert analysis.verdict([scored("lora", 90.0), scored("prompt", 40.0)]) == (
        "LoRA reached pirate style 90 %, from 10 for the base."
    )
    assert analysis.verdict([scored("prompt", 40.0), scored("lora", 90.0, ENDS[0])]).startswith("Prompt reached")


def test_there_is_no_verdict_without_scores():
    assert analysis.verdict([]) == ""
    assert analysis.verdict([scored("zero-shot", 90.0)]) == ""
    assert analysis.verdict([scored("lora", None)]) == ""
