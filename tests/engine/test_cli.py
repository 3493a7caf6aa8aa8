"""`python -m experiments`, as a person and a script use it: one JSON object, one sentence for what is wrong, stored runs."""

from __future__ import annotations

import contextlib
import csv
import io
import json
import os
import shutil
import signal
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from experiments import methods, objectives
from experiments.catalog.tasks import TASKS
from experiments.store import Key, Store
from tests.command import ROOT, call

KEYS = {"run_id", "status", "spec", "trainable", "total", "curve", "metrics", "elapsed_s", "peak_mb", "adapter_path"}


@pytest.fixture(scope="module")
def home(tmp_path_factory) -> Path:
    """One lab for the module: later commands find what earlier ones stored."""
    return tmp_path_factory.mktemp("lab")


Call = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(scope="module")
def lab(home, tiny) -> Call:
    """Runs a command on that lab; the tiny model is known by its name there."""

    return partial(call, environment={"LAB_HOME": str(home), "LAB_MODELS": f"tiny={tiny}", "COLUMNS": "80"})


def answered(done: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    """The one JSON object on standard output of a command that worked."""
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    return json.loads(done.stdout)


RUN = ["run", "--model", "tiny", "--task", "pirate", "--method", "lora", "--set", "rank=4", "--set", "alpha=8",
       "--steps", "2", "--batch-size", "2", "--lr", "1e-2", "--seed", "3", "--json"]  # fmt: skip


@pytest.fixture(scope="module")
def first(lab) -> dict[str, Any]:
    """The result of RUN, trained once for the module."""
    return answered(lab(*RUN))


def test_what_there_is_to_choose_from(lab):
    listed = answered(lab("models", "--json"))["models"]
    assert [m["key"] for m in listed] == ["lab-nano", "smollm2-135m", "tiny"] and all(
        m["ready"] for m in (listed[0], listed[2])
    )
    assert [t["key"] for t in answered(lab("tasks", "--json"))["tasks"]] == [t.key for t in TASKS]
    described = answered(lab("methods", "--json"))["methods"]
    assert [m["key"] for m in described] == [m.key for m in methods.METHODS]
    rank = next(m for m in described if m["key"] == "lora")["settings"]["rank"]
    assert rank["default"] == 8 and rank["minimum"] == 1 and rank["low"] and rank["high"]
    known = answered(lab("objectives", "--json"))["objectives"]
    assert [o["key"] for o in known] == [o.key for o in objectives.OBJECTIVES]
    assert next(o for o in known if o["key"] == "dpo")["settings"]["beta"]["default"] == 0.1
    for name in ("models", "tasks", "methods", "objectives"):
        plain = lab(name)
        assert plain.returncode == 0 and len(plain.stdout.splitlines()) >= 2 and not plain.stdout.startswith("{")


def test_run_prints_one_object_with_the_keys_that_scripts_use(first):
    assert first.keys() >= KEYS and first["status"] == "finished"
    assert [c["step"] for c in first["curve"]] == [1, 2] and all(c["loss"] > 0 for c in first["curve"])
    assert first["metrics"].keys() >= {"base", "tuned"}
    assert first["metrics"]["base"].keys() >= {"style", "facts"} and first["metrics"]["tuned"].keys() >= {
        "style",
        "facts",
    }
    spec = first["spec"]
    assert (spec["model"], spec["task"], spec["method"], spec["seed"]) == ("tiny", "pirate", "lora", 3)
    assert (spec["settings"]["rank"], spec["settings"]["alpha"]) == (4, 8.0)
    assert spec["train"].items() >= {"steps": 2, "batch_size": 2, "learning_rate": 0.01, "schedule": "constant"}.items()
    assert first["advice"][0]["field"] == "train.learning_rate" and first["advice"][0]["when"] == "before"
    assert first["total"] == 3_219_776 and 0 < first["trainable"] < first["total"]
    assert first["elapsed_s"] > 0 and first["peak_mb"] > 50
    assert (Path(first["adapter_path"]) / "adapter_model.safetensors").is_file()


def test_a_preference_from_the_command_line(lab):
    ask = [
        "run",
        "--model",
        "tiny",
        "--task",
        "polite",
        "--objective",
        "dpo",
        "--goal",
        "beta=0.2",
        "--steps",
        "2",
        "--json",
    ]
    done = answered(lab(*ask))
    assert done["status"] == "finished" and done["spec"]["goal"] == {"beta": 0.2, "loss": "sigmoid"}
    assert all(
        {"step", "loss", "margin", "chosen_logp", "rejected_logp", "accuracy"} <= c.keys() for c in done["curve"]
    )
    assert done["metrics"]["tuned"].keys() >= {"kind", "prefers", "gained"} and "trl" in done["versions"]


def test_the_same_with_one_change_and_for_longer(lab, first):
    other = answered(lab("clone", first["run_id"], "--change", "rank=2", "--change", "schedule=linear", "--json"))
    assert other["spec"]["settings"]["rank"] == 2 and other["spec"]["train"]["schedule"] == "linear"
    assert other["spec"]["train"]["steps"] == 2 and other["run_id"] != first["run_id"]
    further = answered(lab("longer", first["run_id"], "--steps", "4", "--json"))
    assert further["spec"]["start"] == first["run_id"] and further["resumed_at"] == 2
    assert further["curve"][:2] == first["curve"] and [c["step"] for c in further["curve"]] == [1, 2, 3, 4]
    afresh = answered(lab("clone", first["run_id"], "--change", "steps=4", "--json"))
    assert afresh["curve"] == further["curve"] and afresh["resumed_at"] == 0
    mixed = answered(
        lab("merge", "--runs", f"{first['run_id']},{other['run_id']}", "--how", "stack", "--keep", "--json")
    )
    kept = next(r for r in answered(lab("runs", "--json"))["runs"] if r["run_id"] == mixed["kept"])
    assert kept["status"] == "finished" and kept["method"] == "lora-mix"
    assert mixed["mixes"][-1]["name"] == "stack" and mixed["mixes"][-1]["held_out_loss"] > 0


def test_the_second_time_it_is_served_from_the_store_and_said_to_be(lab, first):
    done = lab(*RUN)
    assert answered(done) == first
    assert f"{first['run_id']} was trained before and is served from the store" in " ".join(done.stderr.split())


def test_again_trains_again_to_the_same_losses(lab, first):
    done = lab(*RUN, "--again")
    again = answered(done)
    assert "served from the store" not in done.stderr
    assert again["run_id"] == first["run_id"] and again["attempt"] == first["attempt"] + 1
    assert again["curve"] == first["curve"] and again["metrics"] == first["metrics"]
    assert again["adapter_path"] != first["adapter_path"] and Path(first["adapter_path"]).is_dir()
    listed = answered(lab("runs", "--json"))["runs"]
    assert [r["attempt"] for r in listed if r["run_id"] == first["run_id"]] == [2, 1]


def test_race_of_spec_files(lab, first, tmp_path, tiny):
    """One file with a spec, one with a list; the first is stored already, the others are raced."""
    (tmp_path / "one.json").write_text(json.dumps(first["spec"]))
    common = {"model": str(tiny), "task": "pirate", "train": {"steps": 1, "batch_size": 1}}  # a folder is a model, too
    (tmp_path / "more.json").write_text(json.dumps([{**common, "method": "prompt"}, {**common, "method": "zero-shot"}]))
    raced = answered(lab("race", "--spec", str(tmp_path / "one.json"), "--spec", str(tmp_path / "more.json"), "--json"))
    assert [r["spec"]["method"] for r in raced["runs"]] == ["lora", "prompt", "zero-shot"]
    assert {r["status"] for r in raced["runs"]} == {"finished"}
    assert raced["runs"][0]["run_id"] == first["run_id"]
    assert raced["runs"][1]["spec"]["model"] == str(tiny) and raced["runs"][1]["curve"][0]["loss"] > 0
    assert raced["runs"][2]["adapter_path"] is None and raced["runs"][2]["forgetting"] == 0.0
    # as a shell's *.json names them
    assert (
        answered(lab("race", "--spec", *map(str, (tmp_path / "one.json", tmp_path / "more.json")), "--json")) == raced
    )


def test_generate_puts_base_and_runs_side_by_side(lab, first):
    prompt = 'Ahoy, <b>"you"</b>?'
    done = lab("generate", "--run", first["run_id"], "--prompt", prompt, "--max-new-tokens", "6", "--json")
    answer = answered(done)
    assert answer["prompt"] == prompt and list(answer["runs"]) == [first["run_id"]]
    assert answer["base"].strip() and answer["runs"][first["run_id"]].strip()


def test_generate_along_asks_a_run_as_it_was_at_its_looks(lab, first):
    run_id = first["run_id"]
    done = lab("generate", "--run", run_id, "--prompt", "Ahoy?", "--along", "--max-new-tokens", "6", "--json")
    names = list(answered(done)["runs"])
    looks = [int(name.partition("@")[2]) for name in names[:-1]]
    assert names[-1] == run_id and all(name.startswith(f"{run_id}@") for name in names[:-1])
    assert looks == sorted(looks) and looks and all(0 < step < first["spec"]["train"]["steps"] for step in looks)


def test_runs_are_listed_newest_first(lab, first):
    listed = answered(lab("runs", "--json"))["runs"]
    assert listed[-1]["run_id"] == first["run_id"] and listed[-1]["status"] == "finished"
    assert [r["created_s"] for r in listed] == sorted((r["created_s"] for r in listed), reverse=True)
    assert len(answered(lab("runs", "--limit", "1", "--json"))["runs"]) == 1


def test_runs_are_filtered_and_a_filter_that_means_nothing_is_refused(lab, first):
    found = answered(lab("runs", "--filter", "method=lora rank=4 status=finished seed=3", "--json"))["runs"]
    wanted = ("lora", 4, "finished", 3)
    listed = answered(lab("runs", "--filter", "lora", "--json"))["runs"]
    alike = [r for r in listed if (r["method"], r.get("rank"), r["status"], r["seed"]) == wanted]
    assert [(r["run_id"], r["attempt"]) for r in found] == [(r["run_id"], r["attempt"]) for r in alike]
    own = next(r for r in found if r["run_id"] == first["run_id"])  # newest first: run again, it is the same
    assert own["held_out"] == first["held_out"][-1]["loss"]
    assert answered(lab("runs", "--filter", "rank>4000", "--json"))["runs"] == []
    wrong = lab("runs", "--filter", "colour=red", "--json")
    assert wrong.returncode == 2
    assert json.loads(wrong.stdout)["problems"][0]["sentence"].startswith("There is no field “colour”; there are ")


def export(lab: Call, run: dict[str, Any], kind: str, to: Path) -> bytes:
    done = answered(lab("export", "--run", run["run_id"], "--as", kind, "--to", str(to), "--json"))
    content = Path(done["path"]).read_bytes()
    assert done["bytes"] == len(content) and done["as"] == kind
    return content


def test_a_run_is_exported_as_what_others_read(lab, first, tmp_path, tiny):
    rows = list(csv.DictReader(io.StringIO(export(lab, first, "csv", tmp_path / "curve.csv").decode())))
    assert [(int(r["step"]), float(r["loss"])) for r in rows if r["loss"]] == [
        (c["step"], c["loss"]) for c in first["curve"]
    ]
    lines = [json.loads(line) for line in export(lab, first, "jsonl", tmp_path).splitlines()]
    assert lines[0]["kind"] == "queued" and lines[-1]["kind"] == "finished"
    assert [line["loss"] for line in lines if line["kind"] == "stepped"] == [c["loss"] for c in first["curve"]]
    export(lab, first, "yaml", tmp_path / "spec.yaml")
    same = answered(lab("race", "--spec", str(tmp_path / "spec.yaml"), "--json"))["runs"]
    assert [r["run_id"] for r in same] == [first["run_id"]] and same[0]["curve"] == first["curve"]


def test_the_exported_adapter_is_read_by_peft(lab, first, tmp_path, tiny):
    import torch
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    export(lab, first, "adapter", tmp_path / "adapter.zip")
    with zipfile.ZipFile(tmp_path / "adapter.zip") as archive:
        archive.extractall(tmp_path / "adapter")
        assert str(tiny).encode() not in b"".join(archive.read(n) for n in archive.namelist())
    ids, base = torch.arange(40)[None], AutoModelForCausalLM.from_pretrained(tiny)
    with torch.no_grad():
        plain = base(ids).logits
        mine = PeftModel.from_pretrained(base, tmp_path / "adapter")(ids).logits
        stored = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(tiny), first["adapter_path"])(
            ids
        ).logits
    assert torch.equal(mine, stored) and not torch.equal(mine, plain)


