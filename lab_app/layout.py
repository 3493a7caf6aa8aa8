"""The page around the tabs: title, machine line, light and dark; and how it is served.

Only the first tab is built with the page. Each of the others is built for a visitor when they open it first, so that one more
tab costs the first paint nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import gradio as gr
from starlette.middleware import Middleware

from experiments.catalog.own_data import reading
from experiments.methods import MADE_OF_RUNS, METHODS
from experiments.objectives import OBJECTIVES
from lab_app import theme, visitor
from lab_app.drawn import ASSETS, drawn
from lab_app.front import FrontPage
from lab_app.lab import Lab
from lab_app.tabs import TABS

TITLE = "Fine-Tuning Lab"
DELETE_CACHE = (600, 3600)  # s: uploads and zips are looked through so often, and thrown away at that age
SENTENCE = "See what each way of fine-tuning a language model does: to the loss, the memory, the answers."
HEADER = f"""<div class="lab-top"><div><h1>{TITLE}</h1><p>{SENTENCE}</p></div>
<span id="machine"></span><button type="button" id="theme" class="lab-button">Light or dark</button></div>"""

QUEUE_LOOK_S = 0.02
"""How often Gradio's queue looks for something to do. Its own thousand times a second cost 7 % of a core, with nobody on the page."""


@dataclass(frozen=True)
class Room:
    """One tab as it is given to its builder. `opens`: the events of its being opened, the first time included."""

    tab: gr.Tab
    opens: Sequence[Any]


@dataclass
class Page:
    """What tabs share: the page's own events, the visitor's browser state, and the Train form, which it sets itself."""

    blocks: gr.Blocks
    saved: gr.BrowserState
    form: gr.HTML | None = None


def build_app(lab: Lab) -> gr.Blocks:
    """The whole page over one lab."""

    def machine(_: object) -> str:
        return lab.machine()

    with gr.Blocks(title=TITLE, analytics_enabled=False, fill_width=True, delete_cache=DELETE_CACHE) as blocks:
        page = Page(blocks, visitor.browser_state())
        drawn(lab.machine(), "top.js", HEADER, "top", server_functions=[machine])
        with gr.Tabs():
            for i, tab in enumerate(TABS):
                with gr.Tab(tab.TITLE) as shell:
                    (_build if i == 0 else _build_when_opened)(tab, lab, page, shell)
    blocks.queue(default_concurrency_limit=20, max_size=200)
    blocks._queue.sleep_when_free = QUEUE_LOOK_S
    return blocks


def _build(tab: ModuleType, lab: Lab, page: Page, shell: gr.Tab) -> None:
    there = drawn("", "opened.js", "<div></div>", elem_classes="lab-unseen")
    tab.build(lab, page, Room(shell, (shell.select, there.load)))


def _build_when_opened(tab: ModuleType, lab: Lab, page: Page, shell: gr.Tab) -> None:
    is_open = gr.State(False)
    shell.select(lambda: True, None, is_open, show_progress="hidden", api_visibility="private")

    @gr.render(inputs=is_open, triggers=[is_open.change], show_progress="hidden")
    def draw(_: bool) -> None:
        _build(tab, lab, page, shell)


def serve(blocks: gr.Blocks, **options: object) -> None:
    """Serve until interrupted, at GRADIO_SERVER_NAME and GRADIO_SERVER_PORT."""
    blocks.launch(
        theme=theme.theme(),
        css=theme.stylesheet(
            [*(m.key for m in (*METHODS, *MADE_OF_RUNS)), *(o.key for o in OBJECTIVES), "chosen", "rejected"]
        ),
        css_paths=ASSETS / "style.css",
        max_file_size=reading.MAX_FILE_BYTES,  # refused while it arrives
        max_threads=200,  # a live view holds a thread; 60 of them froze the default 40
        run_history=False,  # kept in the browser by default: bad on a shared one
        enable_monitoring=False,
        show_error=False,
        ssr_mode=False,
        footer_links=[],
        app_kwargs={"middleware": [Middleware(FrontPage)]},
        **options,  # type: ignore[arg-type]
    )
