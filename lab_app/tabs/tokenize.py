"""Tokenize: text → tokens → ids → tensor → model → probabilities → text. Everything is drawn by the page's own scripts.

The scripts ask by plain requests (`tokens.answerer`); what needs the model goes through the queue to the worker.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import gradio as gr

from lab_app import token_model, token_parts, tokens
from lab_app.drawn import drawn
from lab_app.lab import Lab

if TYPE_CHECKING:
    from lab_app.layout import Page, Room

TITLE = "Tokenize"
START = (
    "Text becomes tokens: Straße, naïve, 東京, 1,234.50 and 👩‍🚀 are cut differently by each tokenizer.\n"
    "    if x == 1:\n\treturn 'ok'  "
)
MARKUP = """<div class="lab-tokens">
<fieldset class="tk-choose"><legend>Tokenizers, two to four at once</legend></fieldset>
<div class="tk-more"><label>Hub id <input type="text" class="tk-hub" placeholder="owner/name" size="18"></label>
<button type="button" class="lab-button tk-add">Add</button>
<label class="tk-file">or your tokenizer.json <input type="file" accept=".json,application/json"></label>
<span class="tk-said" role="status"></span></div>
<label class="tk-text">Text <textarea rows="4" spellcheck="false"></textarea></label>
<p class="tk-note" role="status"></p>
<ol class="tk-key"></ol>
<div class="tk-lanes" tabindex="0" role="img" aria-label="tokens"></div>
<p class="tk-read" aria-live="polite"></p>
<div class="lab-scroll" tabindex="0" role="region" aria-label="counts"><table class="lab-table"></table></div>
<div class="tk-tip" hidden></div>
<div class="tk-parts"></div>
</div>"""
SCRIPTS = "tokens_draw.js tokens.js tokens_parts.js tokens_model.js"
OWNER = "(saved) => { window.labOwner = (saved && saved.owner) || ''; }"


def build(lab: Lab, page: Page, room: Room) -> None:
    """Draw the tab and wire it."""
    ask = tokens.answerer(lab.desk, {**token_parts.handlers(lab.store), **token_model.handlers(lab)})
    value: dict[str, Any] = {"text": START, "chosen": ["gpt2", "o200k", "smollm2"]}
    drawn(value, SCRIPTS, MARKUP, "tokens", server_functions=[ask])
    gr.on(room.opens, None, page.saved, None, js=OWNER, queue=False, show_progress="hidden", api_visibility="private")
