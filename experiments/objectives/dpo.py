"""Direct preference optimization: of two answers the better one is to gain on the worse one, measured against the start.

loss = −log σ(β · [log π(better)/π₀(better) − log π(worse)/π₀(worse)]) (Rafailov et al. 2023, equation 7). The reference π₀ is the
model that the run starts from, over the same weights in memory.
"""

from __future__ import annotations

from typing import Literal

from experiments.methods.base import Settings, knob
from experiments.objectives.base import Objective

PAIRED = {
    "chosen_logp": "Log-probability of the better answer, in nats. It often falls, too: only the distance is trained.",
    "rejected_logp": "Log-probability of the worse answer, in nats.",
    "margin": "How much more the better answer gained than the worse one, times β.",
    "accuracy": "Share of the batch's pairs in which the better answer gained more.",
}


class DpoSettings(Settings):
    beta: float = knob(
        0.1, "Beta", gt=0, le=10,
        low="0.01 lets the model go far from where it started.",
        high="Above 1 it hardly moves.",
    )  # fmt: skip
    loss: Literal["sigmoid", "hinge", "ipo", "apo_zero", "sigmoid_norm"] = knob(
        "sigmoid", "Loss",
        low="sigmoid is DPO's own; ipo stops at a margin, so clear pairs are not pushed without end.",
        high="apo_zero pushes the better answer up by itself; sigmoid_norm counts per token, so length does not pay.",
    )  # fmt: skip


OBJECTIVE = Objective(
    key="dpo",
    title="Prefer answers (DPO)",
    summary="Shows two answers to each prompt; the better one is to gain on the worse one.",
    needs="Two answers a prompt and which is better.",
    when="After imitation, when it is easier to say which of two answers is better than to write the best.",
    trainer="DPOTrainer",
    paper="Rafailov et al. 2023, Direct Preference Optimization",
    paper_url="https://arxiv.org/abs/2305.18290",
    feeds="pairs",
    answers=2,
    Settings=DpoSettings,
    rate=0.5,
    measures=PAIRED,
)
