"""Kahneman-Tversky optimization: single answers with a thumb up or down, no pairs needed.

Each answer's gain over the reference is held against the mean drift from it (KL), and losses weigh as a person feels them
(Ethayarajh et al. 2024, equation 8). A pair counts as one thumb up and one thumb down.
"""

from __future__ import annotations

from experiments.methods.base import Settings, knob
from experiments.objectives.base import Objective
from experiments.objectives.dpo import PAIRED


class KtoSettings(Settings):
    beta: float = knob(
        0.1, "Beta", gt=0, le=10,
        low="0.01 lets the model go far from where it started.",
        high="Above 1 it hardly moves.",
    )  # fmt: skip
    desirable_weight: float = knob(
        1.0, "Weight of thumbs up", gt=0, le=10,
        low="Below 1 good answers count less.",
        high="Raise it where thumbs up are rare.",
    )  # fmt: skip
    undesirable_weight: float = knob(
        1.0, "Weight of thumbs down", gt=0, le=10,
        low="Below 1 bad answers count less.",
        high="Raise it where thumbs down are rare.",
    )  # fmt: skip


OBJECTIVE = Objective(
    key="kto",
    title="Thumbs up and down (KTO)",
    summary="Shows one answer at a time with a thumb up or down; good ones are to gain, bad ones to lose.",
    needs="Single answers, each marked good or bad.",
    when="When people left thumbs on answers, and nobody compared two.",
    trainer="KTOTrainer",
    paper="Ethayarajh et al. 2024, KTO",
    paper_url="https://arxiv.org/abs/2402.01306",
    feeds="pairs",
    answers=2,
    aside=1,  # another row's answer, for the drift: TRL reads it under no_grad
    thumbs=True,
    Settings=KtoSettings,
    rate=0.5,
    least_batch=2,
    measures={
        **{name: PAIRED[name] for name in ("chosen_logp", "rejected_logp", "margin")},
        "kl": "How far the model has drifted from its start, in nats an answer.",
    },
)
