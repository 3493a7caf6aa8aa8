"""The frozen lower part of a model, computed once a row: the losses of the whole model, shared by the runs that train its top."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from experiments.catalog import tasks
from experiments.engine import data, models, prefix, training
from experiments.engine.kept import Kept
from experiments.engine.trial import begin
from tests.engine.conftest import losses, run_spec
from tests.models import tiny_llama


@pytest.fixture(scope="module")
def deep(tmp_path_factory, smollm2) -> Any:
    """Six random layers, with biases."""
    folder = tiny_llama(tmp_path_factory.mktemp("models") / "deep", smollm2, layers=6, bias=True)
    return models.load(folder, "tiny", "local:deep")


@pytest.fixture(scope="module")
def of(base, deep, gpt2) -> dict[str, Any]:
    return {"two": base, "six": deep, "gpt2": models.load(gpt2, "tiny", "local:gpt2")}


def ran(spec, base, folder: Path) -> list:
    return list(training.run(spec, base, folder))


CASES = [
    ("two", "lora", {"layers": "last 1"}, 1),
    ("six", "lora", {"layers": "last 2", "targets": "q_proj,v_proj", "dropout": 0.2}, 4),
    ("six", "lora", {"layers": "2,4", "dora": True}, 2),
    ("six", "partial", {"last_layers": 2}, 4),
    ("gpt2", "lora", {"layers": "last 1"}, 1),
]


@pytest.mark.parametrize(("model", "method", "settings", "lowest"), CASES)
def test_the_losses_are_those_of_the_whole_model(of, tmp_path, model, method, settings, lowest):
    spec = run_spec(method, steps=6, rate=1e-2, **settings)
    whole, top = replace(of[model], kept=Kept(0)), replace(of[model], kept=Kept())
    assert begin(spec, top).model.frozen_prefix.lowest == lowest and begin(spec, whole).model.frozen_prefix is None
    expected, found = (ran(spec, b, tmp_path / str(i)) for i, b in enumerate((whole, top)))
    assert losses(found) == pytest.approx(losses(expected), abs=1e-5)
    looks = [
        [e.held_out_loss for e in happened if e.kind == "evaluated" and e.subject == "tuned"]
        for happened in (found, expected)
    ]
    assert looks[0] == pytest.approx(looks[1], abs=1e-5)
    assert top.kept.mb > 0


def test_another_run_reads_what_the_first_one_kept_and_has_the_bits_it_would_have_alone(deep, tmp_path, monkeypatch):
    """The second trains the same blocks with another rank: not one row goes through the lower ones again."""
    first, second = (run_spec("lora", steps=4, rank=rank, layers="last 2") for rank in (2, 4))
    alone = ran(second, replace(deep, kept=Kept()), tmp_path / "alone")
    shared = replace(deep, kept=Kept())
    ran(first, shared, tmp_path / "first")
    task = tasks.of(first)
    looked_at = data.encode(shared.tokenizer, task.split(None).held_out[0], task.max_length, task.template)
    known = {ids for _, ids, _ in shared.kept._rows}
    assert tuple(looked_at.ids) in known  # a look on the way goes the short way as well
    read = []
    monkeypatch.setattr(prefix, "_entering", lambda *what: read.append(what))
    assert losses(ran(second, shared, tmp_path / "second")) == losses(alone)
    assert not read


@pytest.mark.parametrize(
    ("method", "settings"),
    [("lora", {}), ("full", {}), ("prompt", {}), ("prefix", {}), ("p-tuning", {}), ("layernorm", {}), ("few-shot", {}),
     ("lora", {"layers": "last 1", "bias": "all"})],
)  # fmt: skip
def test_where_the_bottom_trains_nothing_is_kept(deep, method, settings):
    assert begin(run_spec(method, **settings), deep).model.frozen_prefix is None


def test_dropout_below_is_not_stepped_over(deep):
    spec = run_spec("lora", layers="last 1")
    assert begin(spec, deep).model.frozen_prefix
    deep.model.config.attention_dropout = 0.1
    try:
        assert begin(spec, deep).model.frozen_prefix is None
    finally:
        deep.model.config.attention_dropout = 0.0


def test_what_is_kept_is_bounded():
    kept = Kept(most_mb=0.01)
    for i in range(10):
        kept.put((1, (i,), ""), torch.zeros(10, 100))  # 4 KB each
    assert kept.mb <= 0.01 and kept.get((1, (9,), "")) is not None and kept.get((1, (0,), "")) is None


def reads(monkeypatch) -> list[tuple[int, ...]]:
    """How many rows each pass through the frozen blocks reads from now on."""
    passes, real = [], prefix._entering

    def noted(model: Any, block: int, batch: data.Batch) -> list[torch.Tensor]:
        passes.append(len(batch.examples))
        return real(model, block, batch)

    monkeypatch.setattr(prefix, "_entering", noted)
    return passes


def test_rows_of_a_small_task_are_read_with_their_neighbours(deep, tmp_path, monkeypatch):
    passes = reads(monkeypatch)
    spec = run_spec("lora", steps=6, layers="last 2")  # 6 steps of 2: the twelve rows of the task
    found = ran(spec, replace(deep, kept=Kept()), tmp_path / "together")
    assert sorted(passes) == [1, 4, 4, 4, 4]  # three groups to train on, and five rows held out
    passes.clear()
    monkeypatch.setattr(prefix, "FEW_ROWS", 11)
    alone = ran(spec, replace(deep, kept=Kept()), tmp_path / "alone")
    assert sorted(passes) == [1] * 13 + [4]
    whole = ran(spec, replace(deep, kept=Kept(0)), tmp_path / "whole")
    assert losses(found) == pytest.approx(losses(whole), abs=1e-5)
    assert losses(alone) == pytest.approx(losses(whole), abs=1e-5)


@pytest.mark.parametrize("few_rows", [0, 256])
def test_a_run_for_longer_has_the_bits_of_one_that_was_long_from_the_start(deep, tmp_path, monkeypatch, few_rows):
    monkeypatch.setattr(prefix, "FEW_ROWS", few_rows)
    short, long = (run_spec("lora", steps=steps, layers="last 2") for steps in (2, 8))
    whole, begun = (losses(ran(s, replace(deep, kept=Kept()), tmp_path / str(s.train.steps))) for s in (long, short))
    assert begun == whole[:2]


def test_a_second_process_finds_on_disk_what_the_first_one_read(deep, tmp_path, monkeypatch):
    spec = run_spec("lora", steps=6, layers="last 2")
    first = ran(spec, replace(deep, kept=Kept(folder=tmp_path / "frozen")), tmp_path / "first")
    passes = reads(monkeypatch)
    second = ran(spec, replace(deep, kept=Kept(folder=tmp_path / "frozen")), tmp_path / "second")
    assert not passes and losses(second) == losses(first)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 17)  # other sums, other bits
    ran(spec, replace(deep, kept=Kept(folder=tmp_path / "frozen")), tmp_path / "third")
    assert passes


def test_rows_of_ones_own_are_not_put_on_disk(deep, tmp_path):
    spec, one = run_spec("lora", layers="last 2"), data.collate([data.Example((1, 2, 3), 1)], 0, deep.device)
    for columns, is_shared in ((object(), False), (None, True)):
        known = prefix.Prefix(
            replace(deep, kept=Kept(folder=tmp_path / "frozen")), 4, spec.model_copy(update={"data": columns})
        )
        vars(known)["_together"] = {}  # no row of these has neighbours
        known.hidden(one)
        assert known.base.kept.mb > 0 and (tmp_path / "frozen").exists() == is_shared


def test_the_disk_is_bounded_and_what_is_damaged_there_is_read_anew(tmp_path):
    folder = tmp_path / "frozen"
    kept = Kept(folder=folder, most_disk_mb=0.02)
    for i in range(12):
        kept.put((1, (i,), ""), torch.full((10, 100), float(i)))  # 4 KB each
        assert sum(f.stat().st_size for f in folder.iterdir()) <= 0.02e6 + 4200
    fresh = Kept(folder=folder)
    assert torch.equal(fresh.get((1, (11,), "")), torch.full((10, 100), 11.0))
    for file in folder.iterdir():
        file.write_bytes(b"no tensors")
    assert Kept(folder=folder).get((1, (11,), "")) is None
    in_the_way = next(folder.iterdir())
    Kept(folder=in_the_way / "below").put((1, (1,), ""), torch.zeros(1, 1))  # a disk that takes nothing is not missed
