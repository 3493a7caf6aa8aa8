"""Recorded runs: one of each method beside the comparison, small, and read as every other run is."""

from experiments import recorded, specs
from experiments.specs import RunSpec
from experiments.store import Store
from tests.unit.runs import put, spec

DPO = {"model": "any", "task": "polite", "method": "lora", "objective": "dpo", "train": {"steps": 2}}


def test_a_run_is_recorded_as_its_methods_and_takes_the_place_of_the_last(tmp_path, monkeypatch):
    store = Store(tmp_path / "lab.sqlite")
    monkeypatch.setattr(recorded, "FOLDER", tmp_path)
    for seed in (0, 1):
        put(store, spec("prompt", seed=seed))
    put(store, spec("lora"))
    put(store, preferred := specs.build(RunSpec, DPO))
    for run in (preferred, spec("prompt"), spec("lora"), spec("prompt", seed=1)):
        recorded.record_method(store, run.run_id, tmp_path / "methods")
    for kept in (recorded.rows, recorded.gallery):
        kept.cache_clear()
    found = recorded.gallery()
    assert [(r.spec.objective, r.spec.method, r.spec.seed, r.status) for r in found] == [
        ("sft", "lora", 0, "finished"),
        ("sft", "prompt", 1, "finished"),
        ("dpo", "lora", 0, "finished"),
    ]
    assert found[0].tuned.held_out_loss == 0.8 and found[0].ended_s > 1e9 and found[0].steps[-1].loss == 2.5


def test_the_recorded_methods_are_small_and_can_be_read():
    for kept in (recorded.rows, recorded.gallery):
        kept.cache_clear()
    for record in recorded.gallery():
        assert record.status == "finished" and record.spec.model == "smollm2-135m"
        assert (recorded.FOLDER / "methods" / f"{record.run_id}.json").stat().st_size < 20_000


def test_the_recorded_path_begins_where_it_says(tmp_path):
    found = recorded.path()
    assert [r.spec.objective for r in found] == ["sft", "dpo", "grpo"] and all(r.status == "finished" for r in found)
    assert [r.spec.after for r in found] == ["", found[0].run_id, found[1].run_id] and found[2].groups
    (file,) = (recorded.FOLDER / "path").glob("*.jsonl")
    assert file.stat().st_size < 60_000


def test_a_path_is_recorded_from_its_last_stage(tmp_path):
    store = Store(tmp_path / "lab.sqlite")
    put(store, first := spec("lora"))
    put(store, last := first.model_copy(update={"after": first.run_id}))
    file = recorded.record_path(store, last.run_id, tmp_path / "path")
    assert len(file.read_text("utf8").splitlines()) == 2