@pytest.mark.parametrize(
    ("run", "kind", "to", "sentence"),
    [
        ("0123456789ab", "csv", "x.csv", "There is no run “0123456789ab”"),
        ("FIRST", "pdf", "x.pdf", "“pdf” is none of csv, jsonl, yaml, adapter."),
        ("FIRST", "csv", "no/such/folder/x.csv", "cannot be written"),
    ],
)
def test_an_export_that_cannot_be_is_one_sentence_and_leaves_nothing(lab, first, tmp_path, run, kind, to, sentence):
    run = first["run_id"] if run == "FIRST" else run
    done = lab("export", "--run", run, "--as", kind, "--to", str(tmp_path / to))
    assert done.returncode == 2 and sentence in done.stderr and "Traceback" not in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_recorded_run_is_exported_too(lab, tmp_path):
    from experiments import recorded

    run = recorded.load()[0]
    lines = export(lab, {"run_id": run.run_id}, "jsonl", tmp_path / "x.jsonl").splitlines()
    assert json.loads(lines[-1])["kind"] == "finished"


def changed(**changes: str) -> list[str]:
    command = [part for part in RUN if part != "--json"]
    for name, value in changes.items():
        command[command.index(f"--{name.replace('_', '-')}") + 1] = value
    return command


WRONG = {
    "rank": (changed(set="rank=0"), "settings.rank: Rank must be at least 1."),
    "rate": (changed(lr="nan"), "train.learning_rate: Learning rate must be a number, not infinite or NaN."),
    "word for a rate": (changed(lr="fast"), "train.learning_rate: Learning rate must be a number."),
    "steps": (changed(steps="-1"), "train.steps: Steps must be at least 0."),
    "seed": (changed(seed="x"), "seed: Seed must be a whole number."),
    "model": (
        changed(model="smollm"),
        "model: There is no model “smollm”; there is lab-nano, smollm2-135m, tiny. Did you mean",
    ),
    "folder without a model": (changed(model=str(ROOT)), f"model: The folder {ROOT} holds no model, which is "),
    "folder": (changed(model="./no/such/folder"), "model: There is no folder "),
    "task": (changed(task="pirat"), "Did you mean “pirate”?"),
    "method": (changed(method="lorra"), "Did you mean “lora”?"),
    "setting": (changed(set="rnak=8"), "settings.rnak: There is no setting “rnak” here; there are rank, alpha,"),
    "setting without a name": (changed(set="=8"), "settings: “=8” is not of the form name=value."),
    "setting given twice": ([*changed(), "--set", "rank=8"], "settings: “rank” is given twice, as “4” and as “8”."),
    "a billion": (changed(set="rank=1e9"), "settings.rank: Rank must be at most 256."),
    "large seed": (changed(seed="99999999999"), "seed: Seed must be at most 2,147,483,647."),
    "not a pair": (changed(set="rank"), "settings: “rank” is not of the form name=value."),
    "targets": (changed(set="targets=c_attn"), "settings.targets: This model has no module “c_attn”; it has "),
    "layers": (changed(set="layers=last 3"), "settings.layers: This model has 2 layers; “last 3” asks for 3."),
    "recipe": (
        [*changed(), "--train", "schedule=sine"],
        "train.schedule: Schedule must be one of constant, linear, cosine.",
    ),
    "longer": (["longer", "nope", "--steps", "9"], "run: There is no run “nope” in this store."),
    "biases": (
        ["run", "--model", "tiny", "--method", "bitfit"],
        "method: This model has no biases, so BitFit has nothing",
    ),
    "resource": (
        ["fetch", "zzzz"],
        "There is nothing called “zzzz” to fetch; there are the models lab-nano, smollm2-135m, tiny; the tasks storyteller, ",
    ),
    "resource misspelt": (["fetch", "pirat"], "Did you mean “pirate”?"),
    "fetched folder": (["fetch", str(ROOT)], f"The folder {ROOT} holds no model, which is "),
    "no spec": (["race"], "spec: Name the specs that are to race"),
    "spec file": (["race", "--spec", "no-such.json"], "no-such.json is not a readable file"),
    "prompt": (["generate", "--model", "tiny", "--prompt", " "], "prompt: Type a prompt first."),
    "long prompt": (
        ["generate", "--prompt", "the sailor walked to the harbour. " * 100],
        "The prompt has 1,004 tokens and the model reads at most 511: shorten it.",
    ),
    "temperature": (
        ["generate", "--model", "tiny", "--prompt", "a", "--temperature", "9"],
        "Temperature must be at most 2.",
    ),
    "run": (["generate", "--run", "nope", "--prompt", "a"], "run: There is no run “nope” in this store."),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_value_is_one_sentence_and_status_2(name, lab, first):
    """Also nothing half-made: the store holds what it held."""
    command, sentence = WRONG[name]
    before = lab("runs", "--json").stdout if name in ("rank", "targets", "method") else None
    done = lab(*command)
    assert done.returncode == 2 and done.stdout == ""
    assert sentence in done.stderr and "Traceback" not in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1, done.stderr
    if before is not None:
        assert lab("runs", "--json").stdout == before


def test_with_json_what_is_wrong_is_an_object_too(lab):
    done = lab(*changed(set="rank=0", steps="-1"), "--json")
    assert done.returncode == 2
    told = json.loads(done.stdout)
    assert told["status"] == "invalid" and [p["field"] for p in told["problems"]] == ["settings.rank", "train.steps"]


def test_a_run_that_fails_is_status_1_with_its_cause(lab, tiny, tmp_path, home):
    """The traceback goes to a file, in case somebody wants it."""
    folder = tmp_path / "mute"
    shutil.copytree(tiny, folder, ignore=shutil.ignore_patterns("tokenizer*"))
    done = lab("run", "--model", str(folder), "--method", "zero-shot", "--json")
    assert done.returncode == 1 and "Traceback" not in done.stderr
    told = json.loads(done.stdout)
    assert told["status"] == "failed" and told["curve"] == [] and told["adapter_path"] is None
    assert told["cause"] == "mute holds no tokenizer that can be read; put its tokenizer.json there."
    assert "Traceback" in (home / "command-line.log").read_text("utf8")


def test_tokenize_tells_ids_tokens_offsets_and_round_trip(lab):
    text = "Héllo <b>1</b>"
    told = answered(lab("tokenize", "--tokenizer", "byt5", "--tokenizer", "tiny", text, "--json"))
    assert told["text"] == text and list(told["tokenizers"]) == ["byt5", "tiny"]
    own = told["tokenizers"]["tiny"]
    assert own.keys() >= {"ids", "tokens", "offsets", "round_trip"} and own["round_trip"] is True
    assert "".join(own["tokens"]) == text and len(own["ids"]) == own["count"]
    assert [text[a:b] for a, b in own["offsets"]] == own["tokens"]
    assert told["tokenizers"]["byt5"]["ids"] == [b + 3 for b in text.encode()]
    plain = lab("tokenize", "--tokenizer", "byt5", text)
    assert plain.returncode == 0 and "15 tokens. The text comes back exactly." in plain.stdout


def test_tokenizers_are_listed_and_wrong_ones_are_a_sentence(lab, tmp_path):
    listed = answered(lab("tokenizers", "--json"))["tokenizers"]
    keys = ["gpt2", "cl100k", "o200k", "smollm2", "qwen", "bert", "mistral-v1", "ai21-j2", "rwkv-world", "byt5"]
    assert [t["key"] for t in listed][:10] == keys and listed[-1]["key"] == "tiny"
    (tmp_path / "bad.json").write_text("{}")
    for command, sentence in (
        (["--tokenizer", "gpt3"], "Did you mean “gpt2”?"),
        (["--tokenizer", "../x"], "There is no tokenizer “../x”"),
        (["--file", str(tmp_path / "none.json")], "There is no file"),
        (["--file", str(tmp_path / "bad.json")], "This JSON describes no tokenizer"),
    ):
        done = lab("tokenize", *command, "x")
        assert done.returncode == 2 and sentence in done.stderr and "Traceback" not in done.stderr
    assert answered(lab("fetch", "byt5", "--json"))["fetched"] == [
        {"name": "byt5", "source": "none needed", "path": None}
    ]


def test_a_sweep_from_the_command_line(lab, home, first):
    spec = home / "base.json"
    spec.write_text(json.dumps(first["spec"] | {"weights": ""}))
    ask = ["sweep", "--base", str(spec), "--axis", "method.rank=4,2", "--seeds", "3", "--json"]
    planned = answered(lab(*ask, "--plan"))
    assert (planned["cells"], planned["stored"]) == (2, 1)
    found = answered(lab(*ask))
    assert found.keys() >= {"cells", "best", "noise"} and [c["status"] for c in found["cells"]] == ["finished"] * 2
    assert {c["run_id"] for c in found["cells"]} >= {first["run_id"]}
    assert all(c["spec"]["settings"]["rank"] in (4, 2) and c["metrics"]["held_out"] > 0 for c in found["cells"])
    wrong = lab("sweep", "--base", str(spec), "--axis", "method.rnk=1,2", "--json")
    assert wrong.returncode == 2 and "rank" in wrong.stderr and "Traceback" not in wrong.stderr


def test_ctrl_c_loses_no_step_of_a_comparison_and_the_same_command_goes_on(home, tiny, first):
    """Ctrl+C as a terminal sends it, to the whole group of processes, in the middle of a run; then the same command once more."""
    store = Store(home / "lab.sqlite")
    command = ["compare", "--model", "tiny", "--task", "pirate", "--methods", "lora", "--budget-steps", "5000", "--train",
               "batch_size=2", "--rates", "1", "--seeds", "7", "--workers", "1", "--json"]  # fmt: skip

    def told(attempt: int) -> list[Any]:
        entries = [e for e in store.entries("train", limit=20) if '"steps":5000' in e.spec]
        return [row.event for row in store.events(Key(entries[0].key.run_id, attempt))] if entries else []

    def interrupted(attempt: int, steps: int) -> list[Any]:
        """The events of this attempt, interrupted when it had taken so many steps."""
        environment = {**os.environ, "LAB_HOME": str(home), "LAB_MODELS": f"tiny={tiny}", "COLUMNS": "80"}
        process = subprocess.Popen(
            [sys.executable, "-m", "experiments", *command], cwd=ROOT, env=environment, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True,
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # a shell's background job ignores it
        )  # fmt: skip
        try:
            while sum(e.kind == "stepped" for e in told(attempt)) < steps:
                assert process.poll() is None, process.communicate()
                time.sleep(0.05)
            os.killpg(process.pid, signal.SIGINT)
            out, err = process.communicate(timeout=200)
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
        assert process.returncode == 1 and json.loads(out)["state"] == "stopped", err
        assert "what is done stays" in err and "Traceback" not in err
        return told(attempt)

    def losses(events: list[Any]) -> list[float]:
        return [e.loss for e in events if e.kind == "stepped"]

    before = interrupted(1, 3)
    done = losses(before)
    assert before[-1].kind == "cancelled" and before[-1].step == len(done) >= 3
    after = interrupted(2, len(done) + 2)
    assert next(e.resumed_at for e in after if e.kind == "started") == len(done)  # not one is taken again
    assert losses(after)[: len(done)] == done and len(losses(after)) >= len(done) + 2
