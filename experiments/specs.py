"""What a run is: frozen, validated specs. A run is a pure function of its spec, and its id is a hash of it.

A spec is complete: defaults that depend on the method are filled in, so that two ways of asking for the same thing
are the same run. Nothing here knows of a page, a worker or a folder.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SerializeAsAny,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)

from experiments import methods, objectives, templates
from experiments.accounting import Arch
from experiments.catalog import models, tasks
from experiments.catalog.own_data.columns import Columns
from experiments.methods.base import NoSettings, Settings, knob
from experiments.recipe import TrainSettings

Frozen = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class RunSpec(BaseModel):
    """One training run: model, task, method with its settings, objective with its own (`goal`), training settings, seed.

    `weights` names the exact bytes of the model (see `catalog.models.weights_of`); where two sources hold different
    bytes their runs have different ids. It is empty until a run is submitted.
    """

    model_config = Frozen
    schema_version: Literal[1] = 1
    model: str = Field(title="Model", min_length=1, max_length=300)
    weights: str = Field("", max_length=300)
    task: str = Field(title="Task")
    method: str = Field(title="Method")
    settings: SerializeAsAny[Settings] = Field(title="Settings")
    objective: str = knob("sft", "Objective", later=True)
    goal: SerializeAsAny[Settings] = knob(NoSettings(), "Settings of the objective", later=True, validate_default=True)
    train: TrainSettings = Field(default_factory=TrainSettings)
    seed: int = knob(0, "Seed", ge=0, le=2**31 - 1)
    template: str = knob(templates.CHAT, "Template", later=True)
    data: Columns | None = knob(None, "Columns", later=True, validate_default=True)
    after: str = knob("", "Begins with", pattern="^([0-9a-f]{12})?$", later=True)
    """The finished run whose adapter this one begins with, and is held against: imitation first, preference then."""
    start: str = knob("", "Goes on from", pattern="^([0-9a-f]{12})?$", later=True)
    """The finished run that this one trains longer; its steps count towards `train.steps`."""

    @field_validator("task")
    @classmethod
    def _task_exists(cls, value: str) -> str:
        return tasks.find(value).key

    @field_validator("template")
    @classmethod
    def _template_is_one(cls, value: str) -> str:
        return templates.check(value)

    @field_validator("data")
    @classmethod
    def _own_rows_have_columns(cls, value: Columns | None, info: ValidationInfo) -> Columns | None:
        own = str(info.data.get("task", "")).startswith("data:")
        if own and value is None:
            raise ValueError("Say which column of the rows is the completion.")
        if own and value is not None and "objective" in info.data:
            wish = objectives.find(info.data["objective"])
            if lacking := wish.lacks(value.feedback):
                how = "rejected or label" if wish.thumbs else "rejected"
                raise ValueError(f"{wish.title} needs {lacking}: say which column of your rows is {how}.")
        return value if own else None

    @field_validator("method")
    @classmethod
    def _method_exists(cls, value: str) -> str:
        return methods.find(value).key

    @model_validator(mode="before")
    @classmethod
    def _fill(cls, data: Any) -> Any:
        return {"settings": {}, "train": {}, **data} if isinstance(data, Mapping) else data

    @field_validator("settings", mode="plain")
    @classmethod
    def _settings_of_method(cls, value: Any, info: ValidationInfo) -> Settings:
        if "method" not in info.data:
            return Settings()  # the method's own error is the one to show
        if isinstance(value, Settings):
            value = value.model_dump()
        return methods.find(info.data["method"]).Settings.model_validate(value)

    @field_validator("objective")
    @classmethod
    def _objective_takes_method_and_task(cls, value: str, info: ValidationInfo) -> str:
        found = objectives.find(value)
        if {"method", "task"} <= info.data.keys():
            task = None if info.data["task"].startswith("data:") else tasks.find(info.data["task"])
            if refusal := found.refusal(methods.find(info.data["method"]), task):
                raise ValueError(refusal)
        return found.key

    @field_validator("goal", mode="plain")
    @classmethod
    def _goal_of_objective(cls, value: Any, info: ValidationInfo) -> Settings:
        if "objective" not in info.data:
            return NoSettings()  # the objective's own error is the one to show
        if isinstance(value, Settings):
            value = value.model_dump()
        return objectives.find(info.data["objective"]).Settings.model_validate(value)

    @field_validator("train", mode="before")
    @classmethod
    def _train_of_method(cls, value: Any, info: ValidationInfo) -> Any:
        """Fill in the learning rate usual for the method on this model; what trains nothing has neither steps nor rate."""
        if isinstance(value, TrainSettings):
            value = value.model_dump()
        if not isinstance(value, Mapping) or not {"method", "settings"} <= info.data.keys():
            return value  # their own errors are the ones to show
        method = methods.find(info.data["method"])
        if not method.trains:
            nothing = TrainSettings(steps=0, batch_size=1, learning_rate=0.0).model_dump()
            return {**nothing, "thorough": value.get("thorough", False)}
        if value.get("learning_rate") is None:
            usual = models.usual_rate(str(info.data.get("model")), method.key)
            usual = usual or method.learning_rate(info.data["settings"])
            return {**value, "learning_rate": usual * objectives.find(info.data.get("objective", "sft")).rate}
        return value

    @property
    def run_id(self) -> str:
        """Twelve hex digits of the SHA-256 of the canonical spec."""
        return digest(self)

    @property
    def comparable(self) -> dict[str, Any]:
        """All but the method, its settings and its learning rate: equal for the runs of one comparison."""
        return self.model_dump(
            mode="json", exclude={"method": True, "settings": True, "start": True, "train": {"learning_rate"}}
        )


def digest(spec: BaseModel) -> str:
    text = json.dumps(canonical(spec), sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def canonical(spec: BaseModel) -> dict[str, Any]:
    """The spec as JSON without the later fields that stand at their default: what runs stored before them have, too."""
    data = spec.model_dump(mode="json")
    for name, info in type(spec).model_fields.items():
        value = getattr(spec, name)
        if isinstance(value, BaseModel):
            data[name] = canonical(value)
        if isinstance(info.json_schema_extra, dict) and info.json_schema_extra.get("later") and value == info.default:
            del data[name]
    return data


@dataclass(frozen=True)
class Problem:
    """One sentence about one field, named as in `--set` and the form: `settings.rank`, `train.steps`, `task`."""

    field: str
    sentence: str


class SpecError(ValueError):
    """A spec that cannot be run, as one sentence a field."""

    def __init__(self, problems: Sequence[Problem]):
        self.problems = tuple(problems)
        super().__init__(" ".join(p.sentence for p in problems))


def build(kind: type[BaseModel], data: Mapping[str, Any]) -> Any:
    """A validated spec of this kind: a `RunSpec`, a question, columns. Raises `SpecError` with one sentence for each wrong field."""
    try:
        return kind.model_validate(data)
    except ValidationError as error:
        found = [(_place(e), _sentence(kind, data, e)) for e in error.errors()]
        raise SpecError([Problem(_printable(place), _printable(sentence)) for place, sentence in found]) from None


def check(spec: RunSpec, arch: Arch) -> None:
    """Raise `SpecError` where the settings do not fit this architecture."""
    found = methods.find(spec.method).check(arch, spec.settings)
    problems = [Problem(f"settings.{field}" if field else "method", sentence) for field, sentence in found]
    room = arch.max_length - getattr(spec.settings, "virtual_tokens", 0)
    if spec.data and spec.data.max_length > room:
        sentence = (
            f"This model reads at most {room:,} tokens of a row; the longest row is set to {spec.data.max_length:,}."
        )
        problems.append(Problem("data.max_length", sentence))
    if spec.train.batch_size < (least := objectives.find(spec.objective).least_batch):
        problems.append(Problem("train.batch_size", f"This objective compares the rows of a batch: at least {least}."))
    if problems:
        raise SpecError(problems)


def field_of(kind: type[BaseModel], data: Mapping[str, Any], place: str) -> Any:
    """The pydantic field behind a place such as `settings.rank`, or None."""
    head, _, rest = place.partition(".")
    if head == "settings" and rest:
        try:
            return methods.find(str(data.get("method"))).Settings.model_fields.get(rest.split(".")[0])
        except ValueError:
            return None
    if head == "goal" and rest:
        try:
            return objectives.find(str(data.get("objective", "sft"))).Settings.model_fields.get(rest.split(".")[0])
        except ValueError:
            return None
    if head == "train" and rest:
        return TrainSettings.model_fields.get(rest.split(".")[0])
    if head == "data" and rest:
        return Columns.model_fields.get(rest.split(".")[0])
    return kind.model_fields.get(head)


def _printable(text: str) -> str:
    """The text on one line: what was typed may hold line breaks, control characters, half a surrogate pair."""
    return "".join(c if c.isprintable() else "\ufffd" for c in text)


def _place(error: Mapping[str, Any]) -> str:
    return ".".join(str(part) for part in error["loc"] if not isinstance(part, int))


def _sentence(kind: type[BaseModel], data: Mapping[str, Any], error: Mapping[str, Any]) -> str:
    place, limits = _place(error), error.get("ctx", {})
    field = field_of(kind, data, place)
    name = (field.title if field is not None else None) or place.split(".")[-1] or "The spec"
    match error["type"]:
        case "greater_than_equal":
            return f"{name} must be at least {_number(limits['ge'])}."
        case "greater_than":
            return f"{name} must be more than {_number(limits['gt'])}."
        case "less_than_equal":
            return f"{name} must be at most {_number(limits['le'])}."
        case "less_than":
            return f"{name} must be less than {_number(limits['lt'])}."
        case "finite_number":
            return f"{name} must be a number, not infinite or NaN."
        case "int_parsing" | "int_type" | "int_from_float" | "int_parsing_size":
            return f"{name} must be {_whole(field, error['input'])}."
        case "float_parsing" | "float_type":
            return f"{name} must be a number."
        case "bool_parsing" | "bool_type":
            return f"{name} must be true or false."
        case "literal_error":
            values = (
                ", ".join(map(str, get_args(field.annotation))) if field is not None else limits.get("expected", "")
            )
            return f"{name} must be one of {values}."
        case "string_too_short" | "too_short":
            return f"{name} must not be empty."
        case "string_too_long":
            return f"{name} is longer than {limits['max_length']:,} characters."
        case "too_long":
            return f"{name}: at most {limits['max_length']}."
        case "string_pattern_mismatch":
            return f"{name} is a run's id: twelve of the digits 0 to 9 and a to f."
        case "missing":
            return f"{name} is missing."
        case "extra_forbidden":
            fields = _siblings(kind, data, place)
            return f"There is no setting “{place.split('.')[-1][:40]}” here; there are {', '.join(fields) or 'none'}."
        case "value_error":
            return str(limits["error"])
    return f"{name}: {error['msg']}."


def _number(value: float) -> str:
    """A limit as it is read: 5,000 and 2,147,483,647, but 0.5."""
    return f"{value:,.0f}" if float(value).is_integer() else f"{value:g}"


def _whole(field: Any, value: Any) -> str:
    """What a whole number must be where this is none: within its limits, as 1e9 is not, or written out, as 1e1 is not."""
    try:
        given = float(value) if isinstance(value, str | float) else math.nan
    except ValueError:
        given = math.nan
    for limit in getattr(field, "metadata", ()):
        if given > getattr(limit, "le", math.inf):
            return f"at most {_number(limit.le)}"
        if given < getattr(limit, "ge", -math.inf):
            return f"at least {_number(limit.ge)}"
    return f"a whole number, written as {given:.0f}" if given.is_integer() else "a whole number"


def _siblings(kind: type[BaseModel], data: Mapping[str, Any], place: str) -> list[str]:
    head, _, rest = place.partition(".")
    if rest and head == "train":
        return list(TrainSettings.model_fields)
    if rest and head == "data":
        return list(Columns.model_fields)
    if rest and head == "goal":
        return list(objectives.find(str(data.get("objective", "sft"))).Settings.model_fields)
    if rest and head == "settings":
        return list(methods.find(str(data["method"])).Settings.model_fields)
    return list(kind.model_fields)
