"""Any hub id through the same door, against a local stand-in of the hub: fetched, recorded in the spec, trained."""

import json
import os
import subprocess
import sys
from pathlib import Path

from tests.standin_hub import Repo, StandInHub

ROOT = Path(__file__).parents[2]


def run(home: Path, endpoint: str, *words: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "LAB_HOME": str(home), "HF_HOME": str(home / "hf"), "HF_ENDPOINT": endpoint}
    command = [sys.executable, "-m", "experiments", *words]
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=200)


def test_a_hub_model_is_fetched_named_in_the_spec_and_trained(tiny, home):
    files = {f.name: f.read_bytes() for f in tiny.iterdir()}
    repo = Repo(files)
    with StandInHub({"owner/tiny": repo}) as hub:
        words = ["run", "--model", "owner/tiny", "--steps", "2", "--batch-size", "1", "--json"]
        done = run(home, hub.url, *words)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["status"] == "finished"
    assert found["spec"]["weights"] == f"hub:owner/tiny@{repo.commit}"
    assert Path(found["adapter_path"], "adapter_model.safetensors").exists()
    again = run(home, "http://127.0.0.1:9", *words)  # the hub is gone: the cache answers, and the run is the same
    assert json.loads(again.stdout)["run_id"] == found["run_id"]


def test_a_hub_model_that_is_not_there_is_one_sentence(home):
    with StandInHub({}) as hub:
        done = run(home, hub.url, "run", "--model", "owner/nothing", "--json")
    assert done.returncode == 2
    (problem,) = json.loads(done.stdout)["problems"]
    assert "owner/nothing" in problem["sentence"] and "Traceback" not in done.stderr
    assert not (home / "adapters").exists()
