"""The drawn part of the Compare tab: table, plane, fronts, what was fixed and broken. Constant markup; assets/compare.js fills it."""

from __future__ import annotations

from typing import Any

import gradio as gr

from lab_app.drawn import drawn

MARKUP = """<section class="lab-sweep cp-all" hidden aria-label="comparison">
<p class="sw-note"></p><p class="sw-verdict" role="status"></p>
<div class="lab-scroll" tabindex="0" role="region" aria-label="methods"><table class="lab-table cp-table"></table></div>
<p class="sw-scale cp-method"></p><ul class="facts cp-notes"></ul>
<div class="sw-two"><figure class="sw-figure"><figcaption>Learnt against forgotten: a trail a method, a thin one a seed</figcaption>
<svg class="sr-picture cp-plane" role="img"></svg>
<p class="sw-scale">Right: held-out loss below the base's. Up: loss on general text above the base's.
A ring is a look, a dot the end.</p></figure>
<figure class="sw-figure"><figcaption><select class="cp-axis" aria-label="result"></select> against
<select class="cp-cost" aria-label="cost"></select></figcaption>
<svg class="sr-picture cp-front" role="img"></svg>
<p class="sw-scale">Joined: the methods that no other one beats in both (the Pareto front). Bars: 95 % intervals.</p></figure></div>
<div class="cp-changes"><h4>What each method fixed and broke</h4>
<p class="sw-tools"><label>by <select class="cp-score" aria-label="metric"></select></label>
<label>answers of <select class="cp-who" aria-label="method"></select></label></p>
<div class="lab-scroll" tabindex="0" role="region" aria-label="fixed and broken"><table class="lab-table cp-counts"></table></div>
<div class="cp-examples sw-two"></div></div>
<p class="sw-tools cp-take">The report, on one page:</p></section>"""


def comparison(value: Any, elem_id: str) -> gr.HTML:
    """A comparison, a value of `compare_view.value`. It tells `download` which form of the report is asked for."""
    return drawn(value, "sweep_maths.js compare.js", MARKUP, elem_id)
