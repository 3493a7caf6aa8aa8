"""A lab whose folder or store cannot be used: one sentence that names it and says what to do, from every command and the page."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from experiments.store import Store
from tests.command import ROOT, call


def unusable_home(folder: Path, what: str) -> tuple[Path, str]:
    """A home of this kind, and what is said of it."""
    if what == "file":
        folder.write_text("")
        return folder, f"Cannot write to {folder}: a file is where a folder should be; set LAB_HOME to another folder."
    store = Store(folder / "lab.sqlite")
    store.connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    whole = store.path.read_bytes()
    kept = 4096 if what == "damaged page" else 0  # the first page says which tables there are
    store.path.write_bytes(whole[:kept] + b"\x55" * (len(whole) - kept))
    return folder, f"{store.path} is damaged ("


@pytest.mark.parametrize("what", ["file", "damaged", "damaged page"])
def test_a_home_that_cannot_be_used_is_one_sentence_and_status_2(what, tmp_path):
    home, sentence = unusable_home(tmp_path / "home", what)
    (tmp_path / "rows.csv").write_text("prompt,completion\n" + "".join(f"q{i},a{i}\n" for i in range(40)))
    run = ["run", "--method", "zero-shot"]
    for command in (["runs"], run, [*run, "--data", str(tmp_path / "rows.csv")], ["generate", "--prompt", "a"]):
        done = call(*command, "--json", environment={"LAB_HOME": str(home)})
        assert done.returncode == 2 and done.stderr.startswith(sentence) and len(done.stderr.splitlines()) == 1
        told = json.loads(done.stdout)
        assert told == {"status": "invalid", "problems": [{"field": "", "sentence": done.stderr.strip()}]}


def test_the_page_says_so_and_does_not_start(tmp_path):
    home, sentence = unusable_home(tmp_path / "home", "damaged")
    done = subprocess.run(
        [sys.executable, "app.py"], cwd=ROOT, env={**os.environ, "LAB_HOME": str(home)}, capture_output=True, text=True,
        timeout=200,
    )  # fmt: skip
    assert done.returncode == 1 and done.stderr.startswith(sentence) and len(done.stderr.splitlines()) == 1
