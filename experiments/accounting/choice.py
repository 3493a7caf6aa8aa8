"""What a person asks the calculator: an architecture, a method with its settings. One sentence a field where it is wrong.

The same door for the command line and the page: a preset's key, the text of a `config.json`, or numbers of one's own.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from experiments import methods, specs
from experiments.accounting import memory, presets
from experiments.accounting.arch import Arch
from experiments.accounting.families import check_causal, config_arch
from experiments.accounting.memory import Load
from experiments.catalog import tasks
from experiments.specs import Problem, RunSpec, SpecError

LONGEST = 200_000  # characters of a config.json; the longest known has some 20,000


def preset_arch(key: str) -> Arch:
    """The architecture of a preset. Raises `SpecError`."""
    try:
        return presets.arch(key)
    except ValueError as error:
        raise SpecError([Problem("arch", str(error))]) from None


def text_arch(text: str) -> Arch:
    """The architecture that the text of a `config.json` describes. Raises `SpecError`."""
    try:
        return _parsed(text)
    except ValueError as error:
        raise SpecError([Problem("config", str(error))]) from None


@lru_cache(maxsize=64)
def _parsed(text: str) -> Arch:
    if len(text) > LONGEST:
        raise ValueError(f"This is longer than {LONGEST:,} characters; a config.json is not.")
    try:
        config = json.loads(text)
    except (ValueError, RecursionError):
        raise ValueError("This is not JSON; paste the whole config.json, with its braces.") from None
    if not isinstance(config, dict):
        raise ValueError("This is JSON but no object; a config.json begins with a brace.")
    inner = config.get("text_config")
    check_causal(config)
    return config_arch(inner if isinstance(inner, dict) else config)


def named_arch(name: str) -> Arch:
    """For the command line: a preset's key, or the path of a `config.json`. Raises `SpecError`."""
    if not name.endswith(".json"):
        return preset_arch(name)
    try:
        text = Path(name).read_text("utf8")
    except (OSError, UnicodeDecodeError):
        raise SpecError([Problem("arch", f"{name[:200]} is not a readable file.")]) from None
    return text_arch(text)


def loaded(arch: Arch, spec: RunSpec, data: Mapping[str, Any]) -> Load:
    """What a step is given and how numbers are kept, fitting this model and method. Raises `SpecError`."""
    load: Load = specs.build(Load, data)
    found = memory.problems(arch, methods.find(spec.method), spec.settings, load)
    if found:
        raise SpecError([Problem(field, sentence) for field, sentence in found.items()])
    return load


def chosen(arch: Arch, method: str, settings: Mapping[str, Any]) -> RunSpec:
    """A method with settings that fit this architecture. Raises `SpecError`."""
    spec: RunSpec = specs.build(
        RunSpec, {"model": "any", "task": tasks.TASKS[0].key, "method": method, "settings": dict(settings)}
    )
    specs.check(spec, arch)
    return spec
