"""The tokenizer inside a GGUF file, byte-level BPE only: as a tokenizer.json, the same as the engine writes beside the weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any

CONTROL = 3  # a special token, in GGUF's list of token types
SPLITS_DIGITS = {"smollm", "starcoder", "refact", "command-r"}  # of `tokenizer.ggml.pre`, as llama.cpp reads it


def fields(packed: Path) -> dict[str, Any]:
    """What the file says of its tokenizer: `model`, `pre`, `tokens`, `merges`, `token_type` and more."""
    from gguf import GGUFReader

    found = GGUFReader(packed).fields
    return {
        key.removeprefix("tokenizer.ggml."): found[key].contents() for key in found if key.startswith("tokenizer.ggml.")
    }


def pre_tokenizer(pre: str) -> Any:
    """The cut before the merges: GPT-2's pattern, where the file says so within and around single digits.

    Transformers leaves `tokenizer.ggml.pre` unread; SmolLM2 never saw a token of two digits, though its vocabulary has them.
    """
    from tokenizers import pre_tokenizers

    words = pre_tokenizers.ByteLevel(add_prefix_space=False)
    if pre not in SPLITS_DIGITS:
        return words
    return pre_tokenizers.Sequence([pre_tokenizers.Digits(individual_digits=True), words])


def write_tokenizer(packed: Path, target: Path) -> None:
    """Raises ValueError for anything but byte-level BPE (`tokenizer.ggml.model` gpt2)."""
    from tokenizers import AddedToken, Tokenizer, decoders, models

    known = fields(packed)
    if known["model"] != "gpt2":
        raise ValueError(f"{packed.name} holds no byte-level BPE tokenizer.")
    merges = [tuple(pair.split(" ")) for pair in known["merges"]]
    made = Tokenizer(models.BPE({token: i for i, token in enumerate(known["tokens"])}, merges))
    made.pre_tokenizer = pre_tokenizer(known.get("pre", ""))
    made.decoder = decoders.ByteLevel()
    kinds = zip(known["tokens"], known["token_type"], strict=True)
    made.add_special_tokens([AddedToken(t, normalized=False, special=True) for t, kind in kinds if kind == CONTROL])
    target.write_text(made.to_str(), "utf8")
