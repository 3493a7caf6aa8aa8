"""The queue, with an executor that waits to be told: order, places, who may stop what, and what a broken executor does."""

import sqlite3
import threading
import time
from collections.abc import Iterator

import pytest

from experiments import events, jobs
from experiments.jobs import Job, Jobs, QueueFull
from experiments.questions import SampleSpec
from experiments.specs import RunSpec, build
from experiments.store import Key, Store


class Told:
    """An executor whose jobs begin, then wait until the test lets one end; a job nobody wants stops by itself."""

    def __init__(self, store: Store):
        self.store, self.began, self.closed = store, [], False
        self.go = threading.Semaphore(0)
        self.error: Exception | None = None

    def run(self, job: Job) -> None:
        self.began.append(job)
        for key in job.keys:
            if job.kind == "train":
                self.store.append(key, events.Progress(stage="at work"))
        open_keys = list(job.keys)
        while open_keys and not self.closed:
            if self.go.acquire(timeout=0.005):
                if self.error:
                    raise self.error
                for key in open_keys:
                    self.store.append(key, events.Finished(elapsed_s=0.0))
                return
            for key in [k for k in open_keys if not self.store.is_wanted(k)]:
                self.store.append(key, events.Cancelled(step=1))
                open_keys.remove(key)

    def close(self) -> None:
        self.closed = True


@pytest.fixture
def store(tmp_path) -> Store:
    return Store(tmp_path / "lab.sqlite")


@pytest.fixture
def queue(store) -> Iterator[Jobs]:
    queue = Jobs(store, Told(store))
    yield queue
    queue.close()


def spec(seed: int = 0, method: str = "lora") -> RunSpec:
    return build(RunSpec, {"model": "m", "task": "pirate", "method": method, "seed": seed})


def question(seed: int = 0) -> SampleSpec:
    return build(SampleSpec, {"model": "m", "prompt": "Ahoy?", "seed": seed})


def ask_for(queue: Jobs, seed: int, owner: str = "ann") -> Key:
    return queue.submit([spec(seed)], owner)[0].key


def soon(condition, timeout_s: float = 10.0) -> None:
    until = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < until, "it never happened"
        time.sleep(0.005)


def last(queue: Jobs, key: Key) -> str:
    return queue.store.entry(*key).last


def kinds(queue: Jobs, key: Key) -> list[str]:
    return [row.event.kind for row in queue.store.events(key)]


# ---- order


def test_first_come_first_served_with_a_visible_place(queue):
    a, b, c = (ask_for(queue, seed) for seed in range(3))
    soon(lambda: queue.position(a) == 0)
    assert [queue.position(k) for k in (a, b, c)] == [0, 1, 2] and queue.length() == 3
    queue.executor.go.release()
    assert queue.wait([a], 10)
    soon(lambda: queue.position(b) == 0)
    assert [queue.position(k) for k in (a, b, c)] == [None, 0, 1]
    assert not queue.wait([c], 0.05)
    queue.executor.go.release(2)
    assert queue.wait([b, c], 10) and queue.length() == 0
    assert [job.keys for job in queue.executor.began] == [(a,), (b,), (c,)]
    assert [last(queue, k) for k in (a, b, c)] == ["finished"] * 3


def test_several_new_specs_are_one_race_and_the_same_one_twice_is_one_run(queue):
    tickets = queue.submit([spec(), spec(method="prompt"), spec()], "ann")
    assert [t.state for t in tickets] == ["new", "new"]
    queue.executor.go.release()
    assert queue.wait([t.key for t in tickets], 10)
    assert [job.keys for job in queue.executor.began] == [tuple(t.key for t in tickets)]


def test_a_stored_run_is_served_and_run_again_on_request(queue):
    key = ask_for(queue, 0)
    queue.executor.go.release()
    assert queue.wait([key], 10)
    (ticket,) = queue.submit([spec()], "bob")
    assert (ticket.key, ticket.state) == (key, "stored") and queue.length() == 0
    both = queue.submit([spec(), spec(1)], "bob")
    assert [t.state for t in both] == ["stored", "new"]
    (again,) = queue.submit([spec()], "bob", again=True)
    assert again.key == Key(key.run_id, 2) and again.state == "new"


