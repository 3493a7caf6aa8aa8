"""What a start would take: calculated at once, measured in two steps on a press, and told from the store alone."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest

from experiments import calibrated, events, jobs, specs
from experiments.catalog.own_data import keep
from experiments.jobs import Jobs
from experiments.questions import CalibrateSpec
from experiments.specs import RunSpec
from experiments.store import Store
from lab_app import own, setup, two_steps
from lab_app.lab import Lab

ANNA, BERT = "anna-" + "a" * 30, "bert-" + "b" * 30
FOUND = calibrated.Calibration(a_step_s=0.5, around_s=10, peak_mb=700)
NOTHING = {"busy": False, "said": ""}


class Measures:
    """An executor that waits to be told, then measures; where it has an `end`, that comes instead."""

    def __init__(self, store: Store):
        self.store, self.go, self.end = store, threading.Semaphore(0), None

    def run(self, job) -> None:
        (key,) = job.keys
        self.store.append(key, events.Progress(stage="Loading the model"))
        self.go.acquire(timeout=10)
        if self.end is None:
            run = CalibrateSpec.model_validate_json(self.store.entry(*key).spec).run
            calibrated.keep(self.store, run, FOUND)
            self.store.append(key, events.Calibrated(**FOUND.model_dump()))
        self.store.append(key, self.end or events.Finished(elapsed_s=0.1))

    def warm(self, model) -> None: ...

    def close(self) -> None:
        self.go.release(20)


@pytest.fixture
def lab(home) -> Iterator[Lab]:
    store = Store(home / "lab.sqlite")
    queue = Jobs(store, Measures(store))
    yield Lab(home, store, queue)
    queue.close()


def typed(**changes) -> setup.Draft:
    return setup.Draft.read({**setup.start(), "methods": ["lora", "prompt"], "edit": 3, **changes})


def press(lab: Lab, form: setup.Draft, owner: str = ANNA) -> setup.Draft:
    """The form after a press of the button."""
    wanted, problems = setup.order(form, with_weights=True)
    assert not problems
    return form.model_copy(update={"asked": two_steps.ask(lab, wanted, owner, form.edit)})


def ended(lab: Lab, form: setup.Draft) -> dict:
    """What the form shows once nothing is under way."""
    until = time.monotonic() + 10
    while (shown := setup.consequences(lab, form))["measuring"]["busy"]:
        assert time.monotonic() < until
        time.sleep(0.01)
    return shown


def test_memory_is_calculated_before_anything_was_measured(lab):
    shown = setup.consequences(lab, typed())
    for _, text in shown["costs"]["lines"]:
        assert " MB of memory at its highest (calculated)." in text
    assert "after the first run" in shown["costs"]["time"] and shown["measuring"] == {
        **NOTHING,
        "button": two_steps.MEASURE,
    }
    assert setup.consequences(lab, typed(train={"steps": "x"}))["measuring"]["button"] == ""


def test_two_steps_are_shown_under_way_and_then_their_time_and_peak(lab):
    form = press(lab, typed())
    shown = setup.consequences(lab, form)["measuring"]
    assert shown["busy"] and shown["said"].startswith("Two steps are under way: 0 of 2 measured.")
    lab.jobs.executor.go.release(2)
    shown = ended(lab, form)
    assert shown["measuring"] == {**NOTHING, "button": two_steps.AGAIN}
    assert shown["costs"]["time"] == "About 60 s: LoRA 30 s, Prompt 30 s (from two steps of it here)."
    assert all(
        t.endswith(" Needs 700 MB of memory at its highest (measured in two steps).")
        for _, t in shown["costs"]["lines"]
    )
    others = setup.consequences(lab, typed(train={"steps": "100"}, seed="5"))  # kept for whoever asks, of any length
    assert (
        others["costs"]["time"].startswith("About 2 min: LoRA 60 s")
        and others["measuring"]["button"] == two_steps.AGAIN
    )


def test_what_was_measured_can_be_measured_again(lab, monkeypatch):
    """A machine that was busy says too much."""
    lab.jobs.executor.go.release(4)
    form = press(lab, typed())
    ended(lab, form)
    monkeypatch.setitem(globals(), "FOUND", FOUND.model_copy(update={"a_step_s": 0.25}))
    again = press(lab, form)
    assert list(again.asked["ids"]) == ["lora", "prompt"]
    assert ended(lab, again)["costs"]["time"].startswith("About 40 s: LoRA 20 s, Prompt 20 s")


def test_only_what_is_left_is_measured_and_nothing_starts_for_another_form(lab):
    lab.jobs.executor.go.release(1)
    ended(lab, press(lab, typed(methods=["lora"])))
    both = typed()
    assert setup.consequences(lab, both)["measuring"] == {
        **NOTHING,
        "button": two_steps.MEASURE,
    }  # looking starts nothing
    assert list(press(lab, both).asked["ids"]) == ["prompt"]
    assert len(lab.store.entries("sample")) == 2


def test_what_failed_is_told_to_the_form_that_asked_and_can_be_tried_again(lab):
    lab.jobs.executor.end = events.Failed(cause="There was not enough memory.", advice="Try a smaller batch.")
    lab.jobs.executor.go.release(2)
    form = press(lab, typed(methods=["lora"]))
    shown = ended(lab, form)["measuring"]
    assert shown == {
        "busy": False,
        "said": "LoRA: There was not enough memory. Try a smaller batch.",
        "button": two_steps.MEASURE,
    }
    assert setup.consequences(lab, form.model_copy(update={"edit": 4}))["measuring"]["said"] == ""
    assert setup.consequences(lab, typed(methods=["lora"]))["measuring"]["said"] == ""
    lab.jobs.executor.end = None
    assert ended(lab, press(lab, form))["measuring"] == {**NOTHING, "button": two_steps.AGAIN}


def test_a_full_queue_is_one_sentence(lab, monkeypatch):
    monkeypatch.setattr(jobs, "MOST_WAITING", 0)
    form = press(lab, typed())
    assert form.asked["ids"] == {}
    assert (
        setup.consequences(lab, form)["measuring"]["said"]
        == "Many questions are waiting already; try again in a moment."
    )


def test_rows_and_trainers_of_others_are_not_measured(lab):
    """Rows are given to who brought them; a trainer of TRL's takes other steps than the lab's."""
    rows = "prompt,chosen,rejected\n" + "".join(f"What is {i}?,It is {i}.,No {i}.\n" for i in range(30))
    brought = own.bring_rows({"kind": "text", "text": rows, "model": "lab-nano"}, ANNA)
    about = {
        "model": "lab-nano",
        "method": "lora",
        "task": brought["key"],
        "data": {"prompt": "prompt", "completion": "chosen"},
    }
    spec = specs.build(RunSpec, about)
    assert not keep.owns(spec.task, BERT) and "These rows are not yours" in two_steps.ask(lab, [spec], BERT, 0)["said"]
    pairs = {**about, "data": {**about["data"], "rejected": "rejected"}, "objective": "dpo"}
    assert two_steps.ask(lab, [specs.build(RunSpec, pairs)], ANNA, 0) == {"ids": {}, "said": "", "edit": 0}
    assert lab.store.entries("sample") == []


def test_runs_of_others_to_build_on_are_refused_as_the_run_is(lab):
    about = {"model": "lab-nano", "weights": "w", "task": "storyteller", "method": "adapter-fusion"}
    spec = specs.build(RunSpec, {**about, "settings": {"runs": ["0" * 12, "1" * 12]}})
    assert two_steps.ask(lab, [spec], ANNA, 0)["said"].endswith("is not a finished run of this lab.")


@pytest.mark.parametrize(
    "asked",
    [
        {"ids": {"lora": "q0"}},
        {"ids": {"lora": ["q" * 13]}},
        {"ids": 7, "said": 7, "edit": 3},
        {"ids": {"lora": "q" + "0" * 12}},
    ],
)
def test_the_browser_may_send_anything(lab, asked):
    assert two_steps.told(lab, asked, 3) == NOTHING
