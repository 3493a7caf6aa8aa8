"""Own preferences through the engine: the preview shows what TRL's trainers are given, and pairs and thumbs are learnt and measured."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from experiments import events, specs
from experiments.catalog import codec
from experiments.catalog.own_data import keep, preview, reading
from experiments.catalog.own_data.columns import Columns
from experiments.engine import evaluation, training
from experiments.specs import RunSpec
from tests.command import call
from tests.engine.test_alignment import made as made  # the trainers that a run made
from tests.engine.test_training import run

PAIRS = Columns(prompt="q", completion="yes", rejected="no", max_length=56)


@pytest.fixture
def sheet(tmp_path: Path) -> Path:
    """24 pairs; some are cut at the longest row, and in one the prompt alone fills it."""
    rows = [
        {
            "q": f"How much is {i} and {i}? " + "Well? " * (i % 6),
            "yes": f"Gladly: it is {2 * i}.",
            "no": f"Go away, {i}.",
        }
        for i in range(23)
    ]
    rows.append({"q": "What? " * 80, "yes": "Nothing, dear.", "no": "Nothing."})
    (tmp_path / "pairs.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return tmp_path / "pairs.jsonl"


def spec_of(sheet: Path, objective: str, columns: Columns = PAIRS, **train: Any) -> RunSpec:
    about = {
        "model": "tiny",
        "weights": "local:tiny",
        "task": keep.save(reading.read_file(sheet), "anna"),
        "method": "lora",
    }
    train = {"steps": 6, "batch_size": 4, "learning_rate": 1e-2, **train}
    return specs.build(RunSpec, {**about, "data": columns, "objective": objective, "train": train})


def test_the_preview_is_what_the_trainer_is_given(sheet, base, tiny, made, tmp_path):
    seen = preview.preview(reading.read_file(sheet), PAIRS, "chat", codec.load(tiny), count=100)
    happened = run(spec_of(sheet, "dpo"), base, tmp_path / "adapter")
    assert isinstance(happened[-1], events.Finished), happened[-1]
    shown = {}
    for example in seen.examples:
        assert example.worse is not None
        sides = [side.as_json() for side in (example, example.worse)]
        if all(any(side["in_loss"]) for side in sides):
            shown[tuple(tuple(side["ids"]) for side in sides)] = [side["in_loss"].index(True) for side in sides]
    given = set()
    for row in made[0].train_dataset:
        ids = [tuple([*row["prompt_ids"], *row[side]][: PAIRS.max_length]) for side in ("chosen_ids", "rejected_ids")]
        assert shown[tuple(ids)] == [len(row["prompt_ids"])] * 2
        given.add(tuple(ids))
    unread = [e for e in seen.examples if not any(e.as_json()["in_loss"])]
    assert given == set(shown) and len(given) + len(unread) == seen.train
    (look,) = [e for e in happened if isinstance(e, events.Evaluated) and e.metrics and e.subject == "tuned"]
    assert {"prefers", "gained", "rouge_l"} <= look.metrics.keys()


def test_thumbs_are_learnt_and_measured_by_what_they_gained(sheet, base, tmp_path):
    rows = [json.loads(line) for line in sheet.read_text().splitlines()[:23]]
    thumbs = [{"q": r["q"], "said": r[side], "label": side == "yes"} for r in rows for side in ("yes", "no")]
    sheet.write_text("".join(json.dumps(row) + "\n" for row in thumbs))
    columns = Columns(prompt="q", completion="said", label="label")
    happened = run(spec_of(sheet, "kto", columns, steps=20), base, tmp_path / "adapter")
    assert isinstance(happened[-1], events.Finished), happened[-1]
    looks = [e for e in happened if isinstance(e, events.Evaluated) and e.metrics]
    gained = {look.subject: look.metrics.get("gained") for look in looks}
    assert gained["base"] is None and gained["tuned"] > 70  # the wordings are told apart
    imitated = run(spec_of(sheet, "sft", columns, steps=1), base, tmp_path / "sft")
    assert isinstance(imitated[-1], events.Finished), imitated[-1]
    assert not [e for e in imitated if isinstance(e, events.Evaluated) and "gained" in (e.metrics or {})]


def test_a_judge_is_given_whole_answers_only(sheet, base, made, tmp_path):
    happened = run(spec_of(sheet, "reward"), base, tmp_path / "adapter")
    assert isinstance(happened[-1], events.Finished), happened[-1]
    lengths = [len(row["chosen_ids"]) for row in made[0].train_dataset]
    assert max(lengths) <= PAIRS.max_length and len(lengths) == 24
    with pytest.raises(ValueError, match="Every row is longer than 9 tokens: raise the longest row"):
        run(spec_of(sheet, "reward", PAIRS.model_copy(update={"max_length": 9})), base, tmp_path / "none")


def test_a_run_on_own_pairs_from_the_command_line(sheet, tiny, tmp_path):
    asked = [
        "--data",
        str(sheet),
        "--map",
        "prompt=q",
        "--map",
        "chosen=yes",
        "--map",
        "rejected=no",
        "--model",
        "tiny",
    ]
    train = ["--objective", "dpo", "--steps", "2", "--batch-size", "2"]

    def told(*words: str) -> dict[str, Any]:
        done = call(*words, "--json", environment={"LAB_HOME": str(tmp_path / "home"), "LAB_MODELS": f"tiny={tiny}"})
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    found = told("run", *asked, *train)
    assert found["status"] == "finished" and found["spec"]["data"]["rejected"] == "no"
    assert {"prefers", "gained"} <= found["metrics"]["tuned"].keys()
    shown = told("preview", *asked)["examples"][0]
    assert "".join(shown["tokens"]).count("Gladly") == 1 and "Go away" in "".join(shown["rejected"]["tokens"])


def test_the_base_is_measured_on_the_answers_that_are_judged(sheet, base, tmp_path):
    spec = spec_of(sheet, "dpo")
    task = training.tasks.of(spec)
    known = evaluation.base_pairs(base, task, lambda: None)
    assert len(known.better_P) == len(known.worse_P) == len(task.split(None).held_out)
    assert evaluation.pair_metrics(base.model, base, task, lambda: None)["gained"] == 50
