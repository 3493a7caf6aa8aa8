"""What the tiers share: where fetched things are kept between test runs, and the models the tests train.

What is fetched (the real tokenizer comes with the real model) is kept in the user's cache folder, so that only the first
run on a machine needs the network. Everything else a test writes goes to a folder of its own.

One thread, here and in the processes that tests start: a two-layer model gains nothing from a second one, and where
other work keeps the machine busy two threads that wait for each other take five times as long.
"""

from __future__ import annotations

import os
from pathlib import Path

import platformdirs
import pytest

os.environ["OMP_NUM_THREADS"] = "1"
FETCHED = Path(os.environ.get("LAB_TEST_CACHE") or platformdirs.user_cache_dir("fine-tuning-lab-tests"))


@pytest.fixture(scope="session")
def smollm2() -> Path:
    """The folder of the real SmolLM2-135M-Instruct, weights and tokenizer, fetched and converted once on this machine."""
    from experiments.catalog import models, resources
    from experiments.engine.models import prepare

    before = os.environ.get("LAB_HOME")
    os.environ["LAB_HOME"] = str(FETCHED)
    try:
        entry = models.find("smollm2-135m")
        resources.get(entry.resource)
        return prepare(entry, models.weights_of(entry))
    finally:
        os.environ.pop("LAB_HOME")
        if before is not None:
            os.environ["LAB_HOME"] = before


@pytest.fixture(scope="session")
def fetched_home(smollm2: Path) -> Path:
    """A lab home whose cache holds the real model."""
    return FETCHED


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory, smollm2: Path) -> Path:
    """The folder of a two-layer Llama with the real tokenizer."""
    from tests.models import tiny_llama

    return tiny_llama(tmp_path_factory.mktemp("models") / "tiny", smollm2)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty lab home of the test's own."""
    monkeypatch.setenv("LAB_HOME", str(tmp_path / "home"))
    return tmp_path / "home"
