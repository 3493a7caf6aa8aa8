"""Supervised fine-tuning by TRL's trainer: the reference that the lab's own loop is held against."""

from __future__ import annotations

from experiments.objectives.base import Objective

OBJECTIVE = Objective(
    key="sft-trl",
    title="Imitate answers, TRL",
    summary="The same as imitating answers, by TRL's SFTTrainer: its curve lies on the lab's own.",
    needs="One good answer a prompt.",
    when="To see that both loops learn the same.",
    trainer="SFTTrainer",
    paper="von Werra et al. 2020, TRL",
    paper_url="https://github.com/huggingface/trl",
    feeds="answers",
    measures={"entropy": "How undecided the model is about the next token, in nats."},
)
