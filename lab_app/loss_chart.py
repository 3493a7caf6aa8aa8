"""The loss chart: live training and held-out losses of several runs, drawn in SVG on the client from append-only strings.

The value is made by `charts.Curves`; axis, log scale, smoothing, zoom and which curves are shown are the reader's own,
live on the client, and survive every update.
"""

from __future__ import annotations

from typing import Any

import gradio as gr

from lab_app.drawn import drawn

KEY = "— training&ensp; ○ held-out&ensp; drag to zoom"
MARKUP = (
    """<figure class="lab-chart">
<figcaption class="lab-chart-title"></figcaption>
<div class="lab-chart-tools">
<label>x axis <select class="lc-axis"><option value="0">steps</option><option value="1">tokens</option>
<option value="2">seconds</option></select></label>
<label><input type="checkbox" class="lc-log"> log scale</label>
<label>smoothing <input type="range" class="lc-smooth" min="0" max="0.95" step="0.05" value="0.5"></label>
<button type="button" class="lc-reset" disabled>Reset zoom</button>
<span class="lc-key">"""
    + KEY
    + """</span>
</div>
<svg class="lc-plot" role="img" tabindex="0" aria-label="loss curves"></svg>
<div class="lab-legend"></div>
<p class="lc-read" aria-live="polite"></p>
<details class="lc-data"><summary>The numbers behind the chart</summary>
<div class="lab-scroll" tabindex="0" role="region" aria-label="losses by step"><table class="lab-table"></table></div></details>
</figure>"""
)


def loss_chart(value: Any, elem_id: str | None = None, key: str = KEY) -> gr.HTML:
    """`key`: what the marks mean, beside the tools."""
    return drawn(value, "loss_maths.js loss_chart.js", MARKUP.replace(KEY, key), elem_id)
