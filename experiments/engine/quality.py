"""How good a pretrained model is: bits per byte of text it never read, facts answered exactly, samples as they come.

Measured beside a 5-gram model with Kneser–Ney smoothing on the same tokens. Everything is drawn with fixed seeds, so the
same weights give the same report. What the numbers mean is written by `pretraining/card.py`.

Shapes: B rows, T tokens, N tokens of a text.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
import torch
from torch.nn import functional as F

from experiments.catalog.cache import write_text
from experiments.engine import generation
from experiments.engine.models import Base
from experiments.engine.pretraining import half_precision
from experiments.pretraining import corpus as corpora
from experiments.pretraining import texts, world
from experiments.pretraining.corpus import Corpus, Tokens
from experiments.pretraining.kneser_ney import KneserNey

ROW, NEW = 256, 128  # tokens that the model is given at a time, and how many of them are new
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
    ngrams = five_grams(corpus, len(base.tokenizer), say)
    found = {}
    for source in corpus.sources:
        say(f"reading held-out text: {source}", 0, None)
        tokens_N = np.concatenate(corpus.held_out(source))
        size = len(str(base.tokenizer.decode(tokens_N.tolist(), skip_special_tokens=True)).encode())
        of_all, of_source = (bits(n, size) for n in ngrams[source])
        found[source] = {
            "model": bits(nats(base.model, tokens_N), size),
            "five_gram": min(of_all, of_source),
            "five_gram_of_all": of_all,
            "five_gram_of_source": of_source,
            "bytes": size,
        }
    return found


def bits(nats: float, size: int) -> float:
    """Nats of a text of `size` bytes as bits per byte."""
    return round(nats / math.log(2) / size, 4)


def five_grams(corpus: Corpus, vocabulary: int, say: Say) -> dict[str, list[float]]:
    """Source → nats of its held-out text under the 5-gram model of all the text and under that of the source alone.

    Kept beside the corpus: they rest on nothing else.
    """
    kept = corpus.folder / "five-grams.json"
    if kept.exists():
        return json.loads(kept.read_text(encoding="utf8"))
    say("counting 5-grams", 0, None)
    own = {source: training_text(corpus, source) for source in corpus.sources}
    whole = KneserNey(np.concatenate([*own.values()]), vocabulary)
    found = {}
    for source, read in own.items():
        tokens_N = np.concatenate(corpus.held_out(source))
        alone = KneserNey(read, vocabulary)
        found[source] = [-float(m.log_probabilities(tokens_N)[1:].sum()) for m in (whole, alone)]
    write_text(kept, json.dumps(found))
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
    """−ln p of all tokens but the first. Windows of `ROW` overlap, so that each token but those at the very beginning has at
    least `ROW` − `NEW` before it.
    """
    ids_N = torch.from_numpy(tokens_N.astype(np.int64)).to(model.device)
    first = min(ROW, len(ids_N) - 1)
    total = float(_losses(model, ids_N[None, : first + 1]).sum())
    starts = list(range(first + 1, len(ids_N), NEW))
    whole = [s for s in starts if s + NEW <= len(ids_N)]
    for i in range(0, len(whole), BATCH):
        ids_BT = torch.stack([ids_N[s + NEW - ROW - 1 : s + NEW] for s in whole[i : i + BATCH]])
        total += float(_losses(model, ids_BT)[:, -NEW:].sum())
    if len(whole) < len(starts):
        last = ids_N[max(len(ids_N) - ROW - 1, 0) :]
        total += float(_losses(model, last[None])[:, -(len(ids_N) - starts[-1]) :].sum())
    return total


def _losses(model: Any, ids_BT: torch.Tensor) -> torch.Tensor:
    """−ln p of each token but the first of every row, (B, T − 1)."""
    with torch.autocast(ids_BT.device.type, torch.bfloat16, enabled=half_precision(ids_BT.device)):
        logits_BTV = model(input_ids=ids_BT[:, :-1], use_cache=False).logits
    return F.cross_entropy(logits_BTV.float().mT, ids_BT[:, 1:], reduction="none").double()


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
