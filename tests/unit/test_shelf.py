"""The shelf: who sees which run, names and notes of one's own, delete with undo, and what the sweep may throw away."""

from __future__ import annotations

import json
import sqlite3

import pytest

from experiments import analysis, events, gists, shelf, states
from experiments.store import Key, Store
from tests.unit.runs import put, spec, told

OLD = """
CREATE TABLE runs (
    run_id TEXT, attempt INTEGER, kind TEXT, spec TEXT, created_s REAL, writer TEXT, PRIMARY KEY (run_id, attempt));
CREATE TABLE events (
    run_id TEXT, attempt INTEGER, seq INTEGER, time_s REAL, kind TEXT, body TEXT,
    PRIMARY KEY (run_id, attempt, seq)) WITHOUT ROWID;
CREATE TABLE wanted (
    run_id TEXT, attempt INTEGER, owner TEXT, active INTEGER, PRIMARY KEY (run_id, attempt, owner)) WITHOUT ROWID;
CREATE TABLE facts (key TEXT PRIMARY KEY, value TEXT) WITHOUT ROWID;
CREATE INDEX runs_by_time ON runs (kind, created_s);
"""
"""The tables of version 0.1.0."""


@pytest.fixture
def store(tmp_path) -> Store:
    return Store(tmp_path / "home" / "lab.sqlite")


def ids(store: Store, owner: str, opened: tuple[str, ...] = ()) -> list[str]:
    return [item.entry.key.run_id for item in shelf.items(store, owner, opened)]


def private(seed: int = 0) -> str:
    """The JSON of a spec on a visitor's own data."""
    return spec(seed=seed).model_copy(update={"task": "data:" + 32 * "0"}).model_dump_json()


# ---- who sees what


def test_a_visitor_sees_their_own_and_the_command_lines_newest_first(store):
    mine, cli, other = spec(seed=1), spec(seed=2), spec(seed=3)
    put(store, mine, "ann")
    put(store, cli, "command line 77")
    put(store, other, "bob")
    assert ids(store, "ann") == [cli.run_id, mine.run_id]
    assert ids(store, "bob") == [other.run_id, cli.run_id]
    assert [i.origin for i in shelf.items(store, "ann", (other.run_id,))] == ["opened by link", "command line", "yours"]
    assert ids(store, "") == [cli.run_id]
    assert ids(store, "nobody%") == ids(store, "") == ids(store, "' OR 1=1 --")


def test_a_run_on_own_data_is_nobody_elses(store):
    for owner in ("ann", "command line 77"):
        store.open(f"p-{owner}", "train", private(), owner)
    assert ids(store, "ann", ("p-ann",)) == ["p-ann"]
    assert ids(store, "bob", ("p-ann", "p-command line 77")) == []
    assert shelf.may_see(store, "p-ann", "ann")
    assert not any(shelf.may_see(store, "p-ann", who) for who in ("bob", "", "command line 77"))
    put(store, spec(seed=1), "ann")
    assert shelf.may_see(store, spec(seed=1).run_id, "bob") and not shelf.may_see(store, "none", "ann")


def test_the_latest_attempt_is_the_one_that_is_listed(store):
    key = put(store, spec(), "ann")
    store.open(key.run_id, "train", spec().model_dump_json(), "bob", again=True)
    (item,) = shelf.items(store, "ann")
    assert item.entry.key == Key(key.run_id, 2) and item.entry.last == "queued" and item.origin == "yours"
    assert item.gist["status"] == "queued" and item.gist["loss"] is None
    assert [i.entry.key.attempt for i in shelf.everything(store)] == [2, 1]


# ---- names, notes, pins


def test_each_owner_has_names_of_their_own(store):
    key = put(store, spec(), "ann")
    put(store, spec(), "bob")
    shelf.rename(store, "ann", key.run_id, "  first\ntry\x00 <b> ")
    shelf.annotate(store, "ann", key.run_id, "line one\nline two\x1b")
    shelf.pin(store, "ann", key.run_id, True)
    (mine,), (theirs,) = shelf.items(store, "ann"), shelf.items(store, "bob")
    assert (mine.name, mine.note, mine.pinned) == ("first try <b>", "line one\nline two", True)
    assert (theirs.name, theirs.note, theirs.pinned) == ("", "", False)
    shelf.pin(store, "ann", key.run_id, False)
    shelf.rename(store, "ann", key.run_id, "")
    assert shelf.items(store, "ann")[0].name == "" and not shelf.items(store, "ann")[0].pinned


