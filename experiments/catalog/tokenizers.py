"""The tokenizers of the lab, in display order, and the door to any other: a model of the lab, a hub id, a tokenizer.json.

A vocabulary is fetched and read once a process, on first use, and then kept; who asks while that goes on waits for it.
Free of torch. What a tokenizer can do is `tokenization/base.py`; nothing here tokenizes.
"""

from __future__ import annotations

import hashlib
import re
import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

from experiments.catalog import models, patterns, resources
from experiments.catalog.cache import Progress, ResourceError, cache_folder, make_once, remove, write_text
from experiments.freeing import give_back
from experiments.tokenization.base import Tokenizer
from experiments.tokenization.fast import Fast
from experiments.tokenization.longest import LongestMatch
from experiments.tokenization.pieces import Pieces
from experiments.tokenization.plain import Bytes
from experiments.tokenization.ranks import Ranks, read_gpt2, read_ranks

MOST_BYTES = 24_000_000  # of a tokenizer.json
KEEP_OWN = 40
KEPT = 16
OWN = re.compile(r"own-[0-9a-f]{16}")


@dataclass(frozen=True)
class TokenizerEntry:
    """One tokenizer. `load` reads it from the resource's folder (None: from nothing). `vocabulary`: how many ids, as far
    as that is known before it is fetched."""

    key: str
    title: str
    family: str
    summary: str
    load: Callable[[Path], Tokenizer]
    resource: resources.Resource | None = None
    vocabulary: int | None = None
    licence: str = ""


def _packaged(
    key: str, title: str, family: str, vocabulary: int, summary: str, load: Callable[[Path], Tokenizer]
) -> TokenizerEntry:
    resource = resources.find(f"tokenizer-{key}")
    return TokenizerEntry(key, title, family, summary, load, resource, vocabulary, resource.licence)


def _smollm2(folder: Path) -> Tokenizer:
    """The model's own tokenizer: from its folder, else made from the vocabulary inside its GGUF file."""
    if (folder / "tokenizer.json").is_file():
        return from_file(folder / "tokenizer.json")
    ready = models.ready(models.find("smollm2-135m"))
    if ready and (ready / "tokenizer.json").is_file():
        return from_file(ready / "tokenizer.json")
    from experiments.tokenization.packed import write_tokenizer

    packed = next(folder.glob("*.gguf"))
    made = cache_folder() / "tokenizers" / f"{packed.stem}{models.UNPACKED}.json"
    return from_file(make_once(made, lambda partial: write_tokenizer(packed, partial)))


def from_file(file: Path) -> Tokenizer:
    """A tokenizer.json. Raises ValueError with one sentence."""
    if file.stat().st_size > MOST_BYTES:
        raise ValueError(f"{file.name} is larger than {MOST_BYTES / 1e6:.0f} MB.")
    return Fast(file.read_text("utf8"))


TOKENIZERS: tuple[TokenizerEntry, ...] = (
    _packaged(
        "gpt2", "GPT-2", "byte-level BPE", 50_257,
        "The first byte-level BPE (2019): English words, other scripts byte by byte.",
        lambda f: Ranks(read_gpt2(f / "encoder.json"), patterns.GPT2, patterns.GPT2_SPECIALS),
    ),
    _packaged(
        "cl100k", "cl100k (GPT-4)", "byte-level BPE", 100_277,
        "Twice the vocabulary; digits in groups of three, runs of spaces in one token.",
        lambda f: Ranks(read_ranks(f / "cl100k_base.tiktoken"), patterns.CL100K, patterns.CL100K_SPECIALS),
    ),
    _packaged(
        "o200k", "o200k (GPT-4o)", "byte-level BPE", 200_019,
        "Twice again, most of it for languages other than English.",
        lambda f: Ranks(read_ranks(f / "o200k_base.tiktoken"), patterns.O200K, patterns.O200K_SPECIALS),
    ),
    TokenizerEntry(
        "smollm2", "SmolLM2", "byte-level BPE", "The tokenizer of the model that is trained here.", _smollm2,
        resources.find("smollm2-135m"), 49_152, "Apache-2.0",
    ),
    _packaged(
        "qwen", "Qwen", "byte-level BPE", 151_851,
        "English and Chinese; every digit a token of its own; composes accents first.",
        lambda f: Ranks(read_ranks(f / "qwen.tiktoken"), patterns.QWEN, patterns.QWEN_SPECIALS, nfc=True),
    ),
    _packaged(
        "bert", "BERT uncased", "WordPiece", 30_522,
        "Longest match within a word; lower-cases and drops accents, so the text does not come back.",
        lambda f: from_file(f / "tokenizer.json"),
    ),
    _packaged(
        "mistral-v1", "Mistral v1", "SentencePiece BPE", 32_000,
        "Llama 2's design: spaces are a sign of their own, unknown characters fall back to bytes.",
        lambda f: Pieces(f / "tokenizer.model", "SentencePiece BPE"),
    ),
    _packaged(
        "ai21-j2", "AI21 J2", "Unigram", 262_144,
        "Takes the likeliest segmentation under a unigram model; its pieces span several words.",
        lambda f: Pieces(f / "tokenizer.model", "Unigram"),
    ),
    _packaged(
        "rwkv-world", "RWKV World", "longest match", 65_530,
        "No merges: the longest entry that fits, from left to right over the bytes.",
        lambda f: LongestMatch(f / "vocabulary.txt"),
    ),
    TokenizerEntry(
        "byt5", "ByT5", "bytes", "No vocabulary: every byte is a token.", lambda f: Bytes(), None, 384, "none needed"
    ),
)  # fmt: skip


