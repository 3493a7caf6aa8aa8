"""What can be asked of models: an answer beside another, or how surprised each is by a text. Frozen, as a run's spec is, with an id
that is a hash of it, so that the same question is answered once.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Literal, get_args

from pydantic import BaseModel, Field, ValidationInfo, field_validator

from experiments.methods.base import knob
from experiments.methods.lora import LoraSettings, saved_rank
from experiments.methods.lora_mix import HOW, MixSettings, Mixture, Way
from experiments.specs import Frozen, Problem, RunSpec, SpecError, build, digest

MOST_PROMPTS = 16  # answered at once; with eight runs of 400 tokens each about 2 GB of the 135M model's memory


class SampleSpec(BaseModel):
    """One question to a base model and some tuned runs of it, answered side by side with the same seed."""

    model_config = Frozen
    schema_version: Literal[1] = 1
    model: str = Field(title="Model", min_length=1, max_length=300)
    weights: str = Field("", max_length=300)
    runs: tuple[str, ...] = Field((), title="Tuned runs", max_length=8)
    at: tuple[int | None, ...] = knob((), "Steps of the runs", max_length=8, later=True)
    """For each of the runs the step at whose look it is asked; None is its end, and so is no `at` at all."""
    prompt: str = Field(title="Prompt", min_length=1, max_length=4000)
    more: tuple[str, ...] = knob((), "Further prompts", max_length=MOST_PROMPTS - 1, later=True)
    temperature: float = knob(
        0.0, "Temperature", ge=0, le=2,
        low="0 always takes the likeliest token.", high="Above 1 answers wander.",
    )  # fmt: skip
    top_p: float = knob(
        1.0, "Top-p", gt=0, le=1,
        low="Keeps only the likeliest few.", high="1 keeps every token.",
    )  # fmt: skip
    max_new_tokens: int = knob(
        60, "Length", ge=1, le=400, unit="tokens", low="Cuts answers short.", high="Takes longer."
    )
    seed: int = knob(0, "Seed", ge=0, le=2**31 - 1)
    repetition_penalty: float = knob(
        1.0, "Repetition penalty", ge=1, le=2, later=True,
        low="1 is none.", high="Above 1.3 words that must come again are avoided, too.",
    )  # fmt: skip
    stop_at_end: bool = knob(
        True, "Stop at the end token", later=True, high="Off, answers go on to the full length, whatever comes."
    )

    @field_validator("at")
    @classmethod
    def _one_for_each_run(cls, value: tuple[int | None, ...], info: ValidationInfo) -> tuple[int | None, ...]:
        if value and len(value) != len(info.data.get("runs", ())):
            raise ValueError("Name a step for each of the runs, or for none.")
        return value

    @field_validator("prompt")
    @classmethod
    def _says_something(cls, value: str) -> str:
        if not value.strip():
            raise ValueError("Type a prompt first.")
        return value

    @field_validator("more")
    @classmethod
    def _each_says_something(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for number, prompt in enumerate(value, start=2):
            if not prompt.strip():
                raise ValueError(f"Prompt {number} is empty.")
            if len(prompt) > 4000:
                raise ValueError(f"Prompt {number} is longer than 4,000 characters.")
        return value

    @property
    def columns(self) -> list[tuple[str, int | None]]:
        """The runs, each with the step of its look; None is its end."""
        return list(zip(self.runs, self.at or [None] * len(self.runs), strict=True))

    @property
    def prompts(self) -> tuple[str, ...]:
        return (self.prompt, *self.more)

    @property
    def sample_id(self) -> str:
        return "s" + digest(self)


class SurpriseSpec(BaseModel):
    """How a base model, and some tuned runs of it, read a text: how surprised each is by every token, what each expects next.

    With `chat` the text is put into the model's chat template first, up to where the answer begins."""

    model_config = Frozen
    schema_version: Literal[1] = 1
    kind: Literal["surprise"] = "surprise"
    model: str = Field(title="Model", min_length=1, max_length=300)
    weights: str = Field("", max_length=300)
    runs: tuple[str, ...] = Field((), title="Tuned runs", max_length=3)
    text: str = Field(title="Text", min_length=1, max_length=4000)
    chat: bool = Field(False, title="As a question")

    @property
    def columns(self) -> list[tuple[str, int | None]]:
        """The runs, each as it is at its end."""
        return [(run_id, None) for run_id in self.runs]

    @property
    def sample_id(self) -> str:
        return "p" + digest(self)


class RanksSpec(BaseModel):
    """What a finished LoRA run would lose at every smaller rank, from its singular directions (`engine.truncation`)."""

    model_config = Frozen
    schema_version: Literal[1] = 1
    kind: Literal["ranks"] = "ranks"
    model: str = Field(title="Model", min_length=1, max_length=300)
    weights: str = Field("", max_length=300)
    runs: tuple[str, ...] = Field(title="Tuned run", min_length=1, max_length=1)

    @property
    def columns(self) -> list[tuple[str, int | None]]:
        """The run, as it is at its end."""
        return [(run_id, None) for run_id in self.runs]

    @property
    def sample_id(self) -> str:
        return "r" + digest(self)


