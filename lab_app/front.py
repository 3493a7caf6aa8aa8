"""The front page, rendered once: Gradio copies and renders its whole configuration anew for each visitor.

An ASGI middleware that keeps the answers to `GET /` by what they depend on: the address the visitor used, which proxies tell in
headers. Everything else passes through. Sent gzipped where the browser takes that.
"""

from __future__ import annotations

import gzip
from typing import Any

KEPT = 32
"""Addresses kept at most: behind any proxy one lab has a handful."""
ABOUT_ADDRESS = (b"host", b"x-forwarded-host", b"x-forwarded-proto", b"x-gradio-server")
"""The headers that Gradio makes its own address of."""


class FrontPage:
    """Wrap `app`; `GET /` is answered from memory from the second time on."""

    def __init__(self, app: Any):
        self.app = app
        self.kept: dict[Any, tuple[dict[str, Any], bytes, bytes]] = {}

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http" or scope["method"] != "GET" or scope["path"] != "/" or asks_more(scope):
            return await self.app(scope, receive, send)
        key = (
            scope["scheme"],
            scope.get("root_path"),
            *sorted(h for h in scope["headers"] if h[0] in ABOUT_ADDRESS),
        )
        if key not in self.kept:
            found = await self._ask(scope, receive)
            if found is None or len(self.kept) >= KEPT:
                return await self.app(scope, receive, send)
            self.kept[key] = found
        return await self._answer(scope, send, *self.kept[key])

    async def _ask(self, scope: Any, receive: Any) -> tuple[dict[str, Any], bytes, bytes] | None:
        """What the app itself answers: its start message, the body, the body gzipped. None where that is no plain page."""
        said: list[Any] = []

        async def keep(message: Any) -> None:
            said.append(message)

        await self.app(scope, receive, keep)
        start, *parts = said
        if start["status"] != 200 or any(name.lower() == b"set-cookie" for name, _ in start["headers"]):
            return None
        body = b"".join(part.get("body", b"") for part in parts)
        return start, body, gzip.compress(body, 6)

    async def _answer(self, scope: Any, send: Any, start: dict[str, Any], body: bytes, zipped: bytes) -> None:
        takes = any(name == b"accept-encoding" and b"gzip" in value for name, value in scope["headers"])
        sent = zipped if takes else body
        headers = [
            (n, v) for n, v in start["headers"] if n.lower() not in (b"content-length", b"content-encoding", b"vary")
        ]
        headers += [(b"content-length", str(len(sent)).encode()), (b"vary", b"accept-encoding")]
        if takes:
            headers.append((b"content-encoding", b"gzip"))
        await send({**start, "headers": headers})
        await send({"type": "http.response.body", "body": sent})


def asks_more(scope: Any) -> bool:
    """A page or a stored state of Gradio's own is asked for in the query."""
    return b"deep_link=" in scope["query_string"] or b"page=" in scope["query_string"]