def test_others_runs_are_read_only(store):
    key = put(store, spec(), "ann")
    for do in (
        lambda: shelf.rename(store, "bob", key.run_id, "x"),
        lambda: shelf.annotate(store, "", key.run_id, "x"),
        lambda: shelf.pin(store, "bob", key.run_id, True),
        lambda: shelf.undo_delete(store, "bob", [key.run_id]),
    ):
        with pytest.raises(shelf.NotYours):
            do()
    assert shelf.delete(store, "bob", [key.run_id]) == []
    assert ids(store, "ann") == [key.run_id]


def test_a_text_over_its_limit_is_refused_with_its_length(store):
    key = put(store, spec(), "ann")
    with pytest.raises(ValueError, match="at most 80 characters; this one has 81"):
        shelf.rename(store, "ann", key.run_id, "x" * 81)
    with pytest.raises(ValueError, match="A note has at most 2,000"):
        shelf.annotate(store, "ann", key.run_id, "x" * 2001)


# ---- delete, undo, sweep


def test_delete_hides_for_its_owner_and_undo_brings_all_of_it_back(store):
    key = put(store, spec(), "ann")
    put(store, spec(), "bob")
    shelf.rename(store, "ann", key.run_id, "kept name")
    before = store.events(key)
    assert shelf.delete(store, "ann", [key.run_id]) == [key.run_id]
    assert ids(store, "ann") == [] and ids(store, "bob") == [key.run_id]
    shelf.undo_delete(store, "ann", [key.run_id])
    assert shelf.items(store, "ann")[0].name == "kept name"
    assert store.events(key) == before


def test_asking_for_a_deleted_run_takes_it_out_of_the_bin(store):
    key = put(store, spec(), "ann")
    shelf.delete(store, "ann", [key.run_id])
    put(store, spec(), "ann")
    assert ids(store, "ann") == [key.run_id]


def test_a_run_under_way_is_not_deleted(store):
    key = put(store, spec(), "ann", end=False)
    assert shelf.delete(store, "ann", [key.run_id]) == []
    assert store.is_wanted(key) and ids(store, "ann") == [key.run_id]


def test_only_what_nobody_keeps_is_swept(store, tmp_path):
    shared, alone, kept = spec(seed=1), spec(seed=2), spec(seed=3)
    for run, owners in ((shared, ("ann", "bob")), (alone, ("ann",)), (kept, ("ann",))):
        for owner in owners:
            key = put(store, run, owner)
        folder = shelf.adapter_folder(key, tmp_path)
        folder.mkdir(parents=True)
        (folder / "adapter_model.safetensors").write_bytes(b"x")
    shelf.delete(store, "ann", [shared.run_id, alone.run_id])
    assert shelf.sweep(store, tmp_path) == []  # there is a day to think better of it
    assert shelf.sweep(store, tmp_path, older_s=-1) == [Key(alone.run_id, 1)]
    left = sorted(folder.name for folder in (tmp_path / "adapters").iterdir())
    assert left == sorted([f"{shared.run_id}-1", f"{kept.run_id}-1"])
    assert [r.event.kind for r in store.events(Key(alone.run_id, 1))][-1] == "finished"
    assert shelf.sweep(store, tmp_path, older_s=-1) == []
    assert store.open(alone.run_id, "train", alone.model_dump_json(), "eve") == (Key(alone.run_id, 2), "new")
    assert store.open(kept.run_id, "train", kept.model_dump_json(), "eve")[1] == "stored"


