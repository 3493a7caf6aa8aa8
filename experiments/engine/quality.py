"""How good a pretrained model is: bits per byte of text it never read, facts answered exactly, samples as they come.

Measured beside a 5-gram model with Kneser–Ney smoothing on the same tokens. Everything is drawn with fixed seeds, so the
same weights give the same report. What the numbers mean is written by `pretraining/card.py`.

Shapes: B rows, T tokens, N tokens of a text.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import torch
from torch.nn import functional as F

from experiments.engine import generation
from experiments.engine.models import Base
from experiments.pretraining import corpus as corpora
from experiments.pretraining import texts, world
from experiments.pretraining.corpus import Corpus, Tokens
from experiments.pretraining.kneser_ney import KneserNey

ROW = 256  # tokens that the model is given at a time; the first of a row is predicted from the one before
BATCH = 8
SAMPLES, SAMPLE_TOKENS = 20, 60
SAMPLING = {"temperature": 0.8, "top_p": 0.95}
GENERATED_PASSES = 40  # of the world's text, for the 5-gram model: as many as the neural model reads, about
Say = Callable[[str, int, "int | None"], None]


def measure(base: Base, corpus: Corpus, say: Say, facts_of_each: int | None = None) -> dict[str, Any]:
    """The report: `bits_per_byte` (source → model, 5-gram, bytes), `facts` (kind of question → right, asked), `samples`."""
    return {
        "bits_per_byte": bits_per_byte(base, corpus, say),
        "facts": facts(base, say, facts_of_each),
        "samples": samples(base),
        "sampling": {**SAMPLING, "tokens": SAMPLE_TOKENS},
    }


def bits_per_byte(base: Base, corpus: Corpus, say: Say) -> dict[str, dict[str, float]]:
    """For each source, on its held-out documents: the model's bits per byte, and those of two 5-gram models, one of all
    the training text and one of this source alone, the better of which counts."""
    own = {source: training_text(corpus, source) for source in corpus.sources}
    vocabulary = len(base.tokenizer)
    say("counting 5-grams", 0, None)
    whole = KneserNey(np.concatenate([*own.values()]), vocabulary)
    found = {}
    for source, read in own.items():
        say(f"reading held-out text: {source}", 0, None)
        tokens_N = np.concatenate(corpus.held_out(source))
        size = len(str(base.tokenizer.decode(tokens_N.tolist(), skip_special_tokens=True)).encode())
        per_byte = 1 / math.log(2) / size
        ngrams = [
            -float(m.log_probabilities(tokens_N)[1:].sum()) * per_byte for m in (whole, KneserNey(read, vocabulary))
        ]
        found[source] = {
            "model": round(nats(base.model, tokens_N) * per_byte, 4),
            "five_gram": round(min(ngrams), 4),
            "five_gram_of_all": round(ngrams[0], 4),
            "five_gram_of_source": round(ngrams[1], 4),
            "bytes": size,
        }
    return found


def training_text(corpus: Corpus, source: str) -> Tokens:
    """All documents of a source that may be trained on, once; of a generated one `GENERATED_PASSES` passes."""
    if source in texts.SOURCES:
        return np.concatenate(corpus.train(source))
    tokenizer = corpus.tokenizer
    passes = (corpora.encode(tokenizer, corpora.generated(source, i)) for i in range(GENERATED_PASSES))
    return np.concatenate([document for documents in passes for document in documents])


@torch.no_grad()
def nats(model: Any, tokens_N: Tokens) -> float:
    """−ln p of all tokens but the first, read in rows of `ROW`."""
    total = 0.0
    for ids_BT in _batches(tokens_N):
        ids_BT = ids_BT.to(model.device)
        logits_BTV = model(input_ids=ids_BT[:, :-1], use_cache=False).logits
        targets = ids_BT[:, 1:].flatten()
        total += float(F.cross_entropy(logits_BTV.flatten(0, 1).float(), targets, reduction="none").double().sum())
    return total


def _batches(tokens_N: Tokens) -> Iterator[torch.Tensor]:
    """Rows of `ROW` + 1 tokens, each beginning with the last of the one before; the rest as a row of its own."""
    whole = (len(tokens_N) - 1) // ROW
    rows = [torch.from_numpy(tokens_N[i * ROW : i * ROW + ROW + 1].astype(np.int64)) for i in range(whole)]
    for i in range(0, whole, BATCH):
        yield torch.stack(rows[i : i + BATCH])
    if len(tokens_N) - 1 > whole * ROW:
        yield torch.from_numpy(tokens_N[whole * ROW :].astype(np.int64))[None]


def facts(base: Base, say: Say, of_each: int | None = None) -> dict[str, dict[str, int]]:
    """How many answers equal the fact's own to the letter. `of_each`: ask only so many of each kind (all by default)."""
    found = {}
    for name, (chosen, question) in examinations().items():
        asked = chosen[:of_each]
        say(f"asking: {name}", 0, len(asked))
        said = generation.answers(base.model, base.tokenizer, [question(f) for f in asked], 24, lambda: None)
        right = sum(answer == fact.answer for answer, fact in zip(said, asked, strict=True))
        found[name] = {"right": right, "asked": len(asked)}
    return found


def examinations() -> dict[str, tuple[Sequence[world.Fact], Callable[[world.Fact], str]]]:
    """Kind of examination → its facts, in an order mixed by hash, and the question put to each."""

    def mixed(facts: Iterable[world.Fact]) -> list[world.Fact]:
        return sorted(facts, key=lambda fact: world.number(f"examined {fact.subject} {fact.kind}", 1 << 40))

    every = world.facts()
    asked = mixed(f for f in every if f.asked)
    return {
        "in a wording never read for that fact": (asked, lambda fact: fact.kept_back),
        "in a wording read before": (asked, lambda fact: fact.practised[0]),
        "told in prose, never asked": (mixed(f for f in every if f.told and not f.asked), lambda fact: fact.kept_back),
        "never told (what guessing gives)": (mixed(f for f in every if not f.told), lambda fact: fact.kept_back),
    }


def samples(base: Base) -> list[str]:
    """Texts from nothing but the token that ends a document, with seeds 0, 1, 2, …; where one document ends, another begins."""
    found = []
    end = base.tokenizer.eos_token_id
    for seed in range(SAMPLES):
        how = generation.Sampling(SAMPLE_TOKENS, seed=seed, **SAMPLING)
        steps = generation.decode(base.model, [[end]], set(), how)
        found.append(str(base.tokenizer.decode([step[0] for step in steps if step[0] is not None])))
    return found
