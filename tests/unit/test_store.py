"""The store: append-only, one training for two who ask at once, several readers and writers, and what a dead writer left."""

import os
import signal
import sqlite3
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from experiments import events
from experiments.catalog.cache import ResourceError
from experiments.store import Key, Store, is_alive, opened, this_process, unusable

ROOT = Path(__file__).parents[2]
END = events.Finished(elapsed_s=1.0)


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "home" / "lab.sqlite")


def child(store: Store, code: str) -> "subprocess.Popen[str]":
    """Another process on the same file. It says "ready", waits for a line, then runs the code."""
    head = "import sys\nfrom pathlib import Path\nfrom experiments import events\nfrom experiments.store import *\n"
    head += f"store = Store(Path({str(store.path)!r}))\nprint('ready', flush=True)\nsys.stdin.readline()\n"
    process = subprocess.Popen([sys.executable, "-c", head + code], cwd=ROOT, text=True, stdin=-1, stdout=-1)
    assert process.stdout.readline() == "ready\n"
    return process


def step(number: int) -> events.Stepped:
    return events.Stepped(step=number, loss=1.0, gradient_norm=None, learning_rate=0.1, tokens=1, train_s=0.1)


def content(store: Store) -> list[tuple]:
    with sqlite3.connect(store.path) as db:
        return db.execute("SELECT * FROM events ORDER BY time_s, run_id, attempt, seq").fetchall()


def test_a_folder_or_a_file_that_cannot_be_used_is_named_with_what_to_do(tmp_path):
    (tmp_path / "file").write_text("")
    (tmp_path / "damaged").mkdir()
    (tmp_path / "damaged" / "lab.sqlite").write_bytes(bytes(range(256)) * 40)
    (tmp_path / "folder" / "lab.sqlite").mkdir(parents=True)
    for home, words in {
        "/proc/x": "^Cannot write to /proc/x: .*; set LAB_HOME to another folder.$",
        tmp_path
        / "file": "^Cannot write to .*/file: a file is where a folder should be; set LAB_HOME to another folder.$",
        tmp_path / "damaged": "/damaged/lab.sqlite is damaged .*: move it away .*, or set LAB_HOME to another folder.$",
        tmp_path / "folder": "/folder/lab.sqlite cannot be read or written .*, or set LAB_HOME to another folder.$",
    }.items():
        with pytest.raises(ResourceError, match=words):
            opened(Path(home))
    assert "database is locked" in unusable(tmp_path, sqlite3.OperationalError("database is locked"))
    assert opened(tmp_path / "new").path == tmp_path / "new" / "lab.sqlite"


# ---- asking


def test_new_shared_stored_again(store):
    key, state = store.open("run", "train", "{}", "ann")
    assert (key, state) == (Key("run", 1), "new")
    assert store.open("run", "train", "{}", "bob") == (key, "shared")
    assert store.open("run", "train", "{}", "bob", again=True) == (key, "shared")  # it is under way for all
    assert set(store.owners(key)) == {"ann", "bob"}
    store.append(key, END)
    assert store.open("run", "train", "{}", "eve") == (key, "stored")
    assert store.open("run", "train", "{}", "eve", again=True) == (Key("run", 2), "new")
    assert store.entry("run").key == Key("run", 2) and store.entry("run", 1).last == "finished"


@pytest.mark.parametrize("end", [events.Failed(cause="x"), events.Cancelled(step=1), events.Interrupted()])
def test_what_did_not_finish_is_tried_again(store, end):
    key, _ = store.open("run", "train", "{}", "ann")
    store.append(key, end)
    assert store.open("run", "train", "{}", "ann") == (Key("run", 2), "new")
    assert [r.event.kind for r in store.events(key)] == ["queued", end.kind]  # the first attempt stays as it was


def test_owners_leave_one_by_one(store):
    key, _ = store.open("run", "train", "{}", "ann")
    store.open("run", "train", "{}", "bob")
    assert not store.leave(key, "eve") and store.is_wanted(key)
    assert store.leave(key, "ann") and store.is_wanted(key) and store.owners(key) == ("bob",)
    assert store.leave(key, "bob") and not store.is_wanted(key)
    store.open("run", "train", "{}", "ann")  # somebody wants it after all
    assert store.is_wanted(key)


