"""What the Tokenize tab is told: a request as JSON in, an answer as JSON out, for one lab. No component, no torch.

Vocabularies are read in threads of their own; until one is there its lane says how far that is, and the page asks again.
Wrong input is an answer `{"error": sentence}`, never an exception.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Mapping
from typing import Any

import anyio

from experiments.catalog import tokenizers
from experiments.catalog.cache import ResourceError
from experiments.tokenization.base import Tokenizer
from experiments.tokenization.report import Report, report

MOST_SHOWN = 4_000  # characters drawn; the counts are of all
MOST_READ = 2_000_000
MOST_LANES = 4
AT_ONCE = 20_000  # characters tokenized without leaving the event loop: some milliseconds

Request = Mapping[str, Any]
Answer = dict[str, Any]


class Desk:
    """The tokenizers of one lab, those being fetched, and who answers which request."""

    def __init__(self) -> None:
        self.loaded = tokenizers.Loaded()
        self._stages: dict[str, str] = {}
        self._failed: dict[str, str] = {}
        self._lock = threading.Lock()

    def at_hand(self, key: str) -> Tokenizer | None:
        """The tokenizer, or None while it is being fetched and read. Raises `ValueError` with what went wrong, once."""
        if (found := self.loaded.peek(key)) is not None:
            return found
        with self._lock:
            if key in self._failed:
                raise ValueError(self._failed.pop(key))
            if key not in self._stages:
                title = tokenizers.find(key).title
                self._stages[key] = f"Opening {title}."
                threading.Thread(target=self._load, args=(key, title), name=f"tokenizer {key}", daemon=True).start()
        return None

    def stage(self, key: str) -> str:
        return self._stages.get(key, "Opening.")

    def _load(self, key: str, title: str) -> None:
        def tell(stage: str, done: int, total: int | None) -> None:
            share = f", {100 * done // total} %" if total else f", {done / 1e6:.1f} MB" if done else ""
            self._stages[key] = (
                f"Fetching {title}, once: {stage}{share}." if stage != "reading" else f"Reading {title}."
            )

        try:
            self.loaded.get(key, tell)
        except (ValueError, ResourceError) as error:
            self._failed[key] = str(error)
        except BaseException as error:  # a thread's end must not be silent
            self._failed[key] = f"{title} cannot be used: {type(error).__name__}."
        finally:
            with self._lock:
                self._stages.pop(key, None)


def choices() -> Answer:
    """The tokenizers to choose from."""
    return {
        "tokenizers": [
            {"key": e.key, "title": e.title, "family": e.family, "summary": e.summary, "vocabulary": e.vocabulary}
            for e in tokenizers.available()
        ]
    }


async def lanes(desk: Desk, request: Request) -> Answer:
    """`{"text", "keys"}` → one lane a tokenizer; `more` while one of them is still being opened."""
    typed = str(request.get("text") or "")[:MOST_READ]
    keys = [str(key) for key in request.get("keys") or ()][:MOST_LANES]

    if len(typed) * len(keys) <= AT_ONCE:
        made = [lane(desk, key, typed) for key in keys]
    else:  # the tokenizers' own code holds no lock of Python's: side by side
        made = await asyncio.gather(*(asyncio.to_thread(lane, desk, key, typed) for key in keys))
    return {"lanes": made, "more": any("waiting" in one for one in made), "shown": MOST_SHOWN, "characters": len(typed)}


def lane(desk: Desk, key: str, typed: str) -> Answer:
    """One tokenizer's tokens of the shown part and its measures of the whole; or a sentence."""
    try:
        tokenizer = desk.at_hand(key)
        if tokenizer is None:
            return {"key": key, "waiting": desk.stage(key)}
        return {"key": key, "family": tokenizer.family, **drawn_tokens(tokenizer, report(tokenizer, typed))}
    except ValueError as error:
        return {"key": key, "error": str(error)}


def drawn_tokens(tokenizer: Tokenizer, found: Report) -> Answer:
    """What the page draws: ids and places, and only where it differs from the text there: bytes (`odd`, hexadecimal) and
    the vocabulary's own writing (`names`)."""
    tokens, text = found.tokens, found.text
    last = int((tokens.starts < MOST_SHOWN).sum()) if len(text) > MOST_SHOWN else len(tokens.ids)
    ids = list(tokens.ids[:last])
    starts, ends = tokens.starts[:last].tolist(), tokens.ends[:last].tolist()
    pieces = {token: tokenizer.piece(token) for token in set(ids)}
    odd, names, special = {}, {}, []
    for i, (token, start, end) in enumerate(zip(ids, starts, ends, strict=True)):
        piece, there = pieces[token], text[start:end]
        if piece.special:
            special.append(i)
        elif piece.data is not None and piece.data != there.encode():
            odd[str(i)] = piece.data.hex()
        if piece.text != there and piece.text:
            names[str(i)] = piece.text
    return {
        "ids": ids, "starts": starts, "ends": ends, "odd": odd, "names": names, "special": special,
        "count": found.count, "lost": found.lost, **found.measures(),
    }  # fmt: skip


Handler = Callable[["Desk", Request], Any]


def answerer(desk: Desk, handlers: Mapping[str, Handler]) -> Callable[[Request], Any]:
    """The one function that the page's script calls: `{"what": name, …}`. Quick things are answered on the event loop,
    others in a thread."""

    async def ask(request: Any) -> Answer:
        what = request.get("what") if isinstance(request, Mapping) else None
        try:
            if what == "choices":
                return await anyio.to_thread.run_sync(choices)
            if what == "lanes":
                return await lanes(desk, request)
            if what in handlers:
                return await anyio.to_thread.run_sync(lambda: handlers[str(what)](desk, request))
        except (ValueError, ResourceError) as error:
            return {"error": str(error)}
        return {"error": "This page is older than the lab: reload it."}

    return ask
