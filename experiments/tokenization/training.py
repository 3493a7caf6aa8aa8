"""Train a byte-level BPE of one's own, and how much each merge compresses (Sennrich et al. 2016; Gage 1994 for the idea).

The curve is measured on the last tenth of the text, which the merges were not counted on. Nothing here is a language model.
"""

from __future__ import annotations

import json
from typing import Any

from experiments.tokenization.base import well_formed

SMALLEST, LARGEST = 257, 16_000
MOST_TEXT = 2_000_000


def train(text: str, size: int) -> dict[str, Any]:
    """`{"source": the tokenizer.json, "size": entries, "curve": [[entries, characters a token], …], "merges": the first}`.

    Raises `ValueError` with one sentence: too little text, a size out of range.
    """
    text = well_formed(text)[:MOST_TEXT]
    if len(text) < 200:
        raise ValueError("A tokenizer is trained on at least 200 characters; paste more text or take a task's.")
    if not SMALLEST <= size <= LARGEST:
        raise ValueError(f"The vocabulary has between {SMALLEST:,} and {LARGEST:,} entries.")
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    made = Tokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    cut = max(len(text) * 9 // 10, 100)
    trainer = trainers.BpeTrainer(
        vocab_size=size, show_progress=False, initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        special_tokens=["<|endoftext|>"], min_frequency=2,
    )  # fmt: skip
    made.train_from_iterator(_lines(text[:cut]), trainer)
    source = made.to_str()
    found = json.loads(source)["model"]
    return {
        "source": source, "size": made.get_vocab_size(), "curve": curve(source, text[cut:]),
        "merges": ["".join(pair) for pair in found["merges"][:30]],
    }  # fmt: skip


def curve(source: str, text: str, points: int = 12) -> list[list[float]]:
    """Characters a token on `text` after so many entries: the tokenizer cut off after its first merges."""
    from tokenizers import Tokenizer

    made = json.loads(source)
    merges = made["model"]["merges"]
    base = len(made["model"]["vocab"]) - len(merges)
    counts = sorted({round(len(merges) * (i / (points - 1)) ** 2) for i in range(points)})
    found = []
    for count in counts:
        kept = {**made, "model": {**made["model"], "merges": merges[:count]}}
        (encoded,) = Tokenizer.from_str(json.dumps(kept)).encode_batch_fast([text], add_special_tokens=False)
        found.append([base + count, round(len(text) / max(len(encoded.ids), 1), 3)])
    return found


def _lines(text: str) -> list[str]:
    return text.splitlines(keepends=True)
