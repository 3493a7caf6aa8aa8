"""Own rows: whose they are, and what is a run on them."""

import errno
import os
import threading
from pathlib import Path

import pytest
from rouge_score import rouge_scorer

from experiments import shelf, specs
from experiments.catalog import models, tasks
from experiments.catalog.own_data import keep, measures
from experiments.catalog.own_data import table as tables
from experiments.catalog.own_data.table import Unreadable
from experiments.catalog.tasks.base import Row
from experiments.jobs import Jobs
from experiments.questions import SampleSpec
from experiments.specs import RunSpec, SpecError
from experiments.store import Store
from tests.unit.own_rows import ANNA, BERT, sums
from tests.unit.own_rows import lab as lab

# whose they are


def test_rows_are_kept_whole_by_their_hash_and_given_to_who_brought_them():
    key = keep.save(sums(), ANNA)
    assert keep.KEY.fullmatch(key) and key == f"data:{tables.digest(sums().canonical())}"
    assert keep.load(key) == sums() and keep.owns(key, ANNA)
    assert not keep.owns(key, BERT) and not keep.owns(key, "") and not keep.owns("data:../../x", ANNA)
    assert keep.owns(key, "command line 12")
    assert keep.save(sums(), BERT) == key and keep.owns(key, BERT) and keep.owns(key, ANNA)
    assert not any(ANNA in str(path) for path in keep.folder().rglob("*"))


def test_two_at_once_do_not_meet():
    many = [sums(40 + i % 3) for i in range(12)]
    keys: list[str] = []
    threads = [threading.Thread(target=lambda t=t: keys.append(keep.save(t, ANNA))) for t in many]
    [t.start() for t in threads]
    [t.join() for t in threads]
    assert len(keys) == 12 and len(set(keys)) == 3 and all(keep.load(k).columns == ("question", "answer") for k in keys)
    assert not list(keep.folder().glob("*.part*"))