def test_questions_do_not_wait_for_trainings(queue):
    training = ask_for(queue, 0)
    soon(lambda: queue.position(training) == 0)
    ticket = queue.ask(question(), "ann")
    soon(lambda: len(queue.executor.began) == 2)
    assert queue.executor.began[1] == Job("sample", (ticket.key,))
    assert queue.ask(question(), "bob").state == "shared"


# ---- stopping


def test_stop_acts_on_a_run_under_way_and_the_next_one_begins(queue):
    a, b = ask_for(queue, 0), ask_for(queue, 1)
    soon(lambda: queue.position(a) == 0)
    assert queue.cancel([a], "ann") == "Stopping after the step under way."
    assert queue.wait([a], 10) and last(queue, a) == "cancelled"
    soon(lambda: queue.position(b) == 0)


def test_stop_while_waiting_takes_the_job_out_at_once(queue):
    a, b, c = (ask_for(queue, seed) for seed in range(3))
    soon(lambda: queue.position(a) == 0)
    queue.cancel([b], "ann")
    assert queue.position(b) is None and queue.position(c) == 1
    assert kinds(queue, b) == ["queued", "cancelled"] and queue.store.events(b)[-1].event.step == 0
    queue.executor.go.release(2)
    assert queue.wait([c], 10)
    assert [job.keys for job in queue.executor.began] == [(a,), (c,)]  # b never began


def test_nobody_stops_somebody_elses_run(queue):
    running, waiting = ask_for(queue, 0), ask_for(queue, 1)
    soon(lambda: queue.position(running) == 0)
    assert "somebody else's" in queue.cancel([running, waiting], "eve")
    assert queue.position(waiting) == 1 and queue.store.is_wanted(running)
    queue.executor.go.release(2)
    assert queue.wait([running, waiting], 10)
    assert last(queue, running) == last(queue, waiting) == "finished"


def test_two_who_start_the_same_run_share_it_until_both_have_left(queue):
    key = ask_for(queue, 0, "ann")
    (shared,) = queue.submit([spec(0)], "bob")
    assert (shared.key, shared.state) == (key, "shared") and queue.length() == 1
    soon(lambda: queue.position(key) == 0)
    assert "still want it" in queue.cancel([key], "ann")
    time.sleep(0.05)  # ten looks of the executor
    assert queue.position(key) == 0 and last(queue, key) == "progress"
    assert queue.cancel([key], "bob") == "Stopping after the step under way."
    assert queue.wait([key], 10) and last(queue, key) == "cancelled"
    assert len(queue.executor.began) == 1


def test_a_waiting_run_that_is_shared_stays_until_both_have_left(queue):
    first, key = ask_for(queue, 0), ask_for(queue, 1, "ann")
    queue.submit([spec(1)], "bob")
    soon(lambda: queue.position(first) == 0)
    queue.cancel([key], "ann")
    assert queue.position(key) == 1
    queue.cancel([key], "bob")
    assert queue.position(key) is None and last(queue, key) == "cancelled"


def test_one_run_of_a_race_can_be_stopped_alone(queue):
    tickets = queue.submit([spec(), spec(method="prompt")], "ann")
    soon(lambda: queue.length() == 1 and queue.position(tickets[0].key) == 0)
    queue.cancel([tickets[0].key], "ann")
    soon(lambda: last(queue, tickets[0].key) == "cancelled")
    queue.executor.go.release()
    assert queue.wait([t.key for t in tickets], 10) and last(queue, tickets[1].key) == "finished"


# ---- limits and failures


def test_a_full_queue_refuses_and_leaves_nothing_behind(queue, monkeypatch):
    monkeypatch.setattr(jobs, "MOST_WAITING", 2)
    running = ask_for(queue, 0)
    soon(lambda: queue.position(running) == 0)
    ask_for(queue, 1), ask_for(queue, 2)
    with pytest.raises(QueueFull, match="2 trainings are waiting already"):
        ask_for(queue, 3)
    assert queue.store.entry(spec(3).run_id) is None and queue.length() == 3


def test_a_full_queue_of_questions_refuses(queue, monkeypatch):
    monkeypatch.setattr(jobs, "MOST_WAITING", 2)
    queue.ask(question(0), "ann"), queue.ask(question(1), "ann")
    with pytest.raises(QueueFull):
        queue.ask(question(2), "ann")
    queue.executor.go.release(2)
    soon(lambda: queue._answering == 0)
    assert queue.ask(question(2), "ann").state == "new"


