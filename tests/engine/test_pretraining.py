"""Pretraining from nothing, small: it learns, is killed and taken up with the same losses, and what it leaves is a model."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest
import torch

from experiments.engine import models, pretraining, quality
from experiments.pretraining import card, corpus
from experiments.pretraining import tokenizer as tokenizers
from experiments.pretraining.recipe import ONLY_THE_WORLD, Recipe
from tests.command import ROOT, call

SMALL = {
    "vocabulary": 800,
    "width": 48,
    "layers": 2,
    "heads": 4,
    "key_value_heads": 2,
    "inner": 96,
    "length": 64,
    "rows": 4,
}
WORLD = dict(ONLY_THE_WORLD)
RECIPE = Recipe(shares=WORLD, late_shares=WORLD, steps=60, warm_up=5, learning_rate=5e-3, **SMALL)


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    """The corpus of the world alone, in a lab home that the tests here share."""
    home = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LAB_HOME", str(home))
        made = corpus.prepare(RECIPE)
        kept = home / "tokenizer"
        tokenizers.save(made.tokenizer, kept, 128)
        return made, corpus.rows(made, RECIPE), kept, lambda recipe: corpus.late_rows(made, recipe)


def trained(prepared, folder, stop_at=10**6):
    made = pretraining.Pretraining(RECIPE, prepared[1], folder, prepared[3])
    resumed = made.take_up()
    losses = []
    step = made.step
    made.step = lambda: losses.append(step()) or losses[-1]
    for _ in made.run(lambda: made.progress.step >= stop_at, every=1):
        pass
    made.save(prepared[2])
    return losses, made, resumed


def test_it_learns_and_what_is_taken_up_goes_on_as_if_never_stopped(prepared, tmp_path):
    whole, model, resumed = trained(prepared, tmp_path / "whole")
    assert not resumed and len(whole) == 60
    assert sum(whole[-5:]) < 0.75 * sum(whole[:5])
    first, _, _ = trained(prepared, tmp_path / "parts", stop_at=23)
    second, again, resumed = trained(prepared, tmp_path / "parts")
    assert resumed and len(first) == 23
    assert first + second == whole  # bit for bit
    assert all(torch.equal(a, b) for a, b in zip(model.model.parameters(), again.model.parameters(), strict=True))


def test_a_checkpoint_loads_as_a_model_and_nothing_in_it_is_pickled_code(prepared, tmp_path):
    trained(prepared, tmp_path / "kept", stop_at=2)
    base = models.load(tmp_path / "kept")
    assert base.total == sum(p.numel() for p in base.model.parameters()) > 0
    turn = [{"role": "user", "content": "Where?"}, {"role": "assistant", "content": "Here."}]
    ids = base.tokenizer.apply_chat_template(turn, return_dict=False)
    assert ids == prepared[0].tokenizer.encode(tokenizers.whole(["Where?", "Here."])).ids
    assert base.tokenizer.decode(ids) == "<|user|>Where?<|end|><|assistant|>Here.<|end|>"
    torch.load(tmp_path / "kept" / pretraining.OPTIMIZER, weights_only=True)


def test_another_recipe_is_refused_and_another_end_is_not(prepared, tmp_path):
    trained(prepared, tmp_path / "kept", stop_at=2)
    with pytest.raises(pretraining.OtherRecipe, match="another recipe"):
        pretraining.Pretraining(
            RECIPE.model_copy(update={"seed": 1}), prepared[1], tmp_path / "kept", prepared[3]
        ).take_up()
    shorter = pretraining.Pretraining(
        RECIPE.model_copy(update={"stop": 30}), prepared[1], tmp_path / "kept", prepared[3]
    )
    assert shorter.take_up() and shorter.recipe.stop == 30 and shorter.progress.step == 2


def asked(*extra: str) -> list[str]:
    settings = [f"{k}={v}" for k, v in {**SMALL, "steps": 4_000}.items()]
    return ["pretrain", "--only-world", *[part for s in settings for part in ("--set", s)], *extra, "--json"]


def test_a_time_that_is_too_short_takes_steps_and_leaves_the_rate_its_whole_fall(prepared, tmp_path):
    made = pretraining.Pretraining(RECIPE, prepared[1], tmp_path / "timed", prepared[3])
    made.progress.step, made.progress.seconds = 10, 20.0
    made.end_after(1.0, a_step_s=1.0)
    assert made.recipe.stop == 50  # ten are done in 20 s, and forty more fit
    made.end_after(5.0, a_step_s=1.0)
    assert made.recipe.stop == RECIPE.steps  # a machine that becomes quicker does all of it
    made.end_after(0.1, a_step_s=1.0)
    assert made.recipe.falls_from() > 10 and made.recipe.rate(10) == 1.0 and made.recipe.stop == 17
    for _ in made.run(lambda: False):
        pass
    assert made.progress.step == 17 and made.recipe.rate(16) < 0.2


def test_the_command_stops_politely_goes_on_and_ends_as_a_model_with_a_card(home):
    env = {**os.environ, "LAB_HOME": str(home)}
    command = [sys.executable, "-m", "experiments", *asked()]
    kept = home / "pretraining" / "lab-nano"
    with subprocess.Popen(command, cwd=ROOT, env=env, stdout=subprocess.PIPE, text=True) as running:
        while not (home / "pretraining" / "lab-nano-tokenizer" / "tokenizer.json").exists() and running.poll() is None:
            time.sleep(0.1)
        time.sleep(1)
        running.send_signal(signal.SIGTERM)
        said = json.loads(running.communicate(timeout=120)[0])
    assert running.returncode == 0 and not said["finished"] and (kept / "model.safetensors").exists()
    ended = call(*asked("--steps", str(said["step"] + 20), "--out", str(home / "out")), environment=env)
    told = json.loads(ended.stdout)
    assert (
        told["finished"] and told["step"] == said["step"] + 20 and f"Going on from step {said['step']}" in ended.stderr
    )
    measured = call("quality", str(home / "out"), "--facts", "4", "--card", "--json", environment=env)
    found = json.loads(measured.stdout)
    assert set(found["bits_per_byte"]) == set(ONLY_THE_WORLD) and len(found["samples"]) == 20
    assert all(f["asked"] == 4 for f in found["facts"].values())
    written = (home / "out" / "README.md").read_text("utf8")
    assert f"{found['parameters']:,} parameters" in written and "world-prose" in written
    assert models.load(home / "out").model.dtype is torch.float32


def test_a_killed_training_loses_only_what_came_after_its_checkpoint(prepared, tmp_path):
    """Killed between the two renames of a save, the older checkpoint is found again."""
    trained(prepared, tmp_path / "kept", stop_at=3)
    (tmp_path / "kept").rename(tmp_path / "kept.old")
    found = pretraining.Pretraining(RECIPE, prepared[1], tmp_path / "kept", prepared[3])
    assert found.take_up() and found.progress.step == 3


def test_bits_per_byte_are_those_of_the_loss(prepared, tmp_path):
    _, made, _ = trained(prepared, tmp_path / "kept", stop_at=1)
    tokens = prepared[0].held_out("world-prose")[0]
    base = models.load(tmp_path / "kept")
    ids = torch.tensor([tokens.tolist()])
    with torch.no_grad():
        expected = float(base.model(input_ids=ids, labels=ids).loss) * (len(tokens) - 1)
    assert quality.nats(base.model, tokens) == pytest.approx(expected, rel=2e-3)  # in bfloat16 where there is that


@pytest.mark.parametrize("length", [2, 100, 257, 258, 385, 600, 3000])
def test_every_token_but_the_first_is_counted_once_whatever_the_windows(monkeypatch, length):
    def losses(model, ids_BT):
        return ids_BT[:, 1:].double()

    monkeypatch.setattr(quality, "_losses", losses)
    tokens = torch.arange(length).numpy()
    assert quality.nats(torch.nn.Linear(1, 1, device="cpu").weight, tokens) == tokens[1:].sum()


def test_wrong_numbers_are_told_in_one_sentence(home):
    for wrong, sentence in {"width=50": "multiple of the heads", "wide=3": "no setting", "width": "name=value"}.items():
        done = call("pretrain", "--only-world", "--set", wrong, environment={"LAB_HOME": str(home)})
        assert done.returncode == 2 and sentence in done.stderr, done.stderr


def test_the_card_names_every_source():
    assert set(card.NAMES) == set(Recipe().shares)