def test_rows_that_are_being_written_count_for_nobody(monkeypatch):
    half = keep.folder() / f"{'0' * 32}.part"
    half.mkdir(parents=True)
    (half / "rows.jsonl").write_bytes(b"x" * 1000)
    monkeypatch.setattr(keep, "LAB_BYTES", len(sums().canonical()))
    assert keep.owns(keep.save(sums(), ANNA), ANNA) and keep.tidy((), older_s=1e9) == []
    assert half.is_dir()


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT, errno.EROFS])
def test_a_disk_that_fills_leaves_nothing_half_made(monkeypatch, code):
    write = Path.write_bytes

    def full(path, data):
        write(path, data[: len(data) // 2])
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(Unreadable, match="not saved: the disk of this lab is full or cannot be written.$"):
        keep.save(sums(), ANNA)
    assert [p for p in keep.folder().iterdir() if p.suffix != ".lock"] == []
    monkeypatch.undo()
    assert keep.owns(keep.save(sums(), ANNA), ANNA)


def test_a_visitor_keeps_so_much_and_no_more(monkeypatch):
    size = len(sums().canonical())
    monkeypatch.setattr(keep, "QUOTA_BYTES", int(2.5 * size))
    key = keep.save(sums(), ANNA)
    keep.save(sums(41), ANNA)
    with pytest.raises(Unreadable, match="at most 0 MB are kept for one visitor"):
        keep.save(sums(42), ANNA)
    assert keep.save(sums(), ANNA) == key  # what is there already takes nothing
    assert keep.owns(keep.save(sums(42), BERT), BERT) and keep.save(sums(43), "command line 1")
    monkeypatch.setattr(keep, "LAB_BYTES", 4 * size)
    with pytest.raises(Unreadable, match="This lab keeps as many rows as it can"):
        keep.save(sums(44), "carl-" + "c" * 30)


def test_rows_that_nobody_uses_go_after_a_day(home):
    store = Store(home / "lab.sqlite")
    used, left = keep.save(sums(), ANNA), keep.save(sums(41), ANNA)
    run = spec_of(used)
    store.open(run.run_id, "train", run.model_dump_json(), ANNA)
    assert shelf.own_rows_in_use(store) == {used}
    assert keep.tidy(shelf.own_rows_in_use(store)) == []
    assert keep.tidy(shelf.own_rows_in_use(store), older_s=-1) == [left]
    assert keep.load(used) == sums() and not keep.owns(left, ANNA)


def test_rows_that_are_gone_or_changed_are_one_sentence():
    key = keep.save(sums(), ANNA)
    file = keep.folder() / key.removeprefix("data:") / "rows.jsonl"
    file.write_bytes(file.read_bytes() + b"\n")
    with pytest.raises(Unreadable, match="changed"):
        keep.load(key)
    file.unlink()
    with pytest.raises(Unreadable, match="not on this machine"):
        keep.load(key)
    assert keep.save(sums(), ANNA) == key and keep.load(key) == sums()


# specs and runs


def spec_of(key, **more):
    base = {"model": "a/b", "method": "lora", "task": key, "data": {"prompt": "question", "completion": "answer"}}
    return specs.build(RunSpec, base | more)


def test_hash_columns_and_template_are_part_of_what_a_run_is():
    key = keep.save(sums(), ANNA)
    ids = {spec_of(key).run_id, spec_of(key, template="alpaca").run_id, spec_of(keep.save(sums(41), ANNA)).run_id}
    ids.add(spec_of(key, data={"completion": "answer"}).run_id)
    assert len(ids) == 4
    plain = {"model": "a/b", "method": "lora", "task": "pirate"}
    built = specs.build(RunSpec, plain)
    assert built.run_id == specs.build(RunSpec, {**plain, "data": {"completion": "x"}}).run_id != ""
    assert built.run_id != specs.build(RunSpec, {**plain, "template": "plain"}).run_id


@pytest.mark.parametrize(
    ("change", "field"),
    [({"data": None}, "data"), ({"data": {}}, "data.completion"), ({"data": {"completion": "a", "max_length": 3}}, "data.max_length"),
     ({"template": "no"}, "template"), ({"task": "data:xyz"}, "task"), ({"data": {"completion": "a", "colour": "b"}}, "data.colour")],
)  # fmt: skip
def test_a_wrong_spec_of_own_rows_is_one_sentence_at_its_field(change, field):
    with pytest.raises(SpecError) as caught:
        spec_of("data:" + 32 * "0", **change)
    (problem,) = caught.value.problems
    assert problem.field == field and problem.sentence.endswith(".")


def test_rows_longer_than_the_models_context_are_a_sentence_at_their_field():
    arch = models.arch(models.find("lab-nano"))
    spec = spec_of("data:" + 32 * "0", data={"completion": "answer", "max_length": 2048})
    with pytest.raises(SpecError, match=f"This model reads at most {arch.max_length:,} tokens of a row") as caught:
        specs.check(spec, arch)
    assert [problem.field for problem in caught.value.problems] == ["data.max_length"]


class Nothing:
    """An executor that does nothing."""

    def run(self, job):
        pass

    def warm(self, model):
        pass

    def close(self):
        pass


def test_somebody_elses_rows_and_runs_are_refused(home):
    store = Store(home / "lab.sqlite")
    jobs = Jobs(store, Nothing())
    spec = spec_of(keep.save(sums(), ANNA))
    with pytest.raises(SpecError, match="not yours"):
        jobs.submit([spec], BERT)
    assert store.entries() == []
    (ticket,) = jobs.submit([spec], ANNA)
    run = ticket.key.run_id
    assert shelf.may_see(store, run, ANNA) and not shelf.may_see(store, run, BERT)
    question = SampleSpec(model="a/b", runs=(run,), prompt="x")
    with pytest.raises(SpecError, match="no run"):
        jobs.ask(question, BERT)
    assert jobs.ask(question, ANNA).state == "new"
    keep.save(sums(), BERT)  # the same rows: they may ask for the same run, and see it once they have
    assert not shelf.may_see(store, run, BERT)
    jobs.submit([spec], BERT)
    assert shelf.may_see(store, run, BERT)
    jobs.close()


def test_the_task_of_a_run_on_own_rows():
    task = tasks.of(spec_of(keep.save(sums(), ANNA), template="alpaca"))
    split = task.split()
    assert len(split.train) + len(split.held_out) == 40 and task.template == "alpaca" and task.scored_rows == 4
    assert [r.prompt for r in task.asked] == list(task.probes) and set(task.asked) <= set(split.held_out)
    perfect = task.score(split.held_out, [r.completion for r in split.held_out], None)
    assert perfect == pytest.approx({"rouge_l": 100, "chrf": 100, "exact": 100})
    long = tables.of_records([{"question": f"{i}?", "answer": f"{i} " * 400} for i in range(40)])
    task = tasks.of(spec_of(keep.save(long, ANNA)))
    assert task.scored_rows == 0 and task.score(split.held_out, ["x"] * 4, None) == {}
    with pytest.raises(Unreadable, match="no column"):
        tasks.of(spec_of(keep.save(sums(), ANNA), data={"completion": "nope"}))
    assert tasks.find("data:" + 32 * "0").title == "Your own data"


def test_rouge_is_the_librarys_and_exact_match_forgives_case_and_points():
    rows = [Row("", "the cat sat on the mat"), Row("", "Yes!")]
    scorer = rouge_scorer.RougeScorer(["rougeL"], use_stemmer=True)
    said = ["the cats sat there", "yes"]
    expected = sum(scorer.score(r.completion, s)["rougeL"].fmeasure for r, s in zip(rows, said, strict=True)) / 2
    assert measures.rouge_l(rows, said) == pytest.approx(100 * expected)
    assert measures.exact(rows, said) == 50 and measures.exact([Row("", "+")], ["-"]) == 0
