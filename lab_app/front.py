"""The front page and Gradio's own scripts and styles, from memory: Gradio renders its whole configuration anew for each
visitor, and reads and compresses each of some sixty files anew for each of their browsers.

An ASGI middleware that keeps the answers by what they depend on: those to `GET /` by the address the visitor used, which proxies
tell in headers, those to `/assets/` and `/static/` by their path, and each by how it is compressed. All else passes through.
"""

from __future__ import annotations

import gzip
import re
from collections.abc import Callable, Hashable, Mapping
from typing import Any

import brotli

KEPT_PAGES, KEPT_FILES = 32, 512
"""Kept at most: behind any proxy one lab has a handful of addresses, and Gradio some 300 files."""
ABOUT_ADDRESS = (b"host", b"x-forwarded-host", b"x-forwarded-proto", b"x-gradio-server")
"""The headers that Gradio makes its own address of."""
ABOUT_PART = (b"range", b"if-none-match", b"if-modified-since")
"""The headers that ask for less than a file."""
HASHED = re.compile(r"/assets/.+-[\w-]{8}\.(?:js|css)")
FOR_EVER = (b"cache-control", b"public, max-age=31536000, immutable")
COMPRESSED: Mapping[str, Callable[[bytes], bytes]] = {
    "br": lambda body: brotli.compress(body, quality=6),
    "gzip": lambda body: gzip.compress(body, 6),
}
TEXT = (b"text/", b"application/javascript", b"application/json", b"image/svg")
Message = dict[str, Any]


class FrontPage:
    """Wrap `app`; what does not change is answered from memory from the second time on."""

    def __init__(self, app: Any):
        self.app = app
        self.pages: dict[Hashable, list[Message]] = {}
        self.files: dict[Hashable, list[Message]] = {}

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        shelf = self._shelf(scope) if scope["type"] == "http" and scope["method"] == "GET" else None
        if shelf is None:
            await self.app(scope, receive, send)
            return
        kept, most, about = shelf
        way = encoding(scope)
        key = (scope["scheme"], scope.get("root_path"), about, way)
        said = kept.get(key)
        if said is None:
            said = await self._ask(scope, receive)
            if is_for_all(said[0]):
                said = packed(said, way, bool(HASHED.fullmatch(scope["path"])))
                if len(kept) < most:
                    kept[key] = said
        for message in said:
            await send(message)

    def _shelf(self, scope: Any) -> tuple[dict[Hashable, list[Message]], int, Hashable] | None:
        """Where the answer to this request is kept, how many may be, and what it depends on; None: it is not kept."""
        if scope["path"] == "/" and not asks_more(scope):
            return self.pages, KEPT_PAGES, tuple(sorted(h for h in scope["headers"] if h[0] in ABOUT_ADDRESS))
        if is_file(scope):
            return self.files, KEPT_FILES, scope["path"]
        return None

    async def _ask(self, scope: Any, receive: Any) -> list[Message]:
        """What the app itself answers: its start message, then the parts of the body."""
        said: list[Message] = []

        async def keep(message: Message) -> None:
            said.append(message)

        await self.app(scope, receive, keep)
        return said


def is_file(scope: Any) -> bool:
    """Whether the whole of one of the files is asked for that come with Gradio."""
    is_part = any(name in ABOUT_PART for name, _ in scope["headers"])
    return scope["path"].startswith(("/assets/", "/static/")) and not scope["query_string"] and not is_part


def encoding(scope: Any) -> str:
    """How the answer is compressed: the densest way that the browser takes, else not at all."""
    asked = dict(scope["headers"]).get(b"accept-encoding", b"").decode("latin1")
    taken = {part.partition(";")[0].strip() for part in asked.split(",")}
    return next((way for way in COMPRESSED if way in taken), "")


def asks_more(scope: Any) -> bool:
    """A page or a stored state of Gradio's own is asked for in the query."""
    return b"deep_link=" in scope["query_string"] or b"page=" in scope["query_string"]


def is_for_all(start: Message) -> bool:
    """Whether this beginning of an answer is that of one that everybody gets."""
    return start["status"] == 200 and all(name.lower() != b"set-cookie" for name, _ in start["headers"])


def packed(said: list[Message], way: str, for_ever: bool) -> list[Message]:
    """An answer as one message of start and one of body, compressed where it is text; `for_ever`: a browser need not ask again."""
    start, *parts = said
    body = b"".join(part.get("body", b"") for part in parts)
    named = {name.lower(): value for name, value in start["headers"]}
    ours = (b"content-length", b"content-encoding", b"vary")
    headers = [(name, value) for name, value in start["headers"] if name.lower() not in ours]
    if way and b"content-encoding" not in named and named.get(b"content-type", b"").startswith(TEXT):
        body = COMPRESSED[way](body)
        headers.append((b"content-encoding", way.encode()))
    elif b"content-encoding" in named:
        headers.append((b"content-encoding", named[b"content-encoding"]))
    headers += [(b"content-length", str(len(body)).encode()), (b"vary", b"accept-encoding")]
    if for_ever:
        headers.append(FOR_EVER)
    return [{**start, "headers": headers}, {"type": "http.response.body", "body": body}]
