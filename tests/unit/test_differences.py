"""The sentence that says what differs, and the settings side by side."""

from __future__ import annotations

import pytest

from experiments import differences, specs
from experiments.specs import RunSpec
from tests.unit.runs import spec

CASES = [
    ([spec(rank=4), spec(rank=16)], "Only rank: 4 → 16."),
    ([spec(rank=4), spec(rank=8), spec(rank=16), spec(rank=8, alpha=16.0)], "Only rank: 4, 8, 16."),
    ([spec(seed=0), spec(seed=1)], "Only seed: 0 → 1."),
    ([spec(rank=4), spec(rank=16, seed=3)], "Rank: 4 → 16; seed: 0 → 3."),
    ([spec(steps=2), spec(steps=40)], "Only steps: 2 → 40."),
    ([spec("lora"), spec("prompt")], "Only method: LoRA → Prompt."),
    ([spec("lora", rank=4), spec("prompt", seed=1)], "Method: LoRA → Prompt; seed: 0 → 1."),
    ([spec("lora"), spec("zero-shot")], "Only method: LoRA → Zero-shot."),
    ([spec(rank=4), spec(rank=16), spec("prompt")], "Method: LoRA, Prompt; rank: 4, 16."),
    ([spec(steps=3), spec("prompt", steps=9), spec("zero-shot")], "Method: LoRA, Prompt, Zero-shot; steps: 3, 9, 0."),
    ([spec(targets="q_proj, v_proj"), spec()], "Only target modules: q_proj, v_proj → all-linear."),
    ([spec(), spec()], "Nothing differs: the same spec."),
    ([spec()], ""),
    ([], ""),
]


@pytest.mark.parametrize(("wanted", "sentence"), CASES, ids=[case[1] or "alone" for case in CASES])
def test_the_sentence(wanted, sentence):
    assert differences.sentence(wanted) == sentence


def test_a_learning_rate_counts_within_a_method_only():
    slow = specs.build(RunSpec, {**spec().model_dump(), "train": {"steps": 2, "learning_rate": 5e-5}})
    assert differences.sentence([spec(), slow]) == "Only learning rate: 0.001 → 5e-05."
    assert "learning rate" not in differences.sentence([slow, spec("prompt")])


def test_every_setting_stands_side_by_side():
    lines = differences.side_by_side([spec(rank=4), spec("prompt", seed=2)])
    found = {line.place: line for line in lines}
    assert found["settings.rank"].values == (4, None) and not found["settings.rank"].equal
    assert found["task"].equal and found["seed"].values == (0, 2)
    assert found["settings.rank"].title == "Rank" and found["train.batch_size"].title == "Batch"
    places = [line.place.partition(".")[0] for line in lines]
    assert places.index("method") < places.index("settings") < places.index("train") < places.index("seed")


def test_what_was_typed_is_shown_whole_enough_to_be_told_apart():
    assert differences.show("settings.init_text", "x" * 99 + " y").endswith("…”")
    assert differences.show("settings.dora", True) == "on" and differences.show("x", ()) == "none"