def test_an_executor_that_raises_fails_its_job_with_the_cause_and_the_next_begins(queue):
    queue.executor.error = RuntimeError("The worker process was killed.")
    a, b = ask_for(queue, 0), ask_for(queue, 1)
    queue.executor.go.release()
    assert queue.wait([a], 10)
    failed = queue.store.events(a)[-1].event
    assert failed.kind == "failed" and failed.cause == "The worker process was killed." and failed.advice
    queue.executor.error = None
    queue.executor.go.release()
    assert queue.wait([b], 10) and last(queue, b) == "finished"
    (retry,) = queue.submit([spec(0)], "ann")
    assert retry.key.attempt == 2 and retry.state == "new"


def test_only_what_had_no_end_fails(queue):
    """A race in which one run had ended before the executor died."""
    queue.executor.error = RuntimeError("gone")
    a, b = (t.key for t in queue.submit([spec(), spec(method="full")], "ann"))
    soon(lambda: last(queue, b) == "progress")
    queue.store.append(a, events.Finished(elapsed_s=1.0))
    queue.executor.go.release()
    assert queue.wait([a, b], 10)
    assert last(queue, a) == "finished" and last(queue, b) == "failed"


def test_closing_interrupts_what_is_under_way(queue):
    key = ask_for(queue, 0)
    soon(lambda: queue.position(key) == 0)
    queue.close()
    soon(lambda: last(queue, key) == "interrupted")


def test_many_people_at_once(queue):
    """Thirty press the same preset: one training; each of them may look at its place."""
    tickets, threads = [], []
    for i in range(30):
        threads.append(threading.Thread(target=lambda i=i: tickets.extend(queue.submit([spec()], f"student {i}"))))
        threads[-1].start()
    for thread in threads:
        thread.join()
    assert sorted(t.state for t in tickets) == ["new"] + ["shared"] * 29
    assert len({t.key for t in tickets}) == 1 and queue.length() == 1
    assert len(queue.store.owners(tickets[0].key)) == 30


# ---- a full disk


def test_a_disk_that_fills_is_a_sentence_and_the_queue_goes_on_once_there_is_room(queue, monkeypatch):
    first = ask_for(queue, 0)
    soon(lambda: queue.executor.began)
    append, open_run = Store.append, Store.open

    def full(*_, **__):
        raise sqlite3.OperationalError("database or disk is full")

    monkeypatch.setattr(Store, "append", full)
    monkeypatch.setattr(Store, "open", full)
    queue.executor.go.release()  # it cannot say that it ended
    assert queue.wait([first], 10)
    with pytest.raises(QueueFull, match="disk of this lab is full"):
        ask_for(queue, 1)
    with pytest.raises(QueueFull, match="disk of this lab is full"):
        queue.ask(question(), "ann")
    monkeypatch.setattr(Store, "append", append)
    monkeypatch.setattr(Store, "open", open_run)
    second = ask_for(queue, 1)
    assert last(queue, first) == "failed"
    queue.executor.go.release()
    assert queue.wait([second], 10) and last(queue, second) == "finished"


def test_two_that_settle_at_once_write_one_end(queue, monkeypatch):
    """Whoever asks for a run and the queue's own thread may both find an end owed."""
    key = ask_for(queue, 0)
    soon(lambda: queue.executor.began)
    queue._owed[key] = events.Failed(cause="no room", advice="again")
    second, entry, inside, wrong = threading.Event(), Store.entry, [], []

    def slow(store, *which):
        found = entry(store, *which)
        if threading.current_thread().name == "first":
            inside.append(found)
            second.wait(0.3)  # the other gets as far as it can between the question and the writing
        return found

    def settle():
        try:
            queue._settle()
        except ValueError as error:
            wrong.append(error)

    monkeypatch.setattr(Store, "entry", slow)
    threads = [threading.Thread(target=settle, name=name) for name in ("first", "second")]
    threads[0].start()
    soon(lambda: inside)
    threads[1].start()
    threads[1].join(0.1)
    second.set()
    [thread.join() for thread in threads]
    assert wrong == [] and last(queue, key) == "failed"
