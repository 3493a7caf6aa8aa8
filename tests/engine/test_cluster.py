"""Runs on Ray: several begun at once; two nodes on one machine, the one that trains is taken away, and the run ends as it would have."""

import json
import threading
import time

import pytest
import ray
from typer.testing import CliRunner

from experiments import analysis
from experiments.__main__ import app
from experiments.engine import training
from experiments.jobs import Job
from experiments.store import Store
from experiments.sweeps.cluster import RayExecutor
from tests.engine.conftest import losses, run_spec


@pytest.fixture
def cluster(monkeypatch):
    """A head that carries nothing out; nodes are added by the tests."""
    from ray.cluster_utils import Cluster

    monkeypatch.setenv("RAY_ENABLE_UV_RUN_RUNTIME_ENV", "0")
    made = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
    yield made
    ray.shutdown()
    made.shutdown()


@pytest.fixture
def asked(tiny, home):
    """A store, and a function that gives a run of it as a job."""
    from experiments.catalog import models

    entry = models.find(str(tiny), local=True)
    store = Store(home / "lab.sqlite")

    def ask(steps: int, seed: int = 0):
        spec = run_spec(steps=steps, rate=1e-2, seed=seed)
        spec = spec.model_copy(update={"model": str(tiny), "task": "pirate", "weights": models.weights_of(entry)})
        return spec, store.open(spec.run_id, "train", spec.model_dump_json(), "ann")[0]

    return store, ask


def test_several_trials_begin_at_once(home, cluster, asked):
    """As with `--workers 2`: each has an executor and a thread of its own, and only one of them joins the cluster."""
    store, ask = asked
    cluster.add_node(num_cpus=2)
    keys = [ask(2, seed)[1] for seed in range(2)]
    at_once = threading.Barrier(len(keys))

    def carry_out(key):
        executor = RayExecutor(store, home, cluster.address, cpus=1)
        at_once.wait()
        executor.run(Job("train", (key,)))

    works = [threading.Thread(target=carry_out, args=(key,), daemon=True) for key in keys]
    for work in works:
        work.start()
    for work in works:
        work.join(240)
    assert [store.last_kind(key) for key in keys] == ["finished"] * len(keys)


def test_a_trial_survives_the_loss_of_its_node(home, base, tmp_path, cluster, asked):
    store, ask = asked
    spec, key = ask(40)
    first = cluster.add_node(num_cpus=1)
    executor = RayExecutor(store, home, cluster.address)
    work = threading.Thread(target=executor.run, args=(Job("train", (key,)),), daemon=True)
    work.start()
    until = time.monotonic() + 100
    while store.last_kind(key) != "stepped" and time.monotonic() < until:
        time.sleep(0.05)
    assert store.last_kind(key) == "stepped"
    cluster.add_node(num_cpus=1)
    cluster.remove_node(first, allow_graceful=False)
    work.join(120)
    record = analysis.load(store, key.run_id)
    assert record.status == "finished" and record.attempt == 1
    alone = list(training.run(spec, base, tmp_path / "alone"))
    assert [s.loss for s in record.steps] == pytest.approx(losses(alone), abs=1e-5)
    assert (home / record.finished.adapter_path / "adapter_model.safetensors").is_file()


@pytest.mark.parametrize(
    ("address", "sentence"),
    [
        ("127.0.0.1:1", "Nobody answers at “127.0.0.1:1”: "),
        ("ray://127.0.0.1:1", "Nobody answers at “ray://127.0.0.1:1”: "),
        ("a:b", "Nobody answers at “a:b”: Port could not"),
        ("nowhere", "There is no Ray cluster at “nowhere”: "),
        ("auto", "There is no Ray cluster at “auto”: "),
    ],
)
def test_where_no_cluster_answers_the_command_says_so_at_once(home, monkeypatch, address, sentence):
    """Ray itself tries for more than a minute, cell by cell."""
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    asked = ["sweep", "--axis", "method.rank=1,2", "--ray", address, "--json"]
    done = CliRunner().invoke(app, asked)
    problem = json.loads(done.stdout)["problems"][0]
    assert done.exit_code == 2 and problem["field"] == "ray" and problem["sentence"].startswith(sentence)
    assert not Store(home / "lab.sqlite").entries()
