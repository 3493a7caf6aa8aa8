"""The page around the tabs: title, machine line, light and dark; and how it is served."""

from __future__ import annotations

from dataclasses import dataclass

import gradio as gr

from experiments.methods import METHODS
from lab_app import theme, visitor
from lab_app.drawn import ASSETS
from lab_app.lab import Lab
from lab_app.tabs import TABS

TITLE = "Fine-Tuning Lab"
SENTENCE = "See what each way of fine-tuning a language model does: to the loss, the memory, the answers."
HEADER = f"<h1>{TITLE}</h1><p>{SENTENCE}</p>"
SWITCH = """() => {
  const dark = document.body.classList.toggle('dark'), url = new URL(window.location);
  url.searchParams.set('__theme', dark ? 'dark' : 'light');
  history.replaceState(history.state, '', url.href.replaceAll('%2C', ','));
}"""


@dataclass(frozen=True)
class Page:
    """What tabs share: the page's own events, and the visitor's browser state."""

    blocks: gr.Blocks
    saved: gr.BrowserState


def build_app(lab: Lab) -> gr.Blocks:
    """The whole page over one lab."""
    with gr.Blocks(title=TITLE, analytics_enabled=False, fill_width=True) as blocks:
        page = Page(blocks, visitor.browser_state())
        with gr.Row(elem_id="top"):
            gr.HTML(HEADER, elem_id="title", scale=4, apply_default_css=False)
            with gr.Row(elem_id="machine-row"):
                machine = gr.Markdown(lab.machine(), elem_id="machine")
                switch = gr.Button("Light or dark", size="sm", elem_id="theme")
        with gr.Tabs():
            for tab in TABS:
                with gr.Tab(tab.TITLE) as room:
                    tab.build(lab, page, room)
        switch.click(None, None, None, js=SWITCH)

        async def busy() -> str:
            return lab.machine()

        gr.Timer(3).tick(busy, None, machine, queue=False, show_progress="hidden", api_visibility="private")
    blocks.queue(default_concurrency_limit=20, max_size=200)
    return blocks


def serve(blocks: gr.Blocks, **options: object) -> None:
    """Serve until interrupted, at GRADIO_SERVER_NAME and GRADIO_SERVER_PORT."""
    blocks.launch(
        theme=theme.theme(),
        css=theme.stylesheet([m.key for m in METHODS]),
        css_paths=ASSETS / "style.css",
        max_threads=200,  # a live view holds a thread; 60 of them froze the default 40
        run_history=False,  # kept in the browser by default: bad on a shared one
        enable_monitoring=False,
        show_error=False,
        ssr_mode=False,
        footer_links=[],
        **options,  # type: ignore[arg-type]
    )
