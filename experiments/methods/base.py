"""What a fine-tuning method is to the lab: one frozen value made of settings, a count and an attach.

A method's file imports PEFT and torch inside `attach` only, so that a form can be drawn without either.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict, Field

from experiments.accounting.footprint import Footprint

if TYPE_CHECKING:
    from torch.nn import Module

    from experiments.accounting import Arch


class Settings(BaseModel):
    """Base of every method's settings. Limits, units and help live on the fields; forms and errors are made from them."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class NoSettings(Settings):
    """A method without a knob."""


def knob(
    default: Any, title: str, *, low: str = "", high: str = "", unit: str = "", later: bool = False, **limits: Any
) -> Any:
    """A settings field: its name for people, what too low and too high do, its unit, and pydantic's limits.

    `later`: it came after runs were stored, so a run's id leaves it out while it stands at its default, which may
    therefore never change.
    """
    extra: dict[str, Any] = {"low": low, "high": high, "unit": unit, **({"later": True} if later else {})}
    return Field(default, title=title, json_schema_extra=extra, **limits)


@dataclass(frozen=True)
class Method:
    """One way of fine-tuning.

    `count(arch, settings)` is the exact number of trainable parameters.
    `attach(model, settings, tokenizer)` makes exactly those trainable and returns the model to call; the model comes frozen.
    `check(arch, settings)` names settings this architecture cannot take, as (field, sentence) pairs; the field is empty
    where it cannot take the method at all.
    `learning_rate(settings)` is the default, `usual_rates` the range that people use.
    """

    key: str
    title: str
    summary: str
    paper: str
    paper_url: str
    Settings: type[Settings]
    count: Callable[[Arch, Any], int]
    attach: Callable[[Module, Any, Any], Module]
    learning_rate: Callable[[Any], float]
    usual_rates: tuple[float, float]
    starts_at_base: Callable[[Any], bool]
    """Whether the untrained method answers exactly as the base does."""
    formula: Callable[[Arch, Any], str] = lambda arch, settings: ""
    """What is trained, in words and with the numbers of the count put in."""
    check: Callable[[Arch, Any], Iterable[tuple[str, str]]] = lambda arch, settings: ()
    rate_factor: Callable[[Any, str, int], float] = lambda settings, name, dimensions: 1.0
    """How much faster than the learning rate this parameter learns, by its name and number of dimensions."""
    examples: Callable[[Any], int] = lambda settings: 0
    """How many rows of the task stand before every prompt."""
    sources: Callable[[Any], tuple[str, ...]] = lambda settings: ()
    """The finished runs that it builds on, by their ids: who asks has to be allowed to see them."""
    least_steps: int = 0
    """Below so many steps it hardly learns anything."""
    trains: bool = True
    prepare: Callable[[Any, Any], None] | None = None
    """`prepare(model, settings)`: what is done to the frozen model before the method is attached, such as packing its weights.
    Done again where the adapter is loaded."""
    optimizer: Callable[[Any, Any], Any] | None = None
    """`optimizer(settings, groups)`: the optimizer over these groups of parameters; None for AdamW."""
    penalty: Callable[[Any], Any] | None = None
    """`penalty(model)`: a scalar whose gradient is added to that of the loss, which is told without it."""
    after_update: Callable[[Any, int, int], None] | None = None
    """`after_update(model, step, steps)`: called after each update, with the gradients still there."""
    between_steps: Callable[[Any], Mapping[str, Any]] | None = None
    """The tensors, beside parameters, that one step leaves to the next: what a checkpoint has to keep of the method."""
    footprint: Callable[[Arch, Any], Footprint] = lambda arch, settings: Footprint()
    """What of the model a training step touches: the calculator's memory and time rest on it."""
    stored: Callable[[Arch, Any], int] | None = None
    """Numbers in the saved adapter, where they are not those that are trained."""

    def __post_init__(self) -> None:
        # both go through every matrix, and one change in the calculator asks for them thousands of times
        for name in ("count", "footprint"):
            object.__setattr__(self, name, lru_cache(maxsize=64)(getattr(self, name)))
