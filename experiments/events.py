"""What happens in a run, as a tagged union of small JSON-able records: no tensor, no path but the adapter's name.

The same events feed the live chart, the stored run, the tables, the command line and the tests. A missing value is None;
a loss that is not a finite number is None, too.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter


class Base(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Queued(Base):
    """The run was asked for and waits for its turn."""

    kind: Literal["queued"] = "queued"


class Progress(Base):
    """Work before the first step: `done` of `total` in `unit` (total None: unknown)."""

    kind: Literal["progress"] = "progress"
    stage: str
    done: int = 0
    total: int | None = None
    unit: Literal["bytes", "rows", ""] = ""


class Started(Base):
    """The method is attached. `resting_mb` is the process with the base model loaded and nothing else.

    `context_tokens`: how many tokens, soft ones or examples, the method puts before every prompt. `resumed_at`: the step
    that the run goes on from, 0 for one that starts fresh; the steps before it are told again. `without_end`: share of the
    first rows that are learnt without an end token, None where nothing is trained. `packed_mb`: what the frozen weights take
    where the method packs them, in 10⁶ bytes.
    """

    kind: Literal["started"] = "started"
    trainable: int
    total: int
    context_tokens: int = 0
    resumed_at: int = 0
    without_end: float | None = None
    packed_mb: float | None = None
    rows: int
    device: str
    threads: int
    resting_mb: float
    versions: dict[str, str]
    commit: str | None = None


class Stepped(Base):
    """One training step. `loss` and `gradient_norm` are those before the update; `tokens` (all that were read) and
    `train_s` (forward, backward, update; no evaluation) add up over the run. `measures`: what the objective tells beside the loss."""

    kind: Literal["stepped"] = "stepped"
    step: int
    loss: float | None = None
    gradient_norm: float | None = None
    learning_rate: float
    tokens: int
    train_s: float
    measures: dict[str, float] | None = None


class Grouped(Base):
    """What the model tried for one prompt at a step: each answer, its reward, and its advantage over the group's mean, in
    standard deviations of the group."""

    kind: Literal["grouped"] = "grouped"
    step: int
    prompt: str
    answers: tuple[str, ...]
    rewards: tuple[float | None, ...]
    advantages: tuple[float, ...]


class Generation(Base):
    """How answers were written, all of a batch at once: the sampling (temperature 0 takes the likeliest token), and what that took."""

    max_new_tokens: int
    temperature: float = 0.0
    top_p: float = 1.0
    seed: int = 0
    repetition_penalty: float = 1.0
    rows: int
    batch: int
    tokens: int
    elapsed_s: float

    @property
    def tokens_per_s(self) -> float | None:
        return self.tokens / self.elapsed_s if self.elapsed_s else None


class Evaluated(Base):
    """A look at the model: `step` 0 is the untrained method; `subject` "base" is the model without it.

    Losses are in nats a token. `general_loss` is on text that has nothing to do with the task. `largest_logit_change` is
    against the base, over the answer of one held-out row: 0 says that nothing changed at all. `generation`: how the answers
    behind `metrics` were written.
    """

    kind: Literal["evaluated"] = "evaluated"
    subject: Literal["base", "tuned"]
    step: int
    held_out_loss: float | None = None
    general_loss: float | None = None
    metrics: dict[str, float] | None = None
    baselines: dict[str, dict[str, float]] | None = None
    largest_logit_change: float | None = None
    generation: Generation | None = None
    elapsed_s: float = 0.0


class Judged(Base):
    """A model row by row, so that two models can be held against each other on the same items.

    `losses` are sums in nats over the `tokens` learnt of each held-out row from the row `first` on; `general_losses` and
    `general_tokens` the same of the passages of general text. `answers` are those to the scored rows, the first held-out ones,
    and `scores` the task's metrics of each alone. A sum that is no finite number is None.
    """

    kind: Literal["judged"] = "judged"
    subject: Literal["base", "tuned"]
    step: int
    first: int
    losses: tuple[float | None, ...]
    tokens: tuple[int, ...]
    general_losses: tuple[float | None, ...]
    general_tokens: tuple[int, ...]
    answers: tuple[str, ...] = ()
    scores: tuple[dict[str, float], ...] = ()
    elapsed_s: float = 0.0


class Answer(Base):
    prompt: str
    answer: str
    reference: str | None = None


class Sampled(Base):
    """Answers to the task's probe prompts after so many steps."""

    kind: Literal["sampled"] = "sampled"
    subject: Literal["base", "tuned"]
    step: int
    answers: tuple[Answer, ...]


