"""A run on Ray: two nodes on one machine, the one that trains is taken away, and the run ends as it would have."""

import threading
import time

import pytest
import ray

from experiments import analysis
from experiments.engine import training
from experiments.jobs import Job
from experiments.store import Store
from experiments.sweeps.cluster import RayExecutor
from tests.engine.conftest import losses, run_spec


def test_a_trial_survives_the_loss_of_its_node(home, tiny, base, tmp_path, monkeypatch):
    from ray.cluster_utils import Cluster

    from experiments.catalog import models

    monkeypatch.setenv("RAY_ENABLE_UV_RUN_RUNTIME_ENV", "0")
    entry = models.find(str(tiny), local=True)
    spec = run_spec(steps=40, rate=1e-2)
    spec = spec.model_copy(update={"model": str(tiny), "task": "pirate", "weights": models.weights_of(entry)})
    store = Store(home / "lab.sqlite")
    key = store.open(spec.run_id, "train", spec.model_dump_json(), "ann")[0]
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
    try:
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
    finally:
        ray.shutdown()
        cluster.shutdown()
    assert record.status == "finished" and record.attempt == 1
    alone = list(training.run(spec, base, tmp_path / "alone"))
    assert [s.loss for s in record.steps] == pytest.approx(losses(alone), abs=1e-5)
    assert (home / record.finished.adapter_path / "adapter_model.safetensors").is_file()
