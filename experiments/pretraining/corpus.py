"""From documents to rows of tokens: which document is read where is fixed by the recipe alone, before anything is trained.

Made once for a recipe's text and kept in the lab's cache as plain files: the tokenizer and, for each source, the tokens
of its documents (int16 NumPy arrays, read without pickle). `rows` lays them out in the order of training.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from experiments.catalog.cache import Progress, cache_folder, make_once
from experiments.catalog.tasks.base import mixed_order
from experiments.pretraining import stories, texts
from experiments.pretraining.recipe import Recipe
from experiments.pretraining.tokenizer import train, whole

Tokens = NDArray[np.int16]
VERSION = 1  # raised when the text or the tokenizer is made otherwise
LATE_PASSES = 500  # the number of the first pass of the late steps
TOKENIZER_PASSES = 6  # of the world, among the texts that the tokenizer is trained on
HELD_OUT_SEED = 1_000_000  # the stream of random numbers of documents that are never trained on


@dataclass(frozen=True)
class Corpus:
    """The folder of a prepared corpus."""

    folder: Path

    @property
    def tokenizer(self) -> Tokenizer:
        return Tokenizer.from_file(str(self.folder / "tokenizer.json"))

    @property
    def sources(self) -> list[str]:
        """Everything it holds, fetched and generated."""
        return [s for s in (*texts.SOURCES, *GENERATED) if (self.folder / f"{s}.held_out.npz").exists()]

    def train(self, source: str) -> list[Tokens]:
        """The documents of a fetched source."""
        return _read(self.folder / f"{source}.train.npz")

    def held_out(self, source: str) -> list[Tokens]:
        return _read(self.folder / f"{source}.held_out.npz")


def prepare(recipe: Recipe, progress: Progress | None = None) -> Corpus:
    """The corpus, made where it is not there yet (a minute). Raises ResourceError where a text cannot be brought."""
    sources = tuple(source for source in texts.SOURCES if source in recipe.shares)
    name = f"corpus-{VERSION}-{recipe.vocabulary}-{mixed_order(' '.join(sources))[:8]}"

    def make(partial: Path) -> None:
        _make(partial, recipe.vocabulary, sources, progress)

    return Corpus(make_once(cache_folder() / "pretraining" / name, make, progress=progress))


def _make(folder: Path, vocabulary: int, sources: Sequence[str], progress: Progress | None) -> None:
    folder.mkdir(parents=True)
    found = texts.load(sources, progress)
    if progress:
        progress("training the tokenizer", 0, None)
    sample = [turn for text in found.train for turn in text.turns]
    for i in range(TOKENIZER_PASSES):
        draw = random.Random(f"tokenizer {i}")
        sample += [*stories.tellings(draw), *(turn for turns in stories.conversations(draw) for turn in turns)]
    tokenizer = train(sample, vocabulary)
    tokenizer.save(str(folder / "tokenizer.json"))
    if progress:
        progress("counting tokens", 0, None)
    for source in sources:
        for name, part in (("train", found.train), ("held_out", found.held_out)):
            _write(folder / f"{source}.{name}.npz", encode(tokenizer, [t.turns for t in part if t.source == source]))
    for source in GENERATED:
        _write(folder / f"{source}.held_out.npz", encode(tokenizer, generated(source, HELD_OUT_SEED)))


GENERATED = ("world-prose", "world-questions")


def generated(source: str, number: int) -> list[Sequence[str]]:
    """The documents of one pass over the world, the same for the same number."""
    draw = random.Random(f"{source} {number}")
    if source == "world-prose":
        return [(document,) for document in stories.tellings(draw)]
    return [tuple(turns) for turns in stories.conversations(draw)]


def encode(tokenizer: Tokenizer, documents: Sequence[Sequence[str]]) -> list[Tokens]:
    """Each document's tokens, ending with `<|end|>`."""
    return [np.array(e.ids, dtype=np.int16) for e in tokenizer.encode_batch([whole(turns) for turns in documents])]


def rows(corpus: Corpus, recipe: Recipe, progress: Progress | None = None) -> Tokens:
    """The rows of the steps before the late ones [steps × rows, length + 1], each source in its share, mixed by the seed."""
    return _laid(corpus, recipe, recipe.shares, recipe.steps * recipe.rows, 0, progress)


def late_rows(corpus: Corpus, recipe: Recipe, progress: Progress | None = None) -> Tokens:
    """The rows of the late steps [(stop − late) × rows, length + 1]; generated text in passes of its own."""
    wanted = max(recipe.stop - recipe.late, 1) * recipe.rows
    return _laid(corpus, recipe, recipe.late_shares, wanted, LATE_PASSES, progress)


def _laid(
    corpus: Corpus, recipe: Recipe, shares: Mapping[str, float], wanted: int, first_pass: int, progress: Progress | None
) -> Tokens:
    tokenizer = corpus.tokenizer
    parts = []
    for source, share in shares.items():
        if progress:
            progress(f"laying out {source}", 0, None)
        count = round(wanted * share)
        if count:
            made = _stream(corpus, tokenizer, source, (recipe.seed, first_pass), count * recipe.length + 1)
            parts.append(_cut(np.concatenate([*made]), count, recipe.length))
    laid = np.concatenate(parts)
    laid = laid[np.random.default_rng(recipe.seed).permutation(len(laid))]
    return np.resize(laid, (wanted, recipe.length + 1))  # rounding may leave a row too few: the first again


def _stream(
    corpus: Corpus, tokenizer: Tokenizer, source: str, beginning: tuple[int, int], wanted: int
) -> Iterator[Tokens]:
    """Passes over a source, its documents in another order each time, until there are `wanted` tokens. `beginning`: the
    seed, and the number of the first pass."""
    seed, number = beginning
    made = 0
    kept = corpus.train(source) if source not in GENERATED else []
    while made < wanted:
        documents = kept or encode(tokenizer, generated(source, 1000 * seed + number))
        order = random.Random(f"{seed} {source} {number}").sample(range(len(documents)), len(documents))
        for i in order:
            yield documents[i]
            made += len(documents[i])
        number += 1


def _cut(stream: Tokens, count: int, length: int) -> Tokens:
    """`count` rows of `length` + 1 tokens, each beginning with the last token of the one before."""
    return np.stack([stream[i * length : i * length + length + 1] for i in range(count)])


def _write(file: Path, documents: list[Tokens]) -> None:
    np.savez(file, tokens=np.concatenate(documents), lengths=np.array([len(d) for d in documents]))


def _read(file: Path) -> list[Tokens]:
    with np.load(file, allow_pickle=False) as kept:
        return np.split(kept["tokens"], np.cumsum(kept["lengths"])[:-1])
