"""Files of a run: that a spreadsheet calculates none of it, that what goes out comes back, and what an import refuses."""

from __future__ import annotations

import csv
import io
import json
import zipfile

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from experiments import analysis, events, export
from experiments.specs import SpecError
from experiments.store import Store
from tests.unit.runs import put, spec

FORMULAS = [
    "=1+1",
    "+1",
    "-1",
    "@SUM(A1)",
    "\t=1",
    "\r=1",
    "\n=1",
    '=HYPERLINK("http://x","y")',
    "=cmd|' /C calc'!A0",
    " =1",
]
START = ("=", "+", "-", "@", "\t", "\r", "\n")


@pytest.fixture
def stored(tmp_path):
    store = Store(tmp_path / "lab.sqlite")
    key = put(store, spec(steps=4))
    return store, key


def table(text: str) -> list[list[str]]:
    return list(csv.reader(io.StringIO(text, newline="")))


@pytest.mark.parametrize("formula", FORMULAS)
def test_no_text_cell_starts_a_formula(formula):
    text = export.answers_csv([formula, "LoRA"], [(formula, [formula, "fine"])])
    assert table(text)[1][0] == "'" + formula
    assert not any(one.lstrip(" ").startswith(START) for row in table(text) for one in row)
    assert export.cell(-0.5) == -0.5  # a number stays one


@given(st.lists(st.tuples(st.text(), st.text()), max_size=5))
def test_any_answers_make_a_csv_that_reads_back(rows):
    found = table(export.answers_csv(["base"], [(prompt, [said]) for prompt, said in rows]))
    assert [[export.cell(p), export.cell(s)] for p, s in rows] == found[1:]


def test_a_nul_is_shown_as_a_sign():
    assert table(export.answers_csv(["base"], [("a\0b", ["\0"])]))[1] == ["a\ufffdb", "\ufffd"]


def test_the_curve_has_a_line_for_each_step(stored):
    store, key = stored
    header, *rows = table(export.curve_csv(analysis.load(store, key.run_id)))
    lines = [dict(zip(header, row, strict=True)) for row in rows]
    assert [line["step"] for line in lines] == ["1", "2", "3", "4"]
    assert [float(line["loss"]) for line in lines] == [2.75, 2.5, 2.25, 2.0]
    assert lines[0]["held_out_loss"] == "" and lines[3]["held_out_loss"] == "0.8" and lines[3]["style"] == "96.0"


def test_a_loss_that_is_no_number_is_an_empty_cell():
    record = analysis.Record(spec(), "x")
    record.steps = [events.Stepped(step=1, loss=None, gradient_norm=None, learning_rate=1.0, tokens=1, train_s=0.1)]
    assert table(export.curve_csv(record))[1][:3] == ["1", "", ""]


def test_events_are_one_json_object_a_line_and_parse_back(stored):
    store, key = stored
    rows = store.events(key)
    lines = [json.loads(line) for line in export.events_jsonl(rows)]
    assert [line["seq"] for line in lines] == list(range(len(rows)))
    for line, row in zip(lines, rows, strict=True):
        assert line.pop("time_s") == row.time_s and line.pop("seq") == row.seq
        assert events.ADAPTER.validate_python(line) == row.event


@pytest.mark.parametrize(
    "form", [export.spec_yaml, lambda s: s.model_dump_json(), lambda s: json.dumps({"spec": s.model_dump(mode="json")})]
)
def test_a_spec_goes_out_and_comes_back_as_the_same_run(form):
    for one in (spec(rank=4, seed=7), spec("prompt", init_text="- =1: “ünï” #x\n'\"")):
        (back,) = export.read_specs(form(one).encode())
        assert back == one and back.run_id == one.run_id
    assert [
        s.seed for s in export.read_specs(json.dumps([spec(seed=i).model_dump(mode="json") for i in range(3)]))
    ] == [0, 1, 2]


BAD = {
    "empty": (b"", "A spec is a list of names"),
    "a word": (b"lora", "A spec is a list of names"),
    "not text": (b"\xff\xfe\x00", "not a text in UTF-8"),
    "control": (b"a: \x00", "neither YAML nor JSON"),
    "broken": (b"method: [lora", "neither YAML nor JSON: see line"),
    "a tag": (b"!!python/object/apply:os.system ['true']", "neither YAML nor JSON"),
    "references": (b"a: &a [x,x]\nb: *a", "neither YAML nor JSON"),
    "nested": (b"[" * 20000, "neither YAML nor JSON"),
    "long": (b"a" * 64_001, "at most 64 KB"),
    "many": (b"[{}" + b",{}" * 20 + b"]", "one to 20 specs"),
    "numbers for names": (b"1: 2", "A spec is a list of names"),
    "no method": (b"model: any\ntask: pirate", "Method is missing."),
    "wrong value": (b"model: any\ntask: pirate\nmethod: lora\nsettings: {rank: -1}", "Rank must be at least 1."),
    "unknown setting": (b"model: any\ntask: pirate\nmethod: lora\nsettings: {rnk: 1}", "There is no setting “rnk” here"),
    "a date": (b"model: any\ntask: pirate\nmethod: lora\nseed: 2020-01-01", "Seed"),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_a_spec_that_cannot_be_read_is_one_sentence(name):
    content, sentence = BAD[name]
    with pytest.raises(SpecError, match=None) as refusal:
        export.read_specs(content)
    assert sentence in str(refusal.value) and "\n" not in str(refusal.value)


@settings(deadline=None)
@given(
    st.one_of(
        st.binary(max_size=200),
        st.recursive(
            st.none() | st.integers() | st.text(max_size=5),
            lambda c: st.lists(c, max_size=3) | st.dictionaries(st.text(max_size=8), c, max_size=3),
        ).map(lambda d: yaml.safe_dump(d).encode()),
    )
)
def test_any_file_is_specs_or_one_sentence(content):
    try:
        assert export.read_specs(content)
    except SpecError as refusal:
        assert str(refusal)


def test_the_zip_holds_known_files_and_no_path_of_this_machine(tmp_path):
    folder = tmp_path / "adapter"
    folder.mkdir()
    secret = tmp_path / "secret.txt"
    secret.write_text("secret")
    (folder / "adapter_config.json").write_text(json.dumps({"base_model_name_or_path": "/home/me/cache/x", "r": 8}))
    (folder / "README.md").write_text("---\nbase_model: /home/me/cache/x\n---\n")
    (folder / "adapter_model.safetensors").write_bytes(bytes(range(256)) * 5000)
    (folder / "notes.txt").write_text("not ours")
    (folder / "trained.safetensors").symlink_to(secret)
    out = io.BytesIO()
    assert export.adapter_zip(folder, out, "owner/name") == 3
    with zipfile.ZipFile(out) as archive:
        assert sorted(archive.namelist()) == ["README.md", "adapter_config.json", "adapter_model.safetensors"]
        assert json.loads(archive.read("adapter_config.json"))["base_model_name_or_path"] == "owner/name"
        assert b"/home/me" not in archive.read("README.md")
        assert archive.read("adapter_model.safetensors") == bytes(range(256)) * 5000
    with pytest.raises(export.NothingToExport, match="no adapter on this machine"):
        export.adapter_zip(tmp_path / "gone", io.BytesIO(), "x")


def test_markdown_keeps_what_was_said_as_text():
    text = export.answers_markdown(["base"], [("a|b\n<img src=x onerror=1>", ["**bold** [x](y) `c`\r\n- d"])])
    head, rule, row = text.splitlines()
    assert row.count(" | ") == 1 and "<img" not in row and "\\*\\*bold" in row and row.count("<br>") == 2
