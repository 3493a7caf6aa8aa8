"""The front page is rendered once for each address, and is what the app itself would have answered."""

from __future__ import annotations

import asyncio
import gzip

import pytest

from lab_app.front import KEPT, FrontPage


class Inner:
    """An app that counts how often it is asked and answers with the host it saw."""

    def __init__(self, status=200, headers=()):
        self.asked, self.status, self.headers = 0, status, list(headers)

    async def __call__(self, scope, receive, send):
        self.asked += 1
        body = b"page of " + dict(scope["headers"]).get(b"host", b"") + b" " * 500
        headers = [(b"content-type", b"text/html"), (b"content-length", str(len(body)).encode()), *self.headers]
        await send({"type": "http.response.start", "status": self.status, "headers": headers})
        await send({"type": "http.response.body", "body": body})


def get(front, path="/", query=b"", method="GET", **headers):
    said = []

    async def send(message):
        said.append(message)

    named = [(name.replace("_", "-").encode(), value) for name, value in headers.items()]
    scope = {
        "type": "http",
        "method": method,
        "path": path,
        "scheme": "http",
        "query_string": query,
        "headers": [(b"host", b"here"), *named],
    }
    asyncio.run(front(scope, None, send))
    return said[0], b"".join(m.get("body", b"") for m in said[1:])


def test_the_second_visitor_costs_nothing_and_gets_the_same():
    inner = Inner()
    front = FrontPage(inner)
    first, second = get(front), get(front, query=b"run=0123456789ab")
    assert first == second and inner.asked == 1
    assert int(dict(first[0]["headers"])[b"content-length"]) == len(first[1])


def test_a_browser_gets_it_gzipped():
    front = FrontPage(Inner())
    _, plain = get(front)
    start, body = get(front, accept_encoding=b"gzip, br")
    assert gzip.decompress(body) == plain and dict(start["headers"])[b"content-encoding"] == b"gzip"


def test_another_address_is_another_page():
    inner = Inner()
    front = FrontPage(inner)
    get(front)
    get(front, x_forwarded_host=b"elsewhere")
    assert inner.asked == 2


@pytest.mark.parametrize(
    "asked", [{"path": "/config"}, {"method": "POST"}, {"query": b"deep_link=a"}, {"query": b"page=b"}], ids=str
)
def test_everything_else_passes_through(asked):
    inner = Inner()
    front = FrontPage(inner)
    get(front)
    get(front, **asked)
    get(front, **asked)
    assert inner.asked == 3


@pytest.mark.parametrize("inner", [Inner(status=503), Inner(headers=[(b"set-cookie", b"a=b")])], ids=["busy", "cookie"])
def test_what_is_not_the_same_for_all_is_not_kept(inner):
    front = FrontPage(inner)
    get(front)
    get(front)
    assert not front.kept and inner.asked == 4


def test_made_up_hosts_do_not_fill_the_memory():
    front = FrontPage(Inner())
    for i in range(KEPT + 20):
        get(front, x_forwarded_host=str(i).encode())
    assert len(front.kept) == KEPT
