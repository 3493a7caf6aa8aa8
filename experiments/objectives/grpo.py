"""Group relative policy optimization: the model tries a group of answers to a prompt, a rule pays each, and what was paid more than
its group becomes likelier (Shao et al. 2024, DeepSeekMath, section 4.1).

The advantage of an answer is its reward less the group's mean, in standard deviations of the group; a weight on KL holds the
model near its start.
"""

from __future__ import annotations

from pydantic import ValidationInfo, field_validator

from experiments import rewards
from experiments.methods.base import Settings, knob
from experiments.objectives.base import Objective


class GrpoSettings(Settings):
    reward: str = knob(
        "short", "Reward",
        low=f"One of {', '.join(r.key for r in rewards.RULES)}; “none” where a reward model alone pays.",
    )  # fmt: skip
    words: int = knob(
        2, "Words", ge=1, le=200, low="The limit of the reward “short”.", high="Nearly everything is paid."
    )
    word: str = knob("", "Word", max_length=60, validate_default=True, low="What the reward “word” wants to hear.")
    judge: str = knob(
        "", "Reward model", pattern="^([0-9a-f]{12})?$", validate_default=True,
        low="The run of a reward model that pays, too; empty for none.",
    )  # fmt: skip
    judge_weight: float = knob(
        0.5, "Weight of the reward model", ge=0, le=1, low="0: the rule alone pays.", high="1: the model alone pays."
    )
    group: int = knob(
        8, "Group", ge=2, le=32, unit="answers",
        low="2 answers hardly say what is better than usual.",
        high="Many make every step slow: all of them are written out.",
    )  # fmt: skip
    beta: float = knob(
        0.0, "Weight of KL", ge=0, le=10,
        low="0 lets the model go wherever it is paid, also into nonsense.",
        high="Above 0.2 it hardly leaves its start.",
    )  # fmt: skip
    temperature: float = knob(
        1.0, "Temperature", gt=0, le=2,
        low="Low: a group of like answers, from which nothing is learnt.",
        high="High: answers wander.",
    )  # fmt: skip

    @field_validator("reward")
    @classmethod
    def _is_one(cls, value: str) -> str:
        return value if value == "none" else rewards.find(value).key

    @field_validator("word")
    @classmethod
    def _is_said(cls, value: str, info: ValidationInfo) -> str:
        if info.data.get("reward") == "word" and not value.strip():
            raise ValueError("Name the word that the reward wants to hear.")
        return value.strip()

    @field_validator("judge")
    @classmethod
    def _somebody_pays(cls, value: str, info: ValidationInfo) -> str:
        if info.data.get("reward") == "none" and not value:
            raise ValueError("Choose a rule, or the run of a reward model: somebody has to pay.")
        return value


OBJECTIVE = Objective(
    key="grpo",
    title="Earn a reward (GRPO)",
    summary="The model tries several answers to a prompt; what a rule pays more than the others becomes likelier.",
    needs="Prompts, and a rule or a reward model that can pay any answer.",
    when="When an answer can be checked but not shown: code that runs, sums that are right.",
    trainer="GRPOTrainer",
    paper="Shao et al. 2024, DeepSeekMath",
    paper_url="https://arxiv.org/abs/2402.03300",
    feeds="prompts",
    Settings=GrpoSettings,
    rate=0.5,
    measures={
        "reward": "The mean of what was paid.",
        "reward_std": "How much the pay differs within a step; at 0 nothing is learnt.",
        "kl": "How far the model has drifted from its start, in nats a token.",
        "length": "Tokens an answer.",
        "cut": "Share of answers that did not end by themselves.",
    },
)
