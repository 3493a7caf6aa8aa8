"""The drawn parts of the Sweep tab: the map with its curves, and what was found. Constant markup; assets/sweep*.js fills it."""

from __future__ import annotations

from typing import Any

import gradio as gr

from lab_app.drawn import drawn

MAP = """<section class="lab-sweep" aria-label="sweep"><div class="sw-all" hidden>
<p class="sw-note"></p><p class="sw-verdict" role="status"></p>
<div class="sw-tools"><div class="sw-metric lab-choices" role="radiogroup" aria-label="what is shown"></div>
<span class="sw-pick"><label>across <select class="sw-x"></select></label> <label>up <select class="sw-y"></select></label></span></div>
<div class="sw-two"><figure class="sw-figure"><figcaption class="sw-yname"></figcaption>
<div class="sw-map-box lab-scroll" tabindex="0" role="region" aria-label="map of the settings"><div class="sw-stage">
<table class="sw-map"></table><svg class="sw-rules" aria-hidden="true"></svg></div></div>
<p class="sw-xname"></p><p class="sw-scale"></p>
<p class="sw-guides" hidden>Rules for alpha: <label class="twice">
<input type="checkbox" class="sw-twice" checked> alpha = 2 · rank</label>
<label class="ratio"><input type="checkbox" class="sw-ratio"> alpha / rank as at the best</label>
<label class="root"><input type="checkbox" class="sw-root"> alpha / √rank as at the best</label></p></figure>
<figure class="sw-figure"><figcaption>Every run of the sweep: <select class="sw-which" aria-label="which loss">
<option value="d">training loss</option>
<option value="h">held-out loss</option></select>, nats a token <label><input type="checkbox" class="sw-log"> log scale</label>
</figcaption>
<svg class="sw-curves" role="img" aria-label="curves"></svg><p class="sw-read"></p><p class="sw-left facts"></p></figure></div>
<div class="sw-chosen"></div></div></section>"""

RESULTS = """<section class="lab-sweep sr-all" hidden aria-label="what was found">
<div class="sw-two"><figure class="sw-figure"><figcaption><span class="sr-what">
</span> against <select class="sr-by" aria-label="setting"></select></figcaption>
<svg class="sr-picture sr-rank" role="img"></svg>
<p class="sw-scale">Line: the best setting at each value, its 95 % interval over the seeds. Rings: all the others.</p>
<p class="sr-offer" hidden><button type="button" class="lab-small sr-cut-go">Cut one run to every smaller rank</button>
<span class="facts">Nothing is trained for it.</span></p><div class="sr-cut-said" role="status"></div></figure>
<figure class="sw-figure"><figcaption><span class="sr-what"></span> against <select class="sr-cost" aria-label="cost"></select>
</figcaption>
<svg class="sr-picture sr-pareto" role="img"></svg>
<p class="sw-scale">Joined: the settings that no other one beats in both (the Pareto front).</p></figure></div>
<div class="sw-two"><figure class="sw-figure"><figcaption>Every setting as a line, to its <span class="sr-what"></span></figcaption>
<svg class="sr-picture sr-lines" role="img"></svg></figure>
<figure class="sw-figure"><figcaption>How much each setting matters</figcaption><div class="sr-knobs"></div>
<p class="sw-scale">Share of importance: how differently it is spread among the best runs (PED-ANOVA).</p>
<h4>Which rule for alpha the data supports</h4><div class="sr-rules"></div></figure></div>
<div class="lab-scroll sr-scroll" tabindex="0" role="region" aria-label="settings"><table class="lab-table sr-table"></table></div>
<button type="button" class="lab-button sr-csv">Save every run as CSV</button></section>"""


def sweep_map(value: Any, elem_id: str) -> gr.HTML:
    """The map and the curves of a sweep, a value of `sweep_view.value`. It tells `select` which runs were pressed."""
    return drawn(value, "sweep_maths.js sweep.js", MAP, elem_id)


def results(elem_id: str) -> gr.HTML:
    """What was found: the map beside it tells it what to draw. Its own value is one run at smaller ranks, of `sweep_view.rank_curve`,
    asked for by `apply`."""
    return drawn({}, "sweep_maths.js sweep_results.js", RESULTS, elem_id)
