"""What the engine tests share: two-layer models loaded once, and a task with few rows."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from experiments import events
from experiments.catalog import tasks
from experiments.catalog.tasks import Split, pirate
from experiments.specs import RunSpec, build


def few_rows(progress: Any) -> Split:
    """Real rows of the pirate task, few enough for a test."""
    whole = pirate.load(progress)
    return Split(whole.train[:12], whole.held_out[:5])


FEW = replace(pirate.TASK, key="few", load=few_rows, scored_rows=4, max_new_tokens=5, probes=pirate.TASK.probes[:2])


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> None:
    import torch

    torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def own_home(home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """No test sees what another measured; the task "few" is in the catalogue, and the general text is short."""
    passages = tasks.general_text()[:2]
    monkeypatch.setattr(tasks, "TASKS", (*tasks.TASKS, FEW))
    monkeypatch.setattr(tasks, "general_text", lambda: passages)
    return home


@pytest.fixture(autouse=True)
def untidy(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Freed memory is not given back before each measurement, which takes half a second: the real `trim`."""
    from experiments.engine import memory

    trim = memory.trim
    monkeypatch.setattr(memory, "trim", lambda: None)
    return trim


@pytest.fixture(scope="session")
def base(tiny: Path) -> Any:
    """The two-layer Llama, loaded."""
    from experiments.engine import models

    return models.load(tiny, "tiny", "local:tiny")


@pytest.fixture(scope="session")
def gpt2(tmp_path_factory: pytest.TempPathFactory, smollm2: Path) -> Path:
    """The folder of a two-layer GPT-2."""
    from tests.models import tiny_gpt2

    return tiny_gpt2(tmp_path_factory.mktemp("models") / "gpt2", smollm2)


def untouched(base: Any) -> Callable[[], bool]:
    """Says whether a base's weights are still bit for bit those that they are now."""
    import torch

    loaded = {name: p.detach().clone() for name, p in base.model.named_parameters()}

    def are_untouched() -> bool:
        now = dict(base.model.named_parameters())
        return now.keys() == loaded.keys() and all(
            torch.equal(now[n], p) and not now[n].requires_grad and now[n].grad is None for n, p in loaded.items()
        )

    return are_untouched


@pytest.fixture(scope="session")
def weights(base: Any) -> Iterator[Callable[[], bool]]:
    """Says whether the base's weights are still bit for bit those that were loaded; asked once more at the very end."""
    are_untouched = untouched(base)
    yield are_untouched
    assert are_untouched()


@pytest.fixture(scope="module")
def brittle(tiny, tmp_path_factory):
    """A model that answers as the tiny one does, but whose first layer holds 1e17 where others hold 1: a large step is
    more than float32 can take."""
    from experiments.engine import models

    folder = tmp_path_factory.mktemp("models") / "brittle"
    shutil.copytree(tiny, folder)
    brittle = models.load(folder, "brittle", "local:brittle")
    layer = brittle.model.model.layers[0]
    layer.input_layernorm.weight.data *= 1e17
    for linear in (layer.self_attn.q_proj, layer.self_attn.k_proj, layer.self_attn.v_proj):
        linear.weight.data *= 1e-17
    return brittle


def run_spec(
    method: str = "lora", steps: int = 3, rate: float | None = None, seed: int = 0, **settings: Any
) -> RunSpec:
    """A spec on the tiny model and the task "few"; two rows a step."""
    train = {"steps": steps, "batch_size": 2, **({} if rate is None else {"learning_rate": rate})}
    names = {"model": "tiny", "weights": "local:tiny", "task": "few", "method": method}
    return build(RunSpec, {**names, "settings": settings, "train": train, "seed": seed})


def losses(happened: list[events.Event]) -> list[float | None]:
    return [e.loss for e in happened if isinstance(e, events.Stepped)]
