"""The recipe of the bundled model: every number that decides what comes out, in one frozen record that is stored with it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

SHARES = MappingProxyType(
    {
        "bible-bbe": 0.15,
        "bible-web": 0.13,
        "austen": 0.13,
        "chitchat": 0.15,
        "shakespeare": 0.14,
        "world-prose": 0.10,
        "world-questions": 0.20,
    }
)


@dataclass(frozen=True)
class Recipe:
    """`shares`: of all tokens read, which part comes from where. `rows`: rows of `length` + 1 tokens a step; before
    `long_from` (a share of the steps) a row is read as two halves. `decay`: the last share of the steps, in which the
    learning rate falls to zero in a straight line. `steps` fixes which rows are read, `stop` after how many the training
    ends: before the fall begins it may be changed, since until then the learning rate stands still."""

    shares: Mapping[str, float] = field(default_factory=lambda: SHARES)
    seed: int = 0
    vocabulary: int = 4096
    width: int = 256
    layers: int = 6
    heads: int = 4
    key_value_heads: int = 2
    inner: int = 768
    length: int = 256
    rows: int = 4
    steps: int = 24000
    stop: int = 24000
    long_from: float = 0.8
    warm_up: int = 100
    decay: float = 0.35
    learning_rate: float = 2.5e-3
    weight_decay: float = 0.05

    @property
    def tokens(self) -> int:
        """Tokens read in all steps."""
        return self.stop * self.rows * self.length

    def rate(self, step: int) -> float:
        """The learning rate of a step as a share of its height: warm-up, level, straight line to zero."""
        down = (self.stop - step) / max(self.stop * self.decay, 1)
        return max(min((step + 1) / max(self.warm_up, 1), down, 1.0), 0.0)

    def halves(self, step: int) -> bool:
        """Whether a step reads its rows as two halves."""
        return step < self.stop * self.long_from

    def asdict(self) -> dict[str, object]:
        return {name: dict(v) if isinstance(v, Mapping) else v for name, v in vars(self).items()}

    def fingerprint(self) -> str:
        return hashlib.sha256(json.dumps(self.asdict(), sort_keys=True).encode()).hexdigest()[:12]

