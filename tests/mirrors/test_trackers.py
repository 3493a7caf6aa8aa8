"""Trackio and W&B themselves, in the environment that has them: `make test` makes it beside the other.

They stand apart because they bring packages (another event loop among them) that the page would use where it finds them.
"""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from pathlib import Path

from experiments import mirrors
from tests.mirrors.feed import feed

ROOT = Path(__file__).parents[2]
TRACKIO, _, WANDB = mirrors.MIRRORS


def test_trackio_reads_back_what_was_told(tmp_path):
    """In a process of its own: Trackio reads its folder once, when it is imported."""
    code = "from pathlib import Path\nfrom tests.mirrors.test_trackers import *\nfeed(TRACKIO, Path(sys.argv[1]))"
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)], cwd=ROOT, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0 and done.stdout == "", done.stderr
    with sqlite3.connect(next((tmp_path / "trackio").glob("*.db"))) as db:
        rows = db.execute("SELECT run_name, COUNT(*), MAX(step) FROM metrics GROUP BY run_name").fetchall()
        losses = db.execute(
            "SELECT json_extract(metrics, '$.\"train/loss\"') FROM metrics ORDER BY run_name, step"
        ).fetchall()
    assert len(rows) == 2 and {row[1:] for row in rows} == {(6, 3)}
    assert [loss for (loss,) in losses if loss is not None] == [2.75, 2.5, 2.25] * 2


def test_wandb_keeps_it_on_this_machine(tmp_path, monkeypatch):
    monkeypatch.delenv("WANDB_MODE", raising=False)
    feed(WANDB, tmp_path)
    files = list(tmp_path.glob("wandb/offline-run-*/*.wandb"))
    assert len(files) == 2
    for file in files:
        assert b"train/loss" in file.read_bytes() and b"2.25" in file.read_bytes()