def available() -> tuple[TokenizerEntry, ...]:
    """The lab's tokenizers, then those of the lab's models that are ready and bring one of their own."""
    known = {entry.resource.name for entry in TOKENIZERS if entry.resource}
    own = [e for e in models.available() if e.resource.name not in known and models.is_ready(e)]
    return TOKENIZERS + tuple(entry for e in own if (entry := _of_model(e)) is not None)


def _of_model(model: models.ModelEntry) -> TokenizerEntry | None:
    ready = models.ready(model)
    if ready is None or not (ready / "tokenizer.json").is_file():
        return None
    summary = "The tokenizer of a model of this lab."
    return TokenizerEntry(
        model.key, model.title, "of the model", summary, lambda f: from_file(ready / "tokenizer.json"), model.resource
    )


def find(key: str) -> TokenizerEntry:
    """The tokenizer of this key: the lab's, a model's, one that was uploaded or made here, else of a hub id (owner/name).

    Raises `ValueError` with one sentence. A visitor's text is never taken for a path.
    """
    known = {entry.key: entry for entry in available()}
    if key in known:
        return known[key]
    if OWN.fullmatch(key):
        file = _own_file(key)
        if not file.is_file():
            raise ValueError("This tokenizer is not kept here any more; upload it again.")
        summary = "A tokenizer.json of your own."
        return TokenizerEntry(key, f"yours, {key[4:10]}", "of the file", summary, lambda f: from_file(file))
    if re.fullmatch(r"[\w.-]+/[\w.-]+", key) and ".." not in key and not key.startswith((".", "/")):
        wanted = resources.Hub(key, ("tokenizer.json",), most_bytes=MOST_BYTES)
        resource = resources.Resource(
            f"tokenizer--{key.replace('/', '--')}", f"The tokenizer of {key}", None, "", wanted
        )
        return TokenizerEntry(
            key, key, "of the file", "A tokenizer of the hub.", lambda f: from_file(f / "tokenizer.json"), resource
        )
    near = get_close_matches(key, list(known), n=1)
    hint = f" Did you mean “{near[0]}”?" if near else " Any other is named by its hub id, owner/name."
    shown = "".join(c if c.isprintable() else "\ufffd" for c in key[:60])
    raise ValueError(f"There is no tokenizer “{shown}”; there is {', '.join(known)}.{hint}")


def is_here(entry: TokenizerEntry) -> bool:
    """Whether it can be used without fetching anything."""
    return entry.resource is None or next(iter(resources.at_hand(entry.resource)), None) is not None


def keep(source: str) -> str:
    """Keep a tokenizer.json that a visitor brought or made; its key. Raises `ValueError`: too large, no tokenizer."""
    if len(source.encode("utf8", "replace")) > MOST_BYTES:
        raise ValueError(f"This file is larger than {MOST_BYTES / 1e6:.0f} MB.")
    Fast(source)
    key = "own-" + hashlib.sha256(source.encode("utf8", "replace")).hexdigest()[:16]
    file = _own_file(key)
    if not file.is_file():
        write_text(file, source)
    kept = sorted(file.parent.glob("own-*.json"), key=lambda f: f.stat().st_mtime, reverse=True)
    for old in kept[KEEP_OWN:]:
        old.unlink(missing_ok=True)
    return key


def _own_file(key: str) -> Path:
    return cache_folder() / "tokenizers" / f"{key}.json"


class Loaded:
    """The tokenizers this process has read, the one used longest ago dropped first. Safe to use from several threads."""

    def __init__(self, keep: int = KEPT):
        self.keep = keep
        self._found: OrderedDict[str, Tokenizer] = OrderedDict()
        self._locks: dict[str, threading.Lock] = {}
        self._lock, self._reading = threading.Lock(), threading.Lock()

    def peek(self, key: str) -> Tokenizer | None:
        """The tokenizer, if it is read already."""
        with self._lock:
            found = self._found.get(key)
            if found is not None:
                self._found.move_to_end(key)
            return found

    def get(self, key: str, progress: Progress | None = None) -> Tokenizer:
        """The tokenizer, fetched and read if need be. Raises `ValueError` or `ResourceError` with one sentence."""
        if (found := self.peek(key)) is not None:
            return found
        entry = find(key)
        with self._lock:
            lock = self._locks.setdefault(key, threading.Lock())
        with lock:
            if (found := self.peek(key)) is not None:
                return found
            folder = resources.get(entry.resource, progress).path if entry.resource else Path()
            if progress:
                progress("reading", 0, None)
            try:
                with self._reading:  # one after the other is as quick, and leaves no holes between what stays
                    made = entry.load(folder)
            except ValueError:
                if cache_folder() in folder.parents:  # not a tokenizer: its owner may mend it, so it is asked for anew
                    remove(folder)
                raise
            except (OSError, KeyError) as error:
                raise ResourceError(f"{entry.title} cannot be read: {type(error).__name__}: {error}.") from error
            give_back()  # reading takes twice what is kept
            with self._lock:
                self._found[key] = made
                while len(self._found) > self.keep:
                    self._found.popitem(last=False)
        return made
