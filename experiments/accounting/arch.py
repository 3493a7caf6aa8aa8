"""An architecture as the list of its tensors.

A checkpoint's own header is the truth for any model that is on disk; for one that is not, `families.py` writes the same
list out from its config.
"""

from __future__ import annotations

import json
import re
import struct
from collections.abc import Iterator, Mapping
from functools import cached_property
from math import prod
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict

FORWARD = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")
LAYER = re.compile(r"\.(\d+)\.")


class Tensor(BaseModel):
    """One weight of a checkpoint: its dotted name and shape."""

    model_config = ConfigDict(frozen=True)
    name: str
    shape: tuple[int, ...]

    @cached_property
    def size(self) -> int:
        return prod(self.shape)

    @cached_property
    def is_matrix(self) -> bool:
        """Whether it is the weight of a linear layer, or shaped as one."""
        return len(self.shape) == 2 and self.name.endswith(".weight")

    @cached_property
    def layer(self) -> int | None:
        """Index of the block it belongs to; None for embeddings, the last norm and the head."""
        found = LAYER.search(self.name)
        return int(found.group(1)) if found else None

    @cached_property
    def inside(self) -> str:
        """Its name in its block: `self_attn.q_proj.weight` of `model.layers.7.self_attn.q_proj.weight`."""
        return self.name.partition(f".{self.layer}.")[2]

    @cached_property
    def module(self) -> str:
        """Last name of the module that holds it: `q_proj` of `model.layers.0.self_attn.q_proj.weight`."""
        return self.name.split(".")[-2] if "." in self.name else self.name


class Arch(BaseModel):
    """A language model as its tensors and the few numbers that no tensor shows.

    `family` is the model type of its config; "" where nobody said. Matrices are (out, in), in GPT-2 (in, out).
    """

    model_config = ConfigDict(frozen=True)
    tensors: tuple[Tensor, ...]
    layers: int
    width: int
    heads: int
    kv_heads: int
    head_dim: int
    vocab: int
    max_length: int
    family: str = ""

    def __hash__(self) -> int:
        return self._hash

    @cached_property
    def _hash(self) -> int:
        """Of hundreds of tensors, and every cache of what follows from them asks for it."""
        return hash((self.width, self.layers, self.vocab, *((t.name, t.shape) for t in self.tensors)))

    @cached_property
    def total(self) -> int:
        """Parameters; a tied head is not counted twice."""
        return sum(t.size for t in self.tensors)

    @property
    def kv_width(self) -> int:
        return self.kv_heads * self.head_dim

    @cached_property
    def matrices(self) -> tuple[Tensor, ...]:
        """Every matrix, those outside blocks too."""
        return tuple(t for t in self.tensors if t.is_matrix)

    @cached_property
    def linears(self) -> tuple[Tensor, ...]:
        """The matrices inside blocks, one per linear layer: what an adapter can be put on."""
        return tuple(t for t in self.matrices if t.layer is not None)

    @cached_property
    def linear_size(self) -> int:
        return sum(t.size for t in self.linears)

    @cached_property
    def transposed(self) -> frozenset[str]:
        """Names of matrices that lie as (in, out), as GPT-2's do: told by a bias as long as the second side."""
        biases = {t.name.removesuffix(".bias"): t.shape[0] for t in self.tensors if t.name.endswith(".bias")}
        lengths = ((t, biases.get(t.name.removesuffix(".weight"))) for t in self.linears)
        return frozenset(t.name for t, length in lengths if length == t.shape[1] != t.shape[0])

    def fan_in(self, linear: Tensor) -> int:
        """Features that this matrix takes."""
        return linear.shape[0 if linear.name in self.transposed else 1]

    def fan_out(self, linear: Tensor) -> int:
        """Features that this matrix gives."""
        return linear.shape[1 if linear.name in self.transposed else 0]

    @cached_property
    def linear_names(self) -> tuple[str, ...]:
        """Each once, in the order of a forward pass where it is known, else as the file has them."""
        found = dict.fromkeys(t.module for t in self.linears)
        return tuple(sorted(found, key=lambda name: FORWARD.index(name) if name in FORWARD else len(FORWARD)))


