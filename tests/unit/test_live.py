"""Tails, sentences and visitors over a real store, without a page."""

from __future__ import annotations

import threading

import pytest

from experiments import events, specs
from experiments.jobs import Jobs
from experiments.questions import SampleSpec
from experiments.specs import RunSpec
from experiments.store import Key, Store
from lab_app import live, sentences, visitor
from lab_app.lab import Lab
from tests.unit.records import finished, record, running


class Held:
    """An executor that begins each job and holds it until `go`; then it finishes it."""

    def __init__(self, store: Store):
        self.store, self.go, self.begun = store, threading.Event(), threading.Event()

    def run(self, job):
        for key in job.keys:
            self.store.append(key, events.Progress(stage="loading"))
        self.begun.set()
        self.go.wait(20)
        for key in job.keys:
            self.store.append(key, events.Finished(elapsed_s=1.0))

    def close(self):
        self.go.set()


@pytest.fixture
def lab(tmp_path):
    store = Store(tmp_path / "lab.sqlite")
    lab = Lab(tmp_path, store, Jobs(store, Held(store)))
    yield lab
    lab.jobs.close()


def spec(seed: int = 0) -> RunSpec:
    return specs.build(RunSpec, {"model": "any", "task": "pirate", "method": "lora", "seed": seed})


def test_a_tail_ends_with_its_runs(lab):
    (ticket,) = lab.jobs.submit([spec()], "anna")
    shots = live.watch(lab, [ticket.key.run_id], "anna")
    lab.jobs.executor.begun.wait(10)
    first = next(shots)
    assert not first.ended and first.wanted == {ticket.key}
    lab.jobs.executor.go.set()
    last = list(shots)[-1]
    assert last.ended and last.records[0].status == "finished"


def test_a_place_in_the_queue_is_told(lab):
    lab.jobs.submit([spec(0)], "anna")
    lab.jobs.executor.begun.wait(10)
    (ticket,) = lab.jobs.submit([spec(1)], "ben")
    shot = next(live.watch(lab, [ticket.key.run_id], "ben"))
    assert "Waiting: 1 before you." in sentences.status(shot)["lines"]


def test_a_stranger_owns_nothing(lab):
    (ticket,) = lab.jobs.submit([spec()], "anna")
    shot = next(live.watch(lab, [ticket.key.run_id], "ben"))
    assert not shot.mine and not shot.wanted


def test_a_view_of_nothing_shows_nothing(lab):
    assert list(live.watch(lab, ["0123456789ab"], "anna")) == []


def test_answers_grow_by_column(lab):
    ask = specs.build(SampleSpec, {"model": "any", "prompt": "Hello"})
    key, _ = lab.store.open(ask.sample_id, "sample", ask.model_dump_json(), "anna")
    for text in ("Good ", "day."):
        lab.store.append(key, events.Wrote(column=0, text=text, tokens=1, elapsed_s=0.1))
    lab.store.append(key, events.Finished(elapsed_s=0.2))
    (written,) = live.watch_answer(lab, Key(*key))
    assert written.rows[0][0].text == "Good day." and written.ended


def snapshot(*records, **kw) -> live.Snapshot:
    keys = frozenset(live.key_of(r) for r in records)
    return live.Snapshot(tuple(records), **{"waiting": None, "mine": keys, "wanted": keys, "leaving": False, **kw})


def test_sentences_of_each_end():
    stopped, failed = running("lora", [2.0, 1.9]), running("lora", [2.0])
    stopped.status, failed.status = "cancelled", "failed"
    failed.cause, failed.advice = "The worker ran out of memory.", "Try batch 2."
    assert "Stopped by you at step 2." in sentences.status(snapshot(stopped))["lines"]
    strangers = sentences.status(snapshot(stopped, mine=frozenset(), wanted=frozenset()))
    assert "Stopped by the one who started it at step 2." in strangers["lines"]
    assert "Failed at step 1: The worker ran out of memory. Try batch 2." in sentences.status(snapshot(failed))["lines"]
    assert sentences.status(snapshot(failed))["tone"] == "bad"


def test_a_finished_comparison_has_a_verdict_and_no_bar():
    value = sentences.status(snapshot(finished("lora")))
    assert value["done"] is None and any("96 %" in line for line in value["lines"])


def test_a_running_one_says_where_it_is_and_what_is_left():
    value = sentences.status(snapshot(running("lora", [2.0] * 10), running("prompt", [2.0] * 10)))
    assert value["lines"] == ["Step 10 of 40 for 2 methods; about 30 s of training left, then the held-out questions."]
    assert value["done"] == 0.25


def test_a_fetch_is_told_in_megabytes():
    progress = events.Progress(stage="Fetching SmolLM2", done=45_000_000, total=93_000_000, unit="bytes")
    assert sentences.preparing(progress) == "Fetching SmolLM2: 45 of 93 MB."


@pytest.mark.parametrize("saved", [None, {}, {"owner": "x"}, {"owner": 7}, "text", {"owner": "a" * 101}])
def test_a_visitor_without_a_token_gets_an_unguessable_one(saved):
    tokens = {visitor.welcome(saved)["owner"] for _ in range(3)}
    assert len(tokens) == 3 and all(len(token) >= 30 for token in tokens)


def test_a_token_is_kept():
    kept = visitor.welcome(None)
    assert visitor.welcome(kept) == kept


@pytest.mark.parametrize("runs", ["no list", [1, None, "../../etc", "0123456789AB"], [["0123456789ab"]]])
def test_only_run_ids_are_taken_from_a_browser(runs):
    assert visitor.last_runs({"runs": runs}) == []


def test_unknown_runs_are_dropped(lab):
    lab.jobs.submit([spec()], "anna")
    assert visitor.known(lab.store, [spec().run_id, "0123456789ab", spec().run_id], "anna") == [spec().run_id]
    assert record("lora").run_id != ""


def test_packing_is_told_in_time_beside_lora():
    both = [finished("lora"), finished("qlora")]
    (line,) = [line for line in sentences.status(snapshot(*both))["lines"] if "QLoRA took" in line]
    assert line == "A step of QLoRA took 1.0 × one of LoRA here: packed weights are unpacked at each use."
    assert (
        sentences.packed_against_plain(both[1:])
        == sentences.packed_against_plain([both[0], running("qlora", [2.0])])
        == ""
    )
