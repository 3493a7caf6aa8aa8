"""The calculator's form as data: which fields there are, what a state means, what a link may bring. No widget.

A state is small JSON: {"arch", "config", "shape", "method", "settings", "load", "plan", "machine"}; whatever is missing or
of the wrong kind takes its default, so a link of an older lab still opens.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import NoneType
from typing import Any, get_args

from pydantic import BaseModel, ConfigDict
from pydantic.fields import FieldInfo

from experiments import methods, specs
from experiments.accounting import Arch, choice, config_arch, machines, presets
from experiments.accounting.memory import Load
from experiments.methods.base import knob
from experiments.specs import Problem, RunSpec, SpecError
from lab_app import controls

PASTED, OWN = "config", "own"
LOAD = ("batch_size", "tokens", "learnt", "precision", "optimizer", "checkpointing", "keeps_base")


class Shape(BaseModel):
    """A Llama-shaped model of one's own."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    width: int = knob(576, "Width", ge=1, le=65_536)
    layers: int = knob(30, "Layers", ge=1, le=200)
    heads: int = knob(9, "Heads", ge=1, le=1024)
    kv_heads: int = knob(3, "Key/value heads", ge=1, le=1024)
    hidden: int = knob(1536, "Feed-forward width", ge=1, le=1_000_000)
    vocab: int = knob(49_152, "Vocabulary", ge=1, le=2_000_000)
    tied: bool = knob(True, "Tied embeddings")
    biases: bool = knob(False, "Biases")


class Plan(BaseModel):
    """How long, on how much text, within what budget."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)
    steps: int = knob(1000, "Steps", ge=1, le=1_000_000_000)
    dataset_tokens: int = knob(1_000_000, "Dataset", ge=1, le=10**15, unit="tokens")
    budget_gb: float = knob(8.0, "Memory budget", gt=0, le=100_000, unit="GB")
    price: float | None = knob(None, "Price", ge=0, le=1e6, unit="US$ an hour")


def tidy(state: Mapping[str, Any]) -> dict[str, Any]:
    """A state with everything in it; what is of the wrong kind is left out."""

    def text(name: str, default: str) -> str:
        return state[name] if isinstance(state.get(name), str) else default

    def known(name: str, allowed: Any) -> dict[str, Any]:
        given = state.get(name)
        given = given if isinstance(given, Mapping) else {}
        plain = (str, int, float, bool, NoneType)
        return {key: given[key] for key in allowed if key in given and isinstance(given[key], plain)}

    method = text("method", "lora")
    allowed = next((m.Settings.model_fields for m in methods.METHODS if m.key == method), {})
    return {
        "arch": text("arch", presets.PRESETS[0].key), "config": text("config", ""), "shape": known("shape", Shape.model_fields),
        "method": method, "settings": known("settings", allowed), "load": known("load", LOAD),
        "plan": {k: v for k, v in known("plan", Plan.model_fields).items() if v != ""}, "machine": text("machine", "space"),
    }  # fmt: skip


def machine(state: Mapping[str, Any]) -> machines.Machine:
    """Raises `SpecError`."""
    try:
        return machines.find(state["machine"])
    except ValueError as error:
        raise SpecError([Problem("machine", str(error))]) from None


def plan(state: Mapping[str, Any]) -> Plan:
    """Raises `SpecError` with fields named `plan.steps` and so on."""
    try:
        found: Plan = specs.build(Plan, state["plan"])
    except SpecError as error:
        raise SpecError([Problem(f"plan.{p.field}", p.sentence) for p in error.problems]) from None
    return found


def load(state: Mapping[str, Any], arch: Arch, spec: RunSpec, on: machines.Machine) -> Load:
    """Raises `SpecError` with fields named `load.tokens` and so on."""
    try:
        return choice.loaded(arch, spec, {**state["load"], "device": "gpu" if on.gpu else "cpu"})
    except SpecError as error:
        raise SpecError([Problem(f"load.{p.field}", p.sentence) for p in error.problems]) from None


def own_arch(values: Mapping[str, Any]) -> Arch:
    """A Llama of one's own numbers. Raises `SpecError` with fields named `shape.width` and so on."""
    try:
        shape: Shape = specs.build(Shape, values)
    except SpecError as error:
        raise SpecError([Problem(f"shape.{p.field}", p.sentence) for p in error.problems]) from None
    config = {
        "model_type": "llama", "hidden_size": shape.width, "num_hidden_layers": shape.layers, "num_attention_heads": shape.heads,
        "num_key_value_heads": shape.kv_heads, "intermediate_size": shape.hidden, "vocab_size": shape.vocab,
        "max_position_embeddings": 1_000_000, "tie_word_embeddings": shape.tied, "attention_bias": shape.biases,
        "mlp_bias": shape.biases,
    }  # fmt: skip
    try:
        return config_arch(config)
    except ValueError as error:
        place = "shape.kv_heads" if "key/value" in str(error) else "shape.heads"
        raise SpecError([Problem(place, str(error))]) from None


