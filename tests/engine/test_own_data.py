"""Own rows through the engine: what the preview shows is what is trained on, and answers are asked for in the template."""

from __future__ import annotations

import csv
import json
from functools import partial
from pathlib import Path

import pytest

from experiments import events, specs, templates
from experiments.catalog import codec, tasks
from experiments.catalog.own_data import keep, preview, reading
from experiments.catalog.own_data.columns import Columns
from experiments.engine import data, generation, training, trial
from experiments.engine.execution import Engine
from experiments.jobs import Jobs
from experiments.questions import SampleSpec
from experiments.specs import RunSpec
from experiments.store import Store
from experiments.workers import Inline
from tests.command import call

TEMPLATES = ("chat", "alpaca", "plain", "Q: {question}\nA: {completion}{end}")
COLUMNS = Columns(prompt="question", completion="answer", max_length=72)


@pytest.fixture
def sheet(tmp_path) -> Path:
    with (tmp_path / "sums.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["question", "answer"])
        writer.writerows([f"What is {i} and {i}? " + "Well? " * (i % 30), f"It is {2 * i}, é 👩‍🚀."] for i in range(30))
    return tmp_path / "sums.csv"


def own_spec(sheet: Path, template: str, **more) -> RunSpec:
    key = keep.save(reading.read_file(sheet), "anna")
    base = {
        "model": "tiny",
        "weights": "local:tiny",
        "task": key,
        "method": "lora",
        "data": COLUMNS,
        "template": template,
    }
    return specs.build(RunSpec, {**base, "train": {"steps": 3, "batch_size": 4}, **more})


@pytest.mark.parametrize("template", TEMPLATES)
def test_the_preview_is_what_the_loop_trains_on(template, sheet, base, tiny, tmp_path, monkeypatch):
    table = reading.read_file(sheet)
    seen = preview.preview(table, COLUMNS, template, codec.load(tiny), count=100)
    trained: list[data.Example] = []
    backward = trial.Trial.backward
    monkeypatch.setattr(trial.Trial, "backward", lambda self, rows: trained.extend(rows) or backward(self, rows))
    spec = own_spec(sheet, template, train={"steps": 8, "batch_size": 4})
    happened = list(training.run(spec, base, tmp_path / "adapter"))
    assert isinstance(happened[-1], events.Finished), happened[-1]
    shown = {tuple(e.as_json()["ids"]): tuple(e.as_json()["in_loss"]) for e in seen.examples}
    assert len(shown) == seen.train == 26 and any(e.cut_at for e in seen.examples)
    assert {e.ids: e.in_loss for e in trained} == shown
    batch = data.collate(trained[:4], 0, base.device)
    for i, example in enumerate(trained[:4]):
        assert batch.learn_BT[i, : len(example.ids)].tolist() == list(example.in_loss)
    scores = [e for e in happened if isinstance(e, events.Evaluated)][-1].metrics
    assert scores is not None and set(scores) == {"rouge_l", "chrf", "exact"}


@pytest.mark.parametrize("template", TEMPLATES)
def test_answers_are_asked_for_in_the_template_of_the_run(template, sheet, base, tmp_path):
    task = tasks.of(own_spec(sheet, template))
    row = task.split().held_out[0]
    said = generation.answers(base.model, base.tokenizer, [row], 6, lambda: None, template)
    ids = data.prompt_ids(base.tokenizer, row, template)
    text = templates.encode(data.codec(base.tokenizer), row, None, template)
    assert list(text.ids[: text.start]) == ids
    greedy = []
    for tokens in generation.decode(
        base.model, [ids], generation.end_ids(base.model, base.tokenizer), generation.Sampling(6)
    ):
        greedy += tokens
    whole = base.tokenizer.decode(greedy, skip_special_tokens=True)
    assert said == [templates.answer_text(whole, template).strip()]


def test_a_stream_stops_at_the_text_that_closes_an_answer(base, monkeypatch):
    """The model is made to say an answer, its end, and more; pieces never show a part of the end."""
    script = base.tokenizer("Blue # it is.\n\n### End and on and on")["input_ids"]
    monkeypatch.setattr(generation, "FLUSH_S", 0.0)
    monkeypatch.setattr(generation, "decode", lambda *_: ([t] for t in script))
    spec = SampleSpec(model="tiny", prompt="x")
    for template, expected in (("alpaca", "Blue # it is."), ("chat", "Blue # it is.\n\n### End and on and on")):
        pieces = list(generation.sample([base.model], base.tokenizer, spec, lambda: None, [template]))
        assert "".join(p.text for p in pieces) == expected and pieces[-1].ended


def test_side_by_side_each_run_is_asked_in_its_own_template(sheet, base, tmp_path, monkeypatch):
    asked = []
    monkeypatch.setattr(generation, "sample", lambda models, tok, spec, between, put: asked.append(put) or iter(()))
    store = Store(tmp_path / "lab.sqlite")
    engine = Engine(store, tmp_path)
    runs = [own_spec(sheet, "alpaca"), own_spec(sheet, "alpaca", seed=1), own_spec(sheet, "plain")]
    for spec in runs:
        key, _ = store.open(spec.run_id, "train", spec.model_dump_json(), "anna")
        engine.bases._loaded["local:tiny"] = base
        store.append(key, events.Finished(elapsed_s=0))
    monkeypatch.setattr(Engine, "_load", lambda self, base, run, step: base.model)
    for chosen, expected in ((runs[:2], ["alpaca"] * 3), (runs, ["chat", "alpaca", "alpaca", "plain"]), ([], ["chat"])):
        ids = tuple(spec.run_id for spec in chosen)
        question = SampleSpec(model="tiny", weights="local:tiny", prompt="x", runs=ids)
        key, _ = store.open(question.sample_id, "sample", question.model_dump_json(), "anna")
        engine._answer(key)
        assert asked[-1] == expected, store.events(key)


def test_rows_that_were_deleted_end_the_run_in_one_sentence(sheet, tiny, tmp_path, monkeypatch):
    monkeypatch.setenv("LAB_MODELS", f"tiny={tiny}")
    store = Store(tmp_path / "lab.sqlite")
    jobs = Jobs(store, Inline(store, tmp_path))
    spec = own_spec(sheet, "chat", weights="")
    from experiments.catalog import models

    spec = spec.model_copy(update={"weights": models.weights_of(models.find("tiny"))})
    monkeypatch.setattr("experiments.access.keep.owns", lambda key, owner: True)
    (keep.folder() / spec.task.removeprefix("data:") / "rows.jsonl").unlink()
    keep._load.cache_clear()
    (ticket,) = jobs.submit([spec], "anna")
    jobs.wait([ticket.key])
    last = store.events(ticket.key)[-1].event
    assert isinstance(last, events.Failed) and "not on this machine any more" in last.cause
    jobs.close()


# the command line


@pytest.fixture
def lab(tmp_path, tiny):
    return partial(call, environment={"LAB_HOME": str(tmp_path / "lab"), "LAB_MODELS": f"tiny={tiny}"})


MAP = ["--map", "prompt=question", "--map", "completion=answer", "--template", "alpaca", "--model", "tiny"]


def test_preview_and_run_from_the_command_line(lab, sheet):
    done = lab("preview", "--data", str(sheet), *MAP, "--json")
    assert done.returncode == 0, done.stderr
    seen = json.loads(done.stdout)
    assert seen["rows"] == 30 and seen["columns"] == ["question", "answer"] and seen["warnings"] == []
    (first, *_) = seen["examples"]
    assert len(first["tokens"]) == len(first["in_loss"]) == len(first["ids"]) and first["in_loss"][0] is False
    learnt = "".join(t for t, counts in zip(first["tokens"], first["in_loss"], strict=True) if counts)
    assert learnt.startswith("It is ") and learnt.endswith("### End<|im_end|>")
    assert "".join(first["tokens"]).startswith("### Instruction:\nWhat is ")

    piped = lab("preview", "--data", "-", *MAP, given=sheet.read_text("utf8"))
    assert piped.returncode == 0 and "26 to train on" in piped.stdout and "[It]" in piped.stdout

    train = ["--method", "lora", "--set", "rank=2", "--steps", "2", "--batch-size", "2", "--json"]
    done = lab("run", "--data", str(sheet), *MAP, *train)
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert result["status"] == "finished" and result["spec"]["template"] == "alpaca"
    assert result["spec"]["task"].startswith("data:") and result["spec"]["data"]["prompt"] == "question"
    assert set(result["metrics"]["tuned"]) == {"rouge_l", "chrf", "exact"} and result["held_out"]
    again = json.loads(lab("run", "--data", str(sheet), *MAP, *train).stdout)
    assert (again["run_id"], again["attempt"]) == (result["run_id"], 1)
    said = lab("generate", "--run", result["run_id"], "--prompt", "What is 3 and 3?", "--max-new-tokens", "4", "--json")
    assert said.returncode == 0 and result["run_id"] in json.loads(said.stdout)["runs"]


@pytest.mark.parametrize(
    ("command", "field"),
    [
        (["--data", "/nowhere.csv"], "data"),
        (["--data", "{sheet}", "--map", "prompt=nope"], "map"),
        (["--data", "{sheet}", "--map", "prompt=answer", "--map", "completion=answer"], "map"),
        (["--data", "{sheet}", "--map", "prompt"], "map"),
        (["--data", "{sheet}", "--map", "colour=answer"], "map"),
        (["--data", "{sheet}", "--map", "max_length=1"], "map"),
        (["--data", "{sheet}", "--template", "alpacca"], "template"),
        (["--data", "{empty}"], "data"),
        (["--data", "{few}"], "data"),
        (["--data", "{sheet}", "--model", "nope"], ""),
    ],
)
def test_what_is_wrong_is_one_sentence_and_status_2(lab, sheet, command, field, tmp_path):
    (tmp_path / "empty.csv").write_text("")
    (tmp_path / "few.csv").write_text("question,answer\na,b\n")
    places = {"sheet": sheet, "empty": tmp_path / "empty.csv", "few": tmp_path / "few.csv"}
    done = lab("preview", "--model", "tiny", *(part.format(**places) for part in command), "--json")
    assert done.returncode == 2 and "Traceback" not in done.stderr, done.stderr
    (problem,) = json.loads(done.stdout)["problems"]
    assert problem["field"] == field and problem["sentence"].endswith(".")
