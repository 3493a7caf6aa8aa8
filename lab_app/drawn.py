"""Components that are drawn on the client from a JSON value: the markup is constant and text is set as textContent.

So nothing that a visitor or a model wrote can become markup or code, and Gradio sends only what changed in the value.
They are made by functions: Gradio writes a .pyi file beside the source of every subclass.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any

import gradio as gr
from starlette.responses import JSONResponse

ASSETS = Path(__file__).parents[1] / "assets"

TABLE = """<div class="lab-scroll" tabindex="0" role="region" aria-label="table">
<table class="lab-table"></table></div>"""
ANSWERS = """<div class="lab-answers"></div>"""
STATUS = """<div class="lab-status"><div class="lab-lines" role="status"></div>
<progress max="1" hidden aria-label="progress"></progress></div>"""

LINK = """<div class="lab-link"><label>Link to this view <input type="text" readonly></label>
<button type="button" disabled>Copy</button></div>"""


def drawn(
    value: Any,
    scripts: str,
    markup: str,
    elem_id: str | None = None,
    server_functions: list[Callable[..., Any]] | None = None,
    **props: Any,
) -> gr.HTML:
    """Fixed `markup` into which the `scripts` of assets/, one after the other, draw `props.value`; parts.js is always there.

    `server_functions` are called by the script as `server.name(value)`: a plain request that a lost
    network fails quietly, where a lost event makes Gradio load the page anew.
    """
    code = "\n".join((ASSETS / name).read_text("utf8") for name in scripts.split())
    code = f"{(ASSETS / 'parts.js').read_text('utf8')}\n{{\n{code}\n}}"
    props["server_functions"] = [_written(function) for function in server_functions or ()]
    return gr.HTML(value, html_template=markup, js_on_load=code, apply_default_css=False, elem_id=elem_id, **props)


def _written(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function with its answer written as JSON: a plain value is copied leaf by leaf on its way through the web server, which took
    as long as tokenizing."""
    if inspect.iscoroutinefunction(function):

        @wraps(function)
        async def written(*values: Any) -> JSONResponse:
            return JSONResponse(await function(*values))
    else:

        @wraps(function)
        def written(*values: Any) -> JSONResponse:
            return JSONResponse(function(*values))

    return written


def table(value: Any, elem_id: str | None = None) -> gr.HTML:
    """`{"caption", "columns": [{"label", "unit", "help", "number"}], "rows": [{"method", "cells": [text, …]}]}`."""
    return drawn(value, "table.js", TABLE, elem_id)


def answers(value: Any, elem_id: str | None = None) -> gr.HTML:
    """`{"cards": [{"prompt", "note", "columns": [{"name", "method", "state", "text", "marks": [[from, to], …], "earlier"}]}]}`."""
    return drawn(value, "answers.js", ANSWERS, elem_id)


def status(value: Any, elem_id: str | None = None) -> gr.HTML:
    """`{"tone": "" | "busy" | "bad", "lines": [sentence, …], "done": number from 0 to 1, or None}`."""
    return drawn(value, "status.js", STATUS, elem_id)


def link(value: Any, elem_id: str | None = None, name: str = "run") -> gr.HTML:
    """`"?run=ID,ID"`, the part of the address that opens what is shown; `name` is its name there. It is put into the address
    bar, too: on a hosted Space that is not the address a visitor sees, hence a field to copy from."""
    return drawn(value, "link.js", LINK, elem_id, name=name)
