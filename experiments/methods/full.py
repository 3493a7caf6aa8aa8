"""Full fine-tuning: every weight of the model moves. The reference in quality, and in memory and forgetting."""

from typing import Any

from experiments.accounting.footprint import Footprint
from experiments.methods.base import Method, NoSettings


def attach(model: Any, settings: NoSettings, tokenizer: Any) -> Any:
    return model.requires_grad_(True)


METHOD = Method(
    key="full",
    title="Full",
    summary="Trains every weight. The most it can learn, the most memory, and the most it can forget.",
    paper="Howard & Ruder 2018, Universal Language Model Fine-tuning for Text Classification",
    paper_url="https://arxiv.org/abs/1801.06146",
    Settings=NoSettings,
    count=lambda arch, settings: arch.total,
    footprint=lambda arch, settings: Footprint(moved=arch.tensors),
    formula=lambda arch, settings: "every weight there is",
    attach=attach,
    learning_rate=lambda settings: 5e-5,
    usual_rates=(1e-6, 1e-4),
    starts_at_base=lambda settings: True,
)
