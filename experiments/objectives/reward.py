"""A reward model: it reads an answer and gives it one number, higher for what people prefer.

loss = −log σ(score(better) − score(worse)) (Bradley & Terry 1952, as in Ouyang et al. 2022, equation 1). The number is read off the
last token by a head of one output; the method moves the model below it.
"""

from __future__ import annotations

from experiments.methods.base import Settings, knob
from experiments.objectives.base import Objective


class RewardSettings(Settings):
    center: float = knob(
        0.01, "Centring", ge=0, le=1,
        low="0: only differences count, scores may drift anywhere.",
        high="Above 0.1 scores are squeezed towards zero.",
    )  # fmt: skip


OBJECTIVE = Objective(
    key="reward",
    title="Score answers (reward model)",
    summary="Learns to give any answer one number, higher for the better of two.",
    needs="Two answers a prompt and which is better.",
    when="When another model is to be paid by it, or answers are to be sorted.",
    trainer="RewardTrainer",
    paper="Ouyang et al. 2022, InstructGPT, section 3.5",
    paper_url="https://arxiv.org/abs/2203.02155",
    feeds="pairs",
    answers=2,
    Settings=RewardSettings,
    rate=0.5,
    scores=True,
    measures={
        "accuracy": "Share of the batch's pairs in which the better answer scored higher.",
        "margin": "How much higher the better answer scored.",
        "mean_reward": "The mean score.",
    },
)
