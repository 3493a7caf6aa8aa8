"""The config.json of a hub model, and nothing else of it."""

from __future__ import annotations

import re
import tempfile
from pathlib import Path

from experiments.catalog.cache import ResourceError
from experiments.catalog.hub import Hub, bring_from_hub, look_at_hub


def config_text(repo_id: str) -> str:
    """The text of a hub model's config.json; the hub is given 5 s to answer. Raises `ValueError` with one sentence."""
    if not re.fullmatch(r"[\w.-]+/[\w.-]+", repo_id) or ".." in repo_id:
        raise ValueError("A hub id is owner/name, such as HuggingFaceTB/SmolLM2-135M.")
    hub = Hub(repo_id, ("config.json",))
    try:
        with tempfile.TemporaryDirectory(prefix="lab-config-") as folder:
            bring_from_hub(hub, look_at_hub(hub), Path(folder), None)
            return (Path(folder) / "config.json").read_text("utf8")
    except (ResourceError, OSError, UnicodeDecodeError) as error:
        text = str(error)
        raise ValueError(f"{text[:1].upper()}{text[1:240]}.") from None