MIXES: tuple[Way, ...] = get_args(Way)
"""The ways of making one adapter of several, in display order."""


class MixSpec(Mixture):
    """Several LoRA runs of one base put together into one adapter, nothing trained (`engine.mixing`)."""

    schema_version: Literal[1] = 1
    kind: Literal["mix"] = "mix"
    model: str = Field(title="Model", min_length=1, max_length=300)
    weights: str = Field("", max_length=300)
    runs: tuple[str, ...] = Field(title="Tuned runs")
    how: Literal["all", Way] = knob("all", "How", **HOW)

    @property
    def ways(self) -> tuple[Way, ...]:
        return MIXES if self.how == "all" else (self.how,)

    def kept(self, way: Way) -> MixSettings:
        """The settings of a run that keeps the mix of this way."""
        return MixSettings(how=way, **{name: getattr(self, name) for name in Mixture.model_fields})

    @property
    def columns(self) -> list[tuple[str, int | None]]:
        """None to be loaded one beside the other: all of them go into one model."""
        return []

    @property
    def sample_id(self) -> str:
        return "m" + digest(self)


def check_mix(asked: MixSpec, runs: Sequence[RunSpec]) -> None:
    """Raise `SpecError` where these runs cannot be put together."""
    plain = [
        isinstance(run.settings, LoraSettings) and not run.settings.dora and run.settings.bias == "none" for run in runs
    ]
    if not all(plain):
        said = "Only plain LoRA runs can be put together: without DoRA, without biases."
        raise SpecError([Problem("runs", said)])
    if len({(run.model, run.weights) for run in runs}) > 1:
        raise SpecError([Problem("runs", "These runs are of different base models; choose runs of one.")])
    ranks = sorted({saved_rank(run.settings) for run in runs})
    if len(ranks) > 1 and asked.how not in ("all", "stack"):
        said = f"LoRAs of ranks {' and '.join(map(str, ranks))} can be stacked only; the other ways want one rank."
        raise SpecError([Problem("how", said)])


def kept_mix(asked: MixSpec, first: RunSpec, way: Way) -> RunSpec:
    """The run that keeps a mix as an adapter of its own: on the task of the first of its runs. Raises `SpecError`."""
    about = {name: getattr(first, name) for name in ("model", "weights", "task", "template", "data")}
    return build(RunSpec, {**about, "method": "lora-mix", "settings": asked.kept(way)})


class ScoreSpec(BaseModel):
    """What a reward model thinks of answers to a prompt."""

    model_config = Frozen
    schema_version: Literal[1] = 1
    kind: Literal["score"] = "score"
    model: str = Field(title="Model", min_length=1, max_length=300)
    weights: str = Field("", max_length=300)
    runs: tuple[str, ...] = Field(title="Reward model", min_length=1, max_length=1)
    prompt: str = Field(title="Prompt", min_length=1, max_length=4000)
    answers: tuple[str, ...] = Field(title="Answers", min_length=1, max_length=MOST_PROMPTS)

    @field_validator("answers")
    @classmethod
    def _each_says_something(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for answer in value:
            if not answer.strip():
                raise ValueError("Type an answer to be scored.")
            if len(answer) > 4000:
                raise ValueError("An answer has at most 4,000 characters.")
        return value

    @property
    def columns(self) -> list[tuple[str, int | None]]:
        """The run, as it is at its end."""
        return [(run_id, None) for run_id in self.runs]

    @property
    def sample_id(self) -> str:
        return "j" + digest(self)


class CalibrateSpec(BaseModel):
    """What a run would take here, from two of its steps (`engine.calibration`)."""

    model_config = Frozen
    schema_version: Literal[1] = 1
    kind: Literal["calibrate"] = "calibrate"
    run: RunSpec

    @property
    def model(self) -> str:
        return self.run.model

    @property
    def weights(self) -> str:
        return self.run.weights

    @property
    def runs(self) -> tuple[str, ...]:
        return ()

    @property
    def columns(self) -> list[tuple[str, int | None]]:
        """No tuned run is asked."""
        return []

    @property
    def sample_id(self) -> str:
        return "q" + digest(self)


Question = SampleSpec | SurpriseSpec | RanksSpec | MixSpec | ScoreSpec | CalibrateSpec
KINDS: dict[str, type[BaseModel]] = {
    "surprise": SurpriseSpec,
    "ranks": RanksSpec,
    "mix": MixSpec,
    "score": ScoreSpec,
    "calibrate": CalibrateSpec,
}


def parse(text: str) -> Question:
    """The spec of something asked of models, from its JSON."""
    kind = KINDS.get(str(json.loads(text).get("kind")), SampleSpec)
    return kind.model_validate_json(text)  # type: ignore[return-value]
