"""The recipe of the bundled model: every number that decides what comes out, in one frozen record that is stored with it."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import BaseModel, ConfigDict, Field, model_validator

SHARES: Mapping[str, float] = {
    "bible-bbe": 0.15,
    "bible-web": 0.13,
    "austen": 0.13,
    "chitchat": 0.15,
    "shakespeare": 0.14,
    "world-prose": 0.10,
    "world-questions": 0.20,
}
LATE_SHARES: Mapping[str, float] = {
    "bible-bbe": 0.06,
    "bible-web": 0.06,
    "austen": 0.22,
    "chitchat": 0.29,
    "shakespeare": 0.27,
    "world-prose": 0.02,
    "world-questions": 0.08,
}
ONLY_THE_WORLD: Mapping[str, float] = {"world-prose": 0.35, "world-questions": 0.65}


class Recipe(BaseModel):
    """What is read, by what model, how it is trained.

    `shares`: of all tokens read, which part comes from where; `late_shares`: the same from `late_from` on (a share of the
    steps), when what is easy is known. A step reads `rows` rows of `length` + 1 tokens; before `late_from` as twice as
    many of half the length, which costs less. The learning rate warms
    up, stands still and falls to zero in the last `decay` of the steps in a straight line (Hu et al. 2024, MiniCPM, 4).
    `steps` fixes which rows there are, `stop` after how many the training ends: until the fall begins it may be changed.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    shares: Mapping[str, float] = Field(default_factory=lambda: dict(SHARES))
    late_shares: Mapping[str, float] = Field(default_factory=lambda: dict(LATE_SHARES))
    seed: int = Field(0, ge=0, lt=2**31)
    vocabulary: int = Field(4096, ge=300, le=4096)
    width: int = Field(256, ge=16, le=1024)
    layers: int = Field(6, ge=1, le=32)
    heads: int = Field(4, ge=1, le=32)
    key_value_heads: int = Field(2, ge=1, le=32)
    inner: int = Field(768, ge=16, le=4096)
    length: int = Field(256, ge=16, le=2048, multiple_of=2)
    rows: int = Field(4, ge=1, le=256)
    steps: int = Field(26_000, ge=1, le=1_000_000)
    stop: int = Field(0, ge=0, le=1_000_000, validate_default=True)
    late_from: float = Field(0.8, ge=0, le=1)
    warm_up: int = Field(100, ge=0)
    decay: float = Field(0.35, gt=0, le=1)
    learning_rate: float = Field(2.5e-3, gt=0, le=1)
    weight_decay: float = Field(0.05, ge=0, le=1)

    @model_validator(mode="before")
    @classmethod
    def _ends_with_its_rows(cls, data: object) -> object:
        """Where nothing else is said, all rows are read."""
        if isinstance(data, Mapping) and not data.get("stop"):
            return {**data, "stop": data.get("steps", 26_000)}
        return data

    @model_validator(mode="after")
    def _fits(self) -> Recipe:
        if self.width % self.heads or self.heads % self.key_value_heads:
            raise ValueError("The width must be a multiple of the heads, and the heads of the key/value heads.")
        if self.stop > self.steps:
            raise ValueError(f"There are rows for {self.steps} steps; the training cannot stop after {self.stop}.")
        return self

    @property
    def tokens(self) -> int:
        """Tokens read in all steps."""
        return self.stop * self.rows * self.length

    def rate(self, step: int) -> float:
        """The learning rate of a step as a share of its height."""
        down = (self.stop - step) / max(self.stop * self.decay, 1)
        return max(min((step + 1) / max(self.warm_up, 1), down, 1.0), 0.0)

    def falls_from(self) -> int:
        """The step at which the learning rate begins to fall."""
        return round(self.stop * (1 - self.decay))

    @property
    def late(self) -> int:
        """The step from which on the late shares and whole rows are read."""
        return round(self.stop * self.late_from)

    def same_but_for_its_end(self, other: Recipe) -> bool:
        """Whether the two train alike until the learning rate of the shorter one falls."""
        return self.model_copy(update={"stop": 0}) == other.model_copy(update={"stop": 0})