def test_lists_are_newest_first_and_by_owner(store):
    for name, who in (("a", "ann"), ("b", "bob"), ("c", "ann")):
        store.open(name, "train", "{}", who)
    store.open("q", "sample", "{}", "ann")
    assert [e.key.run_id for e in store.entries()] == ["c", "b", "a"]
    assert [e.key.run_id for e in store.entries(owner="ann")] == ["c", "a"]
    assert [e.key.run_id for e in store.entries(limit=1)] == ["c"]
    assert [e.key.run_id for e in store.entries(kind="sample")] == ["q"]
    assert store.entry("nothing") is None and store.entry("a", 7) is None


# ---- events


def test_events_come_back_in_order_and_after_a_number(store):
    key, _ = store.open("run", "train", "{}", "ann")
    numbers = [store.append(key, step(i)) for i in (1, 2, 3)]
    assert numbers == [1, 2, 3]
    rows = store.events(key)
    assert [r.seq for r in rows] == [0, 1, 2, 3] and rows[1].event == step(1)
    assert [r.time_s for r in rows] == sorted(r.time_s for r in rows)
    assert [r.seq for r in store.events(key, after=2)] == [3] and store.events(key, after=3) == []
    assert store.last_kind(key) == "stepped" and store.last_kind(Key("no", 1)) is None


def test_a_loss_that_is_no_number_is_read_back_as_missing(store):
    key, _ = store.open("run", "train", "{}", "ann")
    diverged = events.Stepped(step=1, loss=None, gradient_norm=None, learning_rate=10, tokens=1, train_s=0.1)
    store.append(key, diverged)
    assert store.events(key)[-1].event == diverged


def test_a_store_that_is_full_keeps_what_it_has_and_opens_again(store):
    key, _ = store.open("run", "train", "{}", "ann")
    (pages,) = store.connection.execute("PRAGMA page_count").fetchone()
    store.connection.execute(f"PRAGMA max_page_count = {pages + 1}")
    long = events.Failed(cause="x" * 3000)
    with pytest.raises(sqlite3.OperationalError, match="full"):
        for i in range(1, 20):
            store.append(key, step(i).model_copy(update={"loss": 1.5}))
            store.append(store.open(f"run {i}", "train", "{}" * 1000, "ann")[0], long)
    before = [row.event for row in store.events(key)]
    again = Store(store.path)
    assert [row.event for row in again.events(key)] == before and before
    again.append(key, END)
    assert again.last_kind(key) == END.kind and again.reap() == []


def test_nothing_comes_after_an_end(store):
    key, _ = store.open("run", "train", "{}", "ann")
    store.append(key, END)
    before = content(store)
    for late in (step(1), END, events.Cancelled(step=1)):
        with pytest.raises(ValueError, match="has ended"):
            store.append(key, late)
    assert content(store) == before


def test_what_was_written_is_never_changed(store):
    """Whatever is done next, the rows so far stay as they are."""
    key, _ = store.open("run", "train", "{}", "ann")
    doings = [
        lambda: store.append(key, step(1)),
        lambda: store.leave(key, "ann"),
        lambda: store.append(key, END),
        lambda: store.open("run", "train", "{}", "ann", again=True),
        lambda: store.append(Key("run", 2), step(1)),
        lambda: store.reap(),
        lambda: store.remember("speed", 1),
        lambda: Store(store.path).events(key),
    ]
    seen = content(store)
    for do in doings:
        do()
        assert content(store)[: len(seen)] == seen
        seen = content(store)
    assert len(seen) == 5


def test_a_refused_transaction_leaves_nothing(store):
    with pytest.raises(sqlite3.Error):
        store.open("run", "train", object(), "ann")  # type: ignore[arg-type]
    assert store.entries() == [] and content(store) == []
    assert store.open("run", "train", "{}", "ann")[1] == "new"