class Wrote(Base):
    """A piece of one column of a side-by-side answer; `column` 0 is the base, `row` counts the prompts."""

    kind: Literal["wrote"] = "wrote"
    column: int
    row: int = 0
    text: str
    tokens: int
    elapsed_s: float
    ended: bool = False


class Read(Base):
    """A text as one model read it; `column` 0 is the base. `bits` is −log₂ of the probability the model gave each token
    before it saw it, None for the first; `expected` are the likeliest next tokens, their ids, texts and probabilities.
    `cut`: tokens of the text that were too many to read."""

    kind: Literal["read"] = "read"
    column: int
    ids: tuple[int, ...]
    tokens: tuple[str, ...]
    shape: tuple[int, ...]
    dtype: str
    bits: tuple[float | None, ...]
    expected: tuple[tuple[int, str, float], ...]
    cut: int = 0


class Scored(Base):
    """What a reward model gives an answer; `column` counts the answers asked about."""

    kind: Literal["scored"] = "scored"
    column: int
    score: float


class Ranked(Base):
    """A LoRA run cut to a smaller rank by its singular directions, nothing trained: the held-out loss in nats a token, the share
    of the update's squared length that is left, and the parameters of such an adapter. Rank 0 is the base."""

    kind: Literal["ranked"] = "ranked"
    rank: int
    held_out_loss: float | None = None
    kept: float
    parameters: int
    elapsed_s: float = 0.0


class Mixed(Base):
    """One model of a mix on one task: `name` is "base", a run's id (that run alone), or how the runs were put together. The loss
    is on the task's held-out rows, in nats a token."""

    kind: Literal["mixed"] = "mixed"
    name: str
    task: str
    held_out_loss: float | None = None
    answers: tuple[Answer, ...] = ()
    elapsed_s: float = 0.0


class Calibrated(Base):
    """What two steps of a run said before it starts: see `calibrated.Calibration`."""

    kind: Literal["calibrated"] = "calibrated"
    a_step_s: float
    around_s: float
    look_s: float
    peak_mb: float
    context_tokens: int = 0


class Finished(Base):
    """All done. `peak_mb` is what the run needed at its highest: resting process, own tensors, one step on top.

    `stopped_at`: the step at which patience ended, before the last; the run then went back to its best look.
    """

    kind: Literal["finished"] = "finished"
    elapsed_s: float
    train_s: float = 0.0
    peak_mb: float | None = None
    adapter_path: str | None = None
    adapter_bytes: int = 0
    stopped_at: int | None = None


class Failed(Base):
    """It could not go on: one sentence why, one sentence what to try."""

    kind: Literal["failed"] = "failed"
    cause: str
    advice: str = ""


class Cancelled(Base):
    """Stopped by those who asked for it, after so many steps."""

    kind: Literal["cancelled"] = "cancelled"
    step: int


class Interrupted(Base):
    """The lab itself went away while the run was under way."""

    kind: Literal["interrupted"] = "interrupted"
    cause: str = "The lab was shut down or killed while this run was under way."


Event = Annotated[
    Queued
    | Progress
    | Started
    | Stepped
    | Grouped
    | Evaluated
    | Judged
    | Sampled
    | Wrote
    | Read
    | Ranked
    | Mixed
    | Scored
    | Calibrated
    | Finished
    | Failed
    | Cancelled
    | Interrupted,
    Field(discriminator="kind"),
]
END = (Finished, Failed, Cancelled, Interrupted)
ADAPTER: TypeAdapter[Event] = TypeAdapter(Event)


def parse(body: str | bytes) -> Event:
    """An event from its JSON. Raises pydantic's `ValidationError` for anything else."""
    return ADAPTER.validate_json(body)
