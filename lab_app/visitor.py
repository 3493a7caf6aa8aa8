"""Who a visitor is: an unguessable token kept in their browser, and the runs they looked at last.

The token owns runs: only who asked for a run can stop it. A link holds run ids and no token, so it opens a run to read.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Mapping, Sequence
from typing import Any

import gradio as gr

from experiments import shelf
from experiments.store import Store

SECRET = "fine-tuning-lab"  # noqa: S105 - scrambles the browser's own copy; a new one each start would lose it
TOKEN = re.compile(r"[\w-]{30,100}", re.ASCII)
"""What `secrets.token_urlsafe` gives: no blank, so that nobody can call themself the command line."""
RUN_ID = re.compile(r"[0-9a-f]{12}")
SWEEP_ID = re.compile(r"w[0-9a-f]{12}")
COMPARISON_ID = re.compile(r"c[0-9a-f]{12}")


def link(run_ids: Sequence[str]) -> str:
    """The part of an address that opens these runs; the browser puts its own address before it."""
    return f"?run={','.join(run_ids)}" if run_ids else ""


def path_link(run_ids: Sequence[str]) -> str:
    """The part of an address that opens these runs as the stages of a path."""
    return f"?path={','.join(run_ids)}" if run_ids else ""


def browser_state() -> gr.BrowserState:
    return gr.BrowserState(None, storage_key="fine-tuning-lab", secret=SECRET)


def owner(saved: Any) -> str:
    """The visitor's token, empty where the browser brought none that was made here."""
    token = saved.get("owner") if isinstance(saved, Mapping) else None
    return token if isinstance(token, str) and TOKEN.fullmatch(token) else ""


def welcome(saved: Any) -> dict[str, Any]:
    """What the browser keeps from now on: its token, made here where it has none, and its last runs."""
    return {"owner": owner(saved) or secrets.token_urlsafe(24), "runs": last_runs(saved)}


def last_runs(saved: Any) -> list[str]:
    runs = saved.get("runs") if isinstance(saved, Mapping) else None
    return [r for r in runs if isinstance(r, str) and RUN_ID.fullmatch(r)][:8] if isinstance(runs, list) else []


def asked(request: gr.Request | None) -> list[str]:
    """Run ids of `?run=ID,ID`."""
    text = str(request.query_params.get("run", "")) if request else ""
    return [r for r in text.split(",") if RUN_ID.fullmatch(r)][:8]


def asked_sweep(request: gr.Request | None) -> str:
    """The id of `?sweep=ID`, empty where there is none."""
    text = str(request.query_params.get("sweep", "")) if request else ""
    return text if SWEEP_ID.fullmatch(text) else ""


def asked_comparison(request: gr.Request | None) -> str:
    """The id of `?compare=ID`, empty where there is none."""
    text = str(request.query_params.get("compare", "")) if request else ""
    return text if COMPARISON_ID.fullmatch(text) else ""


def asked_path(request: gr.Request | None) -> list[str]:
    """Run ids of `?path=ID,ID`, the stages in order."""
    text = str(request.query_params.get("path", "")) if request else ""
    return [r for r in text.split(",") if RUN_ID.fullmatch(r)][:8]


def known(store: Store, run_ids: Sequence[str], owner: str) -> list[str]:
    """Those of these runs that this lab has and that this visitor may see."""
    found = ((run_id, store.entry(run_id)) for run_id in dict.fromkeys(run_ids))
    here = [run_id for run_id, entry in found if entry is not None and entry.kind == "train"]
    return [run_id for run_id in here if shelf.may_see(store, run_id, owner)]
