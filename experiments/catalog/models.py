"""The models of the lab, in display order, and the door to any other causal language model: a hub id or a local folder.

Known here without torch: what a model is called, where it comes from, which bytes it is (`weights_of`), its
architecture. Loading it is `engine/models.py`.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from experiments.accounting import Arch, folder_arch, llama_arch
from experiments.catalog import resources
from experiments.catalog.cache import lab_home


@dataclass(frozen=True)
class ModelEntry:
    """One model. `size_mb` is what is fetched (None: unknown until the hub is asked); `config` describes the
    architecture before anything is fetched. `learning_rates`: method → default on this model, where it is not the method's own."""

    key: str
    title: str
    summary: str
    resource: resources.Resource
    licence: str = ""
    parameters: int | None = None
    size_mb: float | None = None
    config: Mapping[str, Any] = field(default_factory=dict)
    learning_rates: Mapping[str, float] = field(default_factory=dict)


MODELS: tuple[ModelEntry, ...] = (
    ModelEntry(
        key="lab-nano",
        title="Lab Nano",
        summary="Ships with the lab: knows a small invented world, trains in seconds.",
        resource=resources.find("lab-nano"),
        licence="MIT",
        parameters=5_785_856,
        config={
            "hidden_size": 256,
            "num_hidden_layers": 6,
            "num_attention_heads": 4,
            "num_key_value_heads": 2,
            "head_dim": 64,
            "intermediate_size": 768,
            "vocab_size": 4096,
            "max_position_embeddings": 512,
            "tie_word_embeddings": True,
            "attention_bias": True,
            "mlp_bias": True,
        },
        learning_rates={"lora": 2e-3, "qlora": 2e-3, "full": 1e-3, "partial": 1e-3},
    ),
    ModelEntry(
        key="smollm2-135m",
        title="SmolLM2 135M",
        summary="A real instruction-tuned model, small enough to train on two cores.",
        resource=resources.find("smollm2-135m"),
        licence="Apache-2.0",
        parameters=134_515_008,
        size_mb=93,
        config={
            "hidden_size": 576,
            "num_hidden_layers": 30,
            "num_attention_heads": 9,
            "num_key_value_heads": 3,
            "intermediate_size": 1536,
            "vocab_size": 49152,
            "max_position_embeddings": 8192,
            "tie_word_embeddings": True,
        },
    ),
)


def available() -> tuple[ModelEntry, ...]:
    """The lab's models and those that the host of this lab names: LAB_MODELS="name=folder or hub id,name=…"."""
    named = [part.partition("=") for part in os.environ.get("LAB_MODELS", "").split(",") if "=" in part]
    return MODELS + tuple(
        ModelEntry(key.strip(), key.strip(), "Named by whoever hosts this lab.", resources.find(place.strip()))
        for key, _, place in named
    )


def find(key: str, local: bool = False) -> ModelEntry:
    """The model with this key, else any hub id (`owner/name`), else, with `local`, a folder.

    Raises `ValueError` or, for a folder that is not there or holds no model, `ResourceError`, with one sentence. A visitor's
    text is never taken for a path: `local` is for the command line.
    """
    known = {entry.key: entry for entry in available()}
    if key in known:
        return known[key]
    is_path = key.startswith((".", "/", "~")) or "\\" in key or ".." in key or Path(key).is_absolute()
    if is_path and local:
        resource = resources.find(key)
        _require_model(resource.folder or Path(key))
        return ModelEntry(str(resource.folder), resource.title, "A folder on this machine.", resource)
    if re.fullmatch(r"[\w.-]+/[\w.-]+", key) and not is_path:
        return ModelEntry(key, key, "A model of the hub.", resources.find(key))
    near = get_close_matches(key, list(known), n=1)
    hint = f" Did you mean “{near[0]}”?" if near else " Any other is named by its hub id, owner/name."
    raise ValueError(f"There is no model “{key[:60]}”; there is {', '.join(known)}.{hint}")


def _require_model(folder: Path) -> None:
    """Raise `ResourceError` for a folder without a model. Asked before its bytes are read: it may be somebody's whole disk."""
    is_whole = (folder / "config.json").is_file() and _has(folder, "*.safetensors")
    if not is_whole and not _has(folder, "*.gguf"):
        raise resources.ResourceError(
            f"The folder {folder} holds no model, which is a config.json with safetensors weights beside it, or a GGUF file."
        )


def public_name(key: str) -> str:
    """What a model is called outside this machine: its hub id where it has one, never a path."""
    try:
        entry = find(key, local=True)
    except ValueError:
        return key
    return entry.resource.hub.repo_id if entry.resource.hub else Path(entry.key).name


def usual_rate(key: str, method: str) -> float | None:
    """The learning rate that a method takes by default on this model; None where that is the method's own."""
    return next((entry.learning_rates.get(method) for entry in MODELS if entry.key == key), None)


UNPACKED = "+digits"
"""Ends the name of weights that are unpacked here. A packed file is read into a model *and* its tokenizer, so how that is
done is part of what a run is: where it changes, so do the names of the folder made and of every run on it. This one: the
digits are split where the file says so, which transformers' own reading leaves out."""


def weights_of(entry: ModelEntry) -> str:
    """Which bytes a run of this model would use now, and how they are read; part of the spec. May ask the hub (5 s at
    most). Raises `ResourceError`.
    """
    for fetched in resources.at_hand(entry.resource):
        return weights_in(fetched)
    source = resources.choose(entry.resource)
    return source + UNPACKED if source.startswith("package:") else source  # a package's weights are packed


def weights_in(fetched: resources.Fetched) -> str:
    """The weights of a folder that was fetched, as a spec names them."""
    packed = _has(fetched.path, "*.gguf") and not _has(fetched.path, "*.safetensors")
    return fetched.source + UNPACKED if packed else fetched.source


def folder(entry: ModelEntry, weights: str) -> Path | None:
    """The folder with these weights as safetensors, if it is ready to load; it may still have to be fetched or
    converted.
    """
    for fetched in resources.at_hand(entry.resource):
        if fetched.source == weights and _has(fetched.path, "*.safetensors"):
            return fetched.path
    made = converted(weights)
    return made if made.is_dir() else None


def _has(folder: Path, pattern: str) -> bool:
    return any(folder.glob(pattern))


def converted(weights: str) -> Path:
    """Where the safetensors made from another format are kept."""
    return lab_home() / "cache" / "converted" / "".join(c if c.isalnum() or c in "._=-" else "-" for c in weights)


def here(entry: ModelEntry) -> tuple[str, Path] | None:
    """The weights and the folder that a run of this model would load now, None where something must be fetched or converted
    first. Never asks the network.
    """
    found = next(iter(resources.at_hand(entry.resource)), None)
    if found is None:
        return None
    weights = weights_in(found)
    made = found.path if _has(found.path, "*.safetensors") else converted(weights)
    return (weights, made) if made.is_dir() else None


def ready(entry: ModelEntry) -> Path | None:
    """The folder of `here`."""
    known = here(entry)
    return known[1] if known else None


def is_ready(entry: ModelEntry) -> bool:
    """Whether the model can be loaded without fetching or converting anything."""
    return ready(entry) is not None


def arch(entry: ModelEntry) -> Arch | None:
    """The architecture, from the weights' own headers where they are here, else from what the catalogue knows, else
    None.
    """
    if here := ready(entry):
        return folder_arch(here)
    return llama_arch(entry.config) if entry.config else None
