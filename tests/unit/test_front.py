"""The front page is rendered once for each address, Gradio's files are read once; both are what the app itself would have answered."""

from __future__ import annotations

import asyncio
import gzip

import brotli
import pytest

from lab_app.front import KEPT_FILES, KEPT_PAGES, FrontPage


class Inner:
    """An app that counts how often it is asked and answers with the host it saw."""

    def __init__(self, status=200, headers=(), kind=b"text/html"):
        self.asked, self.status, self.headers, self.kind = 0, status, list(headers), kind

    async def __call__(self, scope, receive, send):
        self.asked += 1
        body = b"page of " + dict(scope["headers"]).get(b"host", b"") + b" " * 500
        headers = [(b"content-type", self.kind), (b"content-length", str(len(body)).encode()), *self.headers]
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


@pytest.mark.parametrize("path", ["/", "/assets/Index-DTuG5Jnm.js"])
@pytest.mark.parametrize(
    ("taken", "way", "read"),
    [(b"gzip, deflate", b"gzip", gzip.decompress), (b"gzip, deflate, br;q=0.9, zstd", b"br", brotli.decompress)],
)
def test_a_browser_gets_it_compressed_as_it_takes_it(path, taken, way, read):
    front = FrontPage(Inner())
    _, plain = get(front, path)
    start, body = get(front, path, accept_encoding=taken)
    assert read(body) == plain and dict(start["headers"])[b"content-encoding"] == way
    assert get(front, path) == get(front, path, accept_encoding=b"identity")


def test_a_file_is_read_once_and_one_named_by_its_hash_need_not_be_asked_for_again():
    inner = Inner(kind=b"text/javascript")
    front = FrontPage(inner)
    for path, for_ever in (("/assets/Index-DTuG5Jnm.js", True), ("/static/js/frame.min.js", False)):
        (start, body), again = get(front, path), get(front, path)
        assert (start, body) == again and int(dict(start["headers"])[b"content-length"]) == len(body)
        assert (b"cache-control" in dict(start["headers"])) == for_ever
    assert inner.asked == 2


def test_what_is_compressed_already_or_no_text_goes_out_as_it_is():
    for inner in (Inner(headers=[(b"content-encoding", b"zstd")]), Inner(kind=b"image/png")):
        _, body = get(FrontPage(inner), "/assets/logo-D4NPp-_W.png", accept_encoding=b"br")
        assert body.startswith(b"page of here")


def test_another_address_is_another_page():
    inner = Inner()
    front = FrontPage(inner)
    get(front)
    get(front, x_forwarded_host=b"elsewhere")
    assert inner.asked == 2


@pytest.mark.parametrize(
    "asked",
    [
        {"path": "/config"},
        {"method": "POST"},
        {"query": b"deep_link=a"},
        {"query": b"page=b"},
        {"path": "/theme.css", "query": b"v=1"},
        {"path": "/assets/a.js", "range": b"bytes=0-9"},
        {"path": "/assets/a.js", "if_none_match": b"a"},
        {"path": "/assetsx"},
    ],
    ids=str,
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
    for path in ("/", "/assets/Index-DTuG5Jnm.js"):
        inner.asked = 0
        assert get(front, path) == get(front, path) and inner.asked == 2
    assert not front.pages and not front.files


def test_made_up_hosts_and_files_do_not_fill_the_memory():
    front = FrontPage(Inner())
    for i in range(KEPT_FILES + 20):
        get(front, x_forwarded_host=str(i).encode())
        get(front, f"/assets/{i}.js")
    assert len(front.pages) == KEPT_PAGES and len(front.files) == KEPT_FILES