def folder_arch(folder: Path) -> Arch:
    """The architecture of a checkpoint folder, from `config.json` and the safetensors headers; no weight is read.

    Raises `ValueError` with one sentence where the folder holds no such model.
    """
    try:
        config = json.loads((folder / "config.json").read_text("utf8"))
        if not isinstance(config, dict):
            raise ValueError("not an object")
    except (OSError, ValueError) as error:
        raise ValueError(f"{folder.name} has no readable config.json.") from error
    tensors = tuple(t for file in sorted(folder.glob("*.safetensors")) for t in header(file))
    if not tensors:
        raise ValueError(f"{folder.name} has no safetensors weights; other formats are not loaded.")
    return _arch(tensors, config.get("text_config") or config, folder.name)


def module_arch(model: Any) -> Arch:
    """The architecture of a loaded transformers model."""
    tensors = tuple(Tensor(name=name, shape=tuple(p.shape)) for name, p in model.named_parameters())
    return _arch(tensors, model.config.get_text_config().to_dict(), "The model")


def _arch(tensors: tuple[Tensor, ...], config: Mapping[str, Any], title: str) -> Arch:
    def first(*names: str) -> int:
        value = next((config[n] for n in names if config.get(n)), None)
        if value is None:
            raise ValueError(f"{title}: config.json names no {names[0]}; is it a causal language model?")
        return int(value)

    width, heads = first("hidden_size", "n_embd", "d_model"), first("num_attention_heads", "n_head", "num_heads")
    return Arch(
        tensors=tensors,
        layers=first("num_hidden_layers", "n_layer", "num_layers"),
        width=width,
        heads=heads,
        kv_heads=int(config.get("num_key_value_heads") or heads),
        head_dim=int(config.get("head_dim") or width // heads),
        vocab=first("vocab_size"),
        max_length=first("max_position_embeddings", "n_positions", "n_ctx", "seq_length", "max_seq_len"),
        family=str(config.get("model_type") or ""),
    )


def header(file: Path) -> Iterator[Tensor]:
    try:
        with file.open("rb") as f:
            (size,) = struct.unpack("<Q", f.read(8))
            if size > 100_000_000:  # the format's own limit
                raise ValueError("header too long")
            header = json.loads(f.read(size))
    except (struct.error, ValueError) as error:
        raise ValueError(f"{file.name} is not a safetensors file.") from error
    header.pop("__metadata__", None)
    for name, entry in header.items():
        yield Tensor(name=name, shape=tuple(entry["shape"]))


def layer_indices(text: str, layers: int) -> tuple[int, ...]:
    """The blocks that "all", "last 6", "first 2" or "0-5,12" name in a model of so many, in order.

    Raises `ValueError` with one sentence for anything else.
    """
    text = text.strip().lower()
    if text == "all":
        return tuple(range(layers))
    if found := re.fullmatch(r"(first|last) (\d+)", text):
        k = int(found.group(2))
        if not 1 <= k <= layers:
            raise ValueError(f"This model has {layers} layers; “{text}” asks for {k}.")
        return tuple(range(k) if found.group(1) == "first" else range(layers - k, layers))
    chosen: set[int] = set()
    for part in text.split(","):
        if not (found := re.fullmatch(r"\s*(\d+)(?:\s*-\s*(\d+))?\s*", part)):
            raise ValueError("Layers are named as “all”, “last 6”, “first 2” or “0-5,12”.")
        low, high = int(found.group(1)), int(found.group(2) or found.group(1))
        if high < low or high >= layers:
            raise ValueError(f"This model has layers 0 to {layers - 1}; “{part.strip()}” is outside.")
        chosen.update(range(low, high + 1))
    return tuple(sorted(chosen))
