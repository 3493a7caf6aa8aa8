"""The tokenizer of a model's folder for a process without torch: tokenizer.json read by `tokenizers`, nothing else run.

Gives the tokens that transformers' fast tokenizer gives (a test holds them together). A folder with another kind of
tokenizer is refused in one sentence; the engine can still load it.
"""

from __future__ import annotations

import json
from functools import lru_cache
from pathlib import Path
from typing import Any

from experiments.templates import Codec

NAMES = ("bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token")


def load(folder: Path) -> tuple[Codec, Any]:
    """The codec of a folder, and its `tokenizers.Tokenizer`. Raises `ValueError`: no tokenizer.json, or a damaged one."""
    file = folder / "tokenizer.json"
    if not file.is_file():
        raise ValueError(
            "This model has no tokenizer.json, so its tokens cannot be shown here; it can still be trained."
        )
    return _load(file, file.stat().st_mtime_ns)


@lru_cache(maxsize=4)
def _load(file: Path, stamp: int) -> tuple[Codec, Any]:
    from tokenizers import Tokenizer

    try:
        tokenizer = Tokenizer.from_file(str(file))
    except Exception as error:  # the library raises plain Exceptions
        raise ValueError(f"The model's tokenizer.json cannot be read: {str(error)[:120]}.") from None
    tokenizer.no_padding()
    tokenizer.no_truncation()
    config = _json(file.with_name("tokenizer_config.json"))
    specials = {name: text for name in NAMES if (text := _text(config.get(name)))}
    if "pad_token" not in specials and "eos_token" in specials:
        specials["pad_token"] = specials["eos_token"]  # as the engine does

    def ids(text: str, special: bool) -> list[int]:
        return tokenizer.encode(text, add_special_tokens=special).ids

    return Codec(ids, specials.get("eos_token", ""), _chat_template(file.parent, config), specials), tokenizer


def _chat_template(folder: Path, config: dict[str, Any]) -> str | None:
    """The template beside the tokenizer; the one named "default" where there are several."""
    if (own := folder / "chat_template.jinja").is_file():
        return own.read_text("utf8")
    found = _json(folder / "chat_template.json").get("chat_template") or config.get("chat_template")
    if isinstance(found, list):
        found = next((t.get("template") for t in found if t.get("name") == "default"), None)
    return found if isinstance(found, str) else None


def _json(file: Path) -> dict[str, Any]:
    try:
        found = json.loads(file.read_text("utf8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _text(token: Any) -> str | None:
    """A special token is written as a text or as {"content": text, …}."""
    if isinstance(token, dict):
        token = token.get("content")
    return token if isinstance(token, str) else None