def test_a_run_that_is_swept_takes_its_checkpoint_and_its_looks_along(store, tmp_path):
    key = put(store, spec(seed=1))
    store.open(key.run_id, "train", spec(seed=1).model_dump_json(), "bob", again=True)
    for event in told():
        store.append(Key(key.run_id, 2), event)
    for place in (states.FOLDER, states.LOOKS):
        (tmp_path / place / key.run_id / "4").mkdir(parents=True)
    shelf.delete(store, "ann", [key.run_id])
    assert shelf.sweep(store, tmp_path, older_s=-1) == [] and states.looks(tmp_path, key.run_id) == [4]  # bob keeps it
    shelf.delete(store, "bob", [key.run_id])
    assert sorted(shelf.sweep(store, tmp_path, older_s=-1)) == [key, Key(key.run_id, 2)]
    assert not list((tmp_path / states.FOLDER).iterdir()) and not list((tmp_path / states.LOOKS).iterdir())


# ---- gists


def test_a_gist_says_what_the_whole_fold_says(store):
    run = spec(rank=4, steps=5)
    key = put(store, run)
    (item,) = shelf.items(store, "ann")
    whole = analysis.load(store, key.run_id)
    assert item.gist == gists.of_record(whole) == json.loads(json.dumps(item.gist))
    assert item.gist["held_out"] == 0.8 and item.gist["base_held_out"] == 3.1 and item.gist["score"] == 96.0
    assert item.gist["step"] == 5 and item.gist["step_s"] == whole.seconds_per_step == 0.5
    assert shelf.flat(item)["rank"] == 4 and shelf.flat(item)["targets"] == "all-linear"


def test_gists_of_ended_runs_are_made_once(store, monkeypatch):
    put(store, spec(seed=1))
    put(store, spec(seed=2), end=False)
    first = shelf.items(store, "ann")
    made = []
    make = gists.make
    monkeypatch.setattr(gists, "make", lambda entry, rows: made.append(entry.key.run_id) or make(entry, rows))
    assert shelf.items(store, "ann") == first
    assert made == [spec(seed=2).run_id]
    monkeypatch.setattr(gists, "VERSION", gists.VERSION + 1)  # other fields: made anew
    shelf.items(store, "ann")
    assert sorted(made) == sorted([spec(seed=2).run_id, spec(seed=1).run_id, spec(seed=2).run_id])


def test_a_run_of_a_task_that_is_gone_is_still_listed(store):
    store.open("gone", "train", json.dumps({"task": "no-such-task", "method": "lora", "settings": {"rank": 3}}), "ann")
    (item,) = shelf.items(store, "ann")
    assert item.gist["task"] == "no-such-task" and shelf.flat(item)["rank"] == 3 and item.gist["status"] == "queued"


def test_many_and_few_runs_give_the_same_gists(store):
    """Fifty are read in another way than five."""
    for seed in range(60):
        put(store, spec(seed=seed))
    many = shelf.items(store, "ann")
    again = shelf.items(store, "ann")
    assert many == again and len(many) == 60
    entries = [item.entry for item in many]
    assert gists.gists(store, entries[:5]) == [item.gist for item in many[:5]]


# ---- a store of an earlier version


def test_a_store_of_version_0_1_0_opens_with_all_it_holds(tmp_path):
    path, run = tmp_path / "lab.sqlite", spec()
    with sqlite3.connect(path) as db:
        db.executescript(OLD)
        db.execute("INSERT INTO runs VALUES (?, 1, 'train', ?, 1.5, '1:1.00')", (run.run_id, run.model_dump_json()))
        db.execute("INSERT INTO wanted VALUES (?, 1, 'ann', 1)", (run.run_id,))
        for seq, event in enumerate([events.Queued(), *told()]):
            body = event.model_dump_json(exclude_none=True)
            db.execute("INSERT INTO events VALUES (?, 1, ?, ?, ?, ?)", (run.run_id, seq, float(seq), event.kind, body))
    for _ in range(2):  # and once more, now that it is of this version
        store = Store(path)
        (item,) = shelf.items(store, "ann")
        assert item.entry.key == Key(run.run_id, 1) and item.gist["held_out"] == 0.8
        assert len(store.events(item.entry.key)) == 8
    shelf.rename(store, "ann", run.run_id, "old one")
    assert shelf.items(Store(path), "ann")[0].name == "old one"
    assert store.open(run.run_id, "train", run.model_dump_json(), "ann") == (Key(run.run_id, 1), "stored")
