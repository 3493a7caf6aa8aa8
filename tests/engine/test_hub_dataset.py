"""Data sets of the model hub, through the real `datasets` library in its child process, against a hub on this machine."""

from __future__ import annotations

import io
import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from experiments.catalog.own_data import child
from experiments.catalog.own_data.table import Unreadable
from tests.standin_hub import Repo, StandInHub

ROWS = [{"question": f"What is {i}?", "answer": f"It is {i}."} for i in range(30)]
CARD = b"---\nconfigs:\n- config_name: small\n  data_files: small.jsonl\n- config_name: large\n  data_files: large.jsonl\n---\n"
LINES = "\n".join(map(json.dumps, ROWS)).encode()


def parquet(**columns) -> bytes:
    out = io.BytesIO()
    pq.write_table(pa.table(columns), out)
    return out.getvalue()


SUMS = parquet(question=[r["question"] for r in ROWS], answer=[r["answer"] for r in ROWS], picture=[b"\x89PNG"] * 30)
DATASETS = {
    "anna/sums": Repo({"train.parquet": SUMS, "README.md": b"# Sums\n"}),
    "anna/two": Repo({"README.md": CARD, "small.jsonl": LINES, "large.jsonl": LINES}),
    "anna/private": Repo({"train.jsonl": LINES}, mood="private"),
    "anna/gated": Repo({"train.jsonl": LINES}, mood="gated"),
    "anna/code": Repo({"code.py": b"raise SystemExit('run')", "README.md": b"# x\n"}),
    "anna/half-code": Repo({"half-code.py": b"open('/tmp/ran', 'w')", "train.jsonl": LINES}),
    "anna/nothing": Repo({"README.md": b"# x\n"}),
    "anna/pictures": Repo({"train.parquet": parquet(picture=[b"\x89PNG"] * 30)}),
    "anna/broken": Repo({"train.parquet": SUMS[:300]}),
}


@pytest.fixture
def hub(monkeypatch, tmp_path):
    with StandInHub(datasets=DATASETS) as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub.url)
        monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
        monkeypatch.setenv("HF_TOKEN", "let-me-in")  # of whoever hosts the lab
        monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
        yield hub


def test_its_first_rows_are_brought_and_pictures_left_out(hub):
    found = child.hub("anna/sums")
    assert found.columns == ("question", "answer") and found.rows[3] == ("What is 3?", "It is 3.")
    assert found.notes == ("The first 30 rows of “train” of anna/sums.",) and len(found.rows) == 30
    assert child.hub("anna/two:small").rows == found.rows


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("anna/none", "The model hub has no data set anna/none, or it is private."),
        (
            "anna/private",
            "The model hub has no data set anna/private, or it is private.",
        ),  # the host's token is not used
        ("anna/gated", "anna/gated is gated: its terms must be accepted on the hub"),
        ("anna/code", "anna/code wants to run code of its own, which the lab never does."),
        ("anna/nothing", "anna/nothing holds no file of rows."),
        ("anna/pictures", "anna/pictures has no column of text."),
        ("anna/two", "anna/two has several configurations; write one behind the name: anna/two:small, anna/two:large."),
        ("anna/two:huge", "anna/two:huge"),
        ("anna/broken", "anna/broken cannot be read: "),
        ("anna/half-code", "anna/half-code wants to run code of its own"),
    ],
)
def test_what_cannot_be_brought_is_one_sentence(hub, name, sentence):
    with pytest.raises(Unreadable) as caught:
        child.hub(name)
    said = str(caught.value)
    assert sentence in said and said.endswith(".") and "\n" not in said and hub.url not in said


def test_who_runs_the_lab_may_bring_what_is_private(hub):
    assert len(child.hub("anna/private", as_visitor=False).rows) == 30


def test_a_hub_that_is_away_is_one_sentence(monkeypatch, tmp_path):
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setenv("HF_HOME", str(tmp_path))
    with pytest.raises(Unreadable, match="The model hub cannot be reached, so anna/sums cannot be brought"):
        child.hub("anna/sums")
