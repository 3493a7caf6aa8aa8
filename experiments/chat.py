"""A model's chat template turned into text, as transformers' `apply_chat_template` does it, without transformers.

The template comes with the model and is not trusted: it runs in jinja's immutable sandbox, sees plain strings and nothing
else. Tools, documents and masks of the assistant's tokens are not offered.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import lru_cache
from typing import Any

from jinja2 import Template, TemplateError, nodes
from jinja2.exceptions import SecurityError
from jinja2.ext import Extension, loopcontrols
from jinja2.parser import Parser
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.utils import Namespace

Turn = Mapping[str, str]
"""{"role": "system" | "user" | "assistant", "content": text}"""


def render(template: str, turns: Sequence[Turn], specials: Mapping[str, str], asks: bool = False) -> str:
    """The turns as text; with `asks` up to where the answer begins. `specials`: bos_token, eos_token, … → its text.

    Raises `ValueError` with one sentence where the template does not take these turns.
    """
    try:
        return _compiled(template).render(
            messages=[dict(turn) for turn in turns], tools=None, documents=None, add_generation_prompt=asks, **specials
        )
    except (TemplateError, TypeError, ValueError, ArithmeticError, RecursionError, MemoryError) as error:
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise ValueError(f"The model's chat template does not take this conversation: {reason}") from None


class _GenerationTag(Extension):
    """`{% generation %}` marks what the assistant says, for masks that are not made here: its body is left as it is."""

    tags = {"generation"}

    def parse(self, parser: Parser) -> nodes.Node:
        line = next(parser.stream).lineno
        body = parser.parse_statements(("name:endgeneration",), drop_needle=True)
        return nodes.Scope(body).set_lineno(line)


class _Namespace(Namespace):
    """A namespace that takes no name with a leading underscore."""

    def __init__(self, *args: Any, **values: Any) -> None:
        values = dict(*args, **values)
        for name in values:
            _refuse_private(name)
        super().__init__(values)

    def __setitem__(self, name: str, value: Any) -> None:
        _refuse_private(name)
        super().__setitem__(name, value)


class _Dict:
    """`dict(…)` and nothing that hangs on the type."""

    def __call__(self, *args: Any, **values: Any) -> dict[Any, Any]:
        return dict(*args, **values)


def _refuse_private(name: str) -> None:
    if name.startswith("_"):
        raise SecurityError(f"the name {name!r} is private")


def _raise(message: str) -> None:
    raise TemplateError(message)


def _to_json(value: Any, ensure_ascii: bool = False, **how: Any) -> str:
    return json.dumps(value, ensure_ascii=ensure_ascii, **how)


@lru_cache(maxsize=16)
def _compiled(template: str) -> Template:
    sandbox = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[_GenerationTag, loopcontrols]
    )
    sandbox.filters["tojson"] = _to_json
    own = {"raise_exception": _raise, "dict": _Dict(), "namespace": _Namespace}
    own["strftime_now"] = lambda form: datetime.now().strftime(form)
    sandbox.globals.update(own)
    return sandbox.from_string(template)
