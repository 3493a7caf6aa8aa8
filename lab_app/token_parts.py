"""Answers to the folded parts of the Tokenize tab: kinds of text, steps, an own BPE, the chat template, vocabularies."""

from __future__ import annotations

from collections.abc import Callable

from experiments import estimates, templates
from experiments.catalog import codec, models, tasks, tokenizers
from experiments.catalog.tasks.base import Row
from experiments.store import Store
from experiments.tokenization import steps, training, vocabulary
from experiments.tokenization.base import Tokenizer, well_formed
from experiments.tokenization.kinds import KINDS
from lab_app.tokens import MOST_LANES, Answer, Desk, Request

CONTEXT = 2_048


def handlers(store: Store) -> dict[str, Callable[[Desk, Request], Answer]]:
    """Name of a request → who answers it."""
    return {
        "own": own, "kinds": lambda desk, request: kinds(desk, request, store), "steps": explained,
        "train": own_bpe, "chat": chat, "vocabulary": searched, "tasks": lambda *_: {"tasks": [[t.key, t.title] for t in tasks.TASKS]},
    }  # fmt: skip


def own(_: Desk, request: Request) -> Answer:
    """Keep a tokenizer.json."""
    return {"key": tokenizers.keep(str(request.get("source") or ""))}


def opened(desk: Desk, request: Request) -> Tokenizer:
    return desk.loaded.get(str(request.get("key") or ""))


def kinds(desk: Desk, request: Request, store: Store) -> Answer:
    """Tokens a character for each kind of text and tokenizer; what that means for a context and for training here."""
    keys = [str(key) for key in request.get("keys") or ()][:MOST_LANES]
    seconds = _seconds_per_token(store)
    rows = []
    for kind, text in KINDS.items():
        counts = [len(desk.loaded.get(key).encode(text).ids) for key in keys]
        rows.append({"kind": kind, "characters": len(text), "tokens": counts})
    return {"keys": keys, "rows": rows, "context": CONTEXT, "seconds_per_token": seconds}


def _seconds_per_token(store: Store) -> float | None:
    """What a LoRA step takes for each token here, where that was measured."""
    try:
        entry = models.available()[0]
        known = store.recall(estimates.speed_key(models.weights_of(entry), "lora"))
    except (ValueError, RuntimeError):
        return None
    return float(known) if isinstance(known, int | float) else None


def explained(desk: Desk, request: Request) -> Answer:
    tokenizer, word = opened(desk, request), well_formed(str(request.get("word") or ""))[:400]
    if tokenizer.family == "Unigram":
        return steps.segmentations(tokenizer, word)
    return {"steps": [{"units": s.units, "at": s.at, "note": s.note} for s in steps.explain(tokenizer, word)]}


def own_bpe(_: Desk, request: Request) -> Answer:
    """Train on the pasted text, or on a task's rows; kept as a tokenizer of one's own."""
    text = str(request.get("text") or "")
    if task := str(request.get("task") or ""):
        rows = tasks.find(task).split().train
        text = "\n".join(f"{row.prompt}\n{row.completion}" for row in rows)
    try:
        size = int(request.get("size") or 0)
    except (TypeError, ValueError):
        raise ValueError("The vocabulary size is a whole number.") from None
    made = training.train(text, size)
    return {**made, "key": tokenizers.keep(made["source"]), "characters": min(len(text), training.MOST_TEXT)}


def chat(_: Desk, request: Request) -> Answer:
    """A conversation as training reads it: the tokens, and which of them are learnt."""
    ready = [entry for entry in models.available() if models.is_ready(entry)]
    if not ready:
        raise ValueError("No model is here yet: start a training first, or fetch one.")
    entry = next((e for e in ready if e.key == request.get("model")), ready[0])
    folder = models.folder(entry, models.weights_of(entry))
    assert folder is not None  # it is ready
    found, tokenizer = codec.load(folder)
    said = {name: well_formed(str(request.get(name) or ""))[:4000] for name in ("system", "user", "assistant")}
    before = (("system", said["system"]),) if said["system"] else ()
    example = templates.encode(found, Row(said["user"], said["assistant"], before=before), None)
    return {
        "models": [[e.key, e.title] for e in ready], "model": entry.key, "ids": example.ids, "learnt": example.in_loss,
        "tokens": [tokenizer.decode([i], skip_special_tokens=False) for i in example.ids],
    }  # fmt: skip


def searched(desk: Desk, request: Request) -> Answer:
    kind = str(request.get("kind") or "text")
    if kind not in vocabulary.KINDS:
        raise ValueError("There is no such search.")
    return vocabulary.search(opened(desk, request), kind, well_formed(str(request.get("query") or ""))[:200])
