"""Calculate: parameters, memory, time and cost of any method on any architecture, before anything is fetched.

One drawn component: its script asks `calculate` at every change, outside of the queue, so that it answers while a model
trains. Nothing happens until the tab is opened; a link with `?calc=` opens it (assets/top.js).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from experiments.accounting import hub
from lab_app import calculator, measured
from lab_app.drawn import drawn
from lab_app.lab import Lab

if TYPE_CHECKING:
    from lab_app.layout import Page, Room

TITLE = "Calculate"
MARKUP = """<div class="calc"><div class="calc-form"></div>
<div class="calc-right"><p class="calc-said" role="status"></p>
<div class="calc-link lab-link"><label>Link to this calculation <input type="text" readonly></label>
<button type="button">Copy</button></div>
<div class="calc-out"></div></div></div>"""


def build(lab: Lab, page: Page, room: Room) -> None:
    """Draw the tab and wire it."""

    def calculate(state: Any) -> dict[str, Any]:
        return reply(lab, state)

    def hub_config(repo_id: Any) -> dict[str, str]:
        """A hub model's config.json as text, or one sentence."""
        try:
            return {"config": hub.config_text(str(repo_id)[:200])}
        except ValueError as error:
            return {"problem": str(error)}

    def measured_runs(_: Any) -> dict[str, Any]:
        """What runs of this lab took, beside what is foretold: asked once, for it does not follow the form."""
        return measured.runs(lab)

    drawn(
        None,
        "calc_form.js calc_pictures.js calc.js",
        MARKUP,
        "calculator",
        server_functions=[calculate, hub_config, measured_runs],
    )


def reply(lab: Lab, state: Any) -> dict[str, Any]:
    """The answer to a state as a browser sent it."""
    return calculator.answer(state if isinstance(state, Mapping) else {}, measured.speeds(lab.store))