def test_facts_are_kept(store):
    assert store.recall("speed") is None
    store.remember("speed", {"a": 1.5})
    store.remember("speed", {"a": 2.5})
    assert Store(store.path).recall("speed") == {"a": 2.5}


# ---- several at once


def test_the_file_is_in_wal_mode_and_readers_do_not_wait(store):
    key, _ = store.open("run", "train", "{}", "ann")
    with sqlite3.connect(store.path, isolation_level=None) as writer:
        assert writer.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        writer.execute("BEGIN IMMEDIATE")
        writer.execute("INSERT INTO facts VALUES ('half', '1')")
        assert [r.seq for r in store.events(key)] == [0] and store.recall("half") is None
        writer.execute("ROLLBACK")


def test_two_processes_write_one_run_at_once(store):
    key, _ = store.open("run", "train", "{}", "ann")
    code = "for i in range(100): store.append(Key('run', 1), events.Progress(stage=sys.argv[0], done=i))"
    writers = [child(store, code) for _ in range(2)]
    for writer in writers:
        writer.stdin.write("\n")
        writer.stdin.flush()
    seen = -1
    while any(w.poll() is None for w in writers):  # a reader keeps up meanwhile, and sees no gap
        for row in store.events(key, seen):
            assert row.seq == seen + 1
            seen = row.seq
    assert [w.wait() for w in writers] == [0, 0]
    rows = store.events(key)
    assert [r.seq for r in rows] == list(range(201))
    assert sorted(r.event.done for r in rows[1:]) == sorted(2 * list(range(100)))


def test_two_processes_that_ask_at_once_get_one_training(store):
    code = "print(*[store.open(f'run{i}', 'train', '{}', str(os.getpid()))[1] for i in range(30)], flush=True)"
    code += "; sys.stdin.readline()"  # stays alive, as a dead one's runs would be the other's
    askers = [child(store, code) for _ in range(2)]
    for asker in askers:
        asker.stdin.write("\n")
        asker.stdin.flush()
    answers = [asker.stdout.readline().split() for asker in askers]
    for asker in askers:
        asker.communicate("\n")
    assert all({a, b} == {"new", "shared"} for a, b in zip(*answers, strict=True))
    assert len(content(store)) == 30


def test_many_threads_share_one_store(store):
    key, _ = store.open("run", "train", "{}", "ann")
    threads = [threading.Thread(target=lambda: [store.append(key, step(i)) for i in range(20)]) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [r.seq for r in store.events(key)] == list(range(101))


# ---- a writer that is gone


def killed_writer(store: Store) -> Key:
    """A run whose process asked for it, wrote a step and was killed."""
    writer = child(
        store,
        "key, _ = store.open('run', 'train', '{}', 'ann')\n"
        "store.append(key, events.Progress(stage='a'))\nprint('wrote', flush=True)\nsys.stdin.readline()",
    )
    writer.stdin.write("\n")
    writer.stdin.flush()
    assert writer.stdout.readline() == "wrote\n"
    assert store.reap() == []  # it lives: nothing to mark
    writer.send_signal(signal.SIGKILL)
    assert writer.wait() == -signal.SIGKILL
    return Key("run", 1)


def test_a_dead_writers_run_is_marked_interrupted_with_its_events(store):
    key = killed_writer(store)
    assert store.entry("run").last == "progress"
    assert store.reap() == [key]
    assert [r.event.kind for r in store.events(key)] == ["queued", "progress", "interrupted"]
    assert store.reap() == []


def test_asking_for_a_dead_writers_run_starts_it_anew(store):
    key = killed_writer(store)
    assert store.open("run", "train", "{}", "bob") == (Key("run", 2), "new")
    assert store.entry("run", 1).last == "interrupted" and store.events(key)[-1].event == events.Interrupted()


def test_a_reused_process_number_is_not_taken_for_the_writer():
    me = this_process()
    assert is_alive(me)
    assert not is_alive(f"{os.getpid()}:{float(me.split(':')[1]) - 100:.2f}")
    assert not is_alive("") and not is_alive("x:y") and not is_alive("999999999:1.0")
