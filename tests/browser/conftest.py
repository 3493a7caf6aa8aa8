"""A real Chromium against the real app in a process of its own, with a lab home of its own and a two-layer model.

Every page a test opens is watched: a console error, a page error or a request to any other host fails the test.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import psutil
import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

from experiments.store import Store
from tests.browser.chromium import launch
from tests.browser.room import Room

ROOT = Path(__file__).parents[2]
CUT = (
    "ERR_INTERNET_DISCONNECTED",
    "ERR_CONNECTION_REFUSED",
    "ERR_CONNECTION_RESET",
    "ERR_SOCKET_NOT_CONNECTED",
    "ERR_INCOMPLETE_CHUNKED_ENCODING",
    "Failed to fetch",
    "Connection errored out",
    "AbortError",
    "network error",
)
"""What Gradio's client logs of its own streams when the network goes, or when the document does."""
expect.set_options(timeout=40_000)


class App:
    """The app as a child process. `start` after `kill` serves the same home on the same port."""

    def __init__(self, home: Path, models: str):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.home, self.log = home, home.with_suffix(".log")
        self.environment = {
            **os.environ,
            "LAB_HOME": str(home),
            "LAB_MODELS": models,
            "GRADIO_SERVER_NAME": "127.0.0.1",
            "GRADIO_SERVER_PORT": str(self.port),
        }
        self.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/"

    def start(self) -> None:
        with self.log.open("a") as log:
            self.process = subprocess.Popen(
                [sys.executable, "app.py"], cwd=ROOT, env=self.environment, stdout=log, stderr=log
            )
        for _ in range(600):
            with socket.socket() as probe:
                if not probe.connect_ex(("127.0.0.1", self.port)):
                    return
            assert self.process.poll() is None, self.log.read_text()
            time.sleep(0.1)
        raise AssertionError(self.log.read_text())

    def worker(self) -> psutil.Process:
        """The process that trains."""
        return next(
            p for p in psutil.Process(self.process.pid).children() if "experiments.engine.worker" in p.cmdline()
        )

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()


@pytest.fixture(scope="session")
def app(tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[App]:
    app = App(tmp_path_factory.mktemp("lab") / "home", f"tiny={tiny}")
    yield app
    app.kill()
    assert "Traceback" not in app.log.read_text(), app.log.read_text()[-4000:]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """One Chromium a file. Its driver keeps an event loop running in this thread: a file after it may need its own."""
    with sync_playwright() as playwright:
        browser = launch(playwright)
        yield browser
        browser.close()


class Watch:
    """What went wrong in the pages of one test. In `cut`, what a lost connection makes the client log is no error."""

    def __init__(self) -> None:
        self.wrong: list[str] = []
        self.is_cut = False

    @contextmanager
    def cut(self) -> Iterator[None]:
        self.is_cut = True
        yield
        self.is_cut = False

    def page(self, page: Page) -> None:
        page.on("pageerror", lambda error: self.wrong.append(f"page error: {error}"))
        page.on("console", lambda message: self._console(message.type, message.text))
        page.on("request", lambda request: self._request(request.url))

    def _console(self, kind: str, text: str) -> None:
        if kind == "error" and not (self.is_cut and any(sign in text for sign in CUT)):
            self.wrong.append(f"console: {text}")

    def _request(self, url: str) -> None:
        if urlsplit(url).scheme in ("http", "https", "ws", "wss") and urlsplit(url).hostname != "127.0.0.1":
            self.wrong.append(f"outside request: {url}")


Visit = Callable[..., Room]


@pytest.fixture
def watch() -> Iterator[Watch]:
    watch = Watch()
    yield watch
    assert not watch.wrong, "\n".join(watch.wrong)


@pytest.fixture
def visit(browser: Browser, app: App, watch: Watch) -> Iterator[Visit]:
    """`visit()` is a new visitor on the page; `visit(context=room.context)` another tab of the same one."""
    contexts: list[BrowserContext] = []

    def visit(path: str = "", context: BrowserContext | None = None, url: str = app.url, **options) -> Room:
        if context is None:
            context = browser.new_context(**{"viewport": {"width": 1400, "height": 1000}, **options})
            context.on("page", watch.page)
            contexts.append(context)
        room = Room(context.new_page(), url, watch)
        room.open(path)
        return room

    yield visit
    for context in contexts:
        context.close()
    store = Store(app.home / "lab.sqlite")
    for entry in store.entries(limit=20):  # whatever a failed test left running must not hold up the next one
        for owner in store.owners(entry.key) if not entry.ended else ():
            store.leave(entry.key, owner)