# What the page draws


def fields(state: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The form in order, as groups of fields: name, label, kind, choices, help, value."""
    archs = [[p.key, f"{p.title} ({p.published / 1e9:.3g} B)"] for p in presets.PRESETS]
    own = [[PASTED, "a config.json, pasted or from the hub"], [OWN, "numbers of my own"]]
    model = [_choice("arch", "Architecture", [*archs, *own], state["arch"])]
    if state["arch"] == PASTED:
        model.append(
            {"name": "hub", "label": "Hub id", "kind": "hub", "help": "Reads its config.json only.", "value": ""}
        )
        model.append({"name": "config", "label": "config.json", "kind": "long", "help": "", "value": state["config"]})
    if state["arch"] == OWN:
        model += _of(Shape, "shape", state["shape"], hints=False)
    chosen = next((m for m in methods.METHODS if m.key == state["method"]), methods.METHODS[0])
    ways = [_choice("method", "Method", [[m.key, m.title] for m in methods.METHODS], chosen.key, chosen.summary)]
    places = [_choice("machine", "Machine", [[m.key, m.title] for m in machines.MACHINES], state["machine"])]
    return [
        {"title": "1 What model?", "fields": model},
        {"title": "2 Which method?", "fields": ways + _of(chosen.Settings, "settings", state["settings"])},
        {"title": "3 What does a step read?", "fields": _of(Load, "load", state["load"], LOAD)},
        {"title": "4 Where, and how long?", "fields": places + _of(Plan, "plan", state["plan"], hints=False)},
    ]


def _choice(name: str, label: str, choices: list[list[str]], value: str, help: str = "") -> dict[str, Any]:
    return {"name": name, "label": label, "kind": "choice", "choices": choices, "help": help, "value": value}


def _of(
    model: type[BaseModel], head: str, values: Mapping[str, Any], only: Any = (), hints: bool = True
) -> list[dict[str, Any]]:
    chosen = {name: info for name, info in model.model_fields.items() if name in only or not only}
    return [_field(f"{head}.{name}", info, values.get(name), hints) for name, info in chosen.items()]


def _field(name: str, info: FieldInfo, value: Any, hints: bool) -> dict[str, Any]:
    extra = info.json_schema_extra if isinstance(info.json_schema_extra, dict) else {}
    unit, kind = str(extra.get("unit") or ""), get_args(info.annotation)
    literal = [a for a in kind if isinstance(a, str)]
    label = f"{info.title} ({unit})" if unit else str(info.title)
    shown = controls.raw(info.default) if value is None else value
    base = {
        "name": name,
        "label": label,
        "help": controls.hint(info) if hints else "",
        "value": "" if shown is None else shown,
    }
    if literal:
        return {**base, "kind": "choice", "choices": [[a, a] for a in literal]}
    if info.annotation is bool:
        return {**base, "kind": "flag"}
    return {**base, "kind": "text"}
