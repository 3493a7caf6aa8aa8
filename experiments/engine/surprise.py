"""How a model reads a text: the surprise of each token, and what it expects next.

Shapes: B = 1 row, T tokens, V vocabulary. Surprise is −log₂ p(token | tokens before it), in bits (Shannon 1948, section 6);
its mean over a text is the cross-entropy, and 2 to that power the perplexity.
"""

from __future__ import annotations

import math
from typing import Any

import torch

from experiments import events
from experiments.catalog.tasks.base import Row
from experiments.engine import data
from experiments.questions import SurpriseSpec

MOST_TOKENS = 512
EXPECTED = 20


def read(column: int, model: Any, tokenizer: Any, spec: SurpriseSpec) -> events.Read:
    """One model over the text. Soft prompts stand before the text and are not counted. Raises ValueError for no tokens."""
    ids = text_ids(tokenizer, spec)
    kept = ids[:MOST_TOKENS]
    if not kept:
        raise ValueError("This text has no tokens for this model.")
    ids_BT = torch.tensor([kept], device=model.device)
    with torch.no_grad():
        logits_TV = model(input_ids=ids_BT, attention_mask=torch.ones_like(ids_BT), use_cache=False).logits[
            0, -len(kept) :
        ]
    logs_TV = torch.log_softmax(logits_TV.float(), -1)
    nats = -logs_TV[:-1].gather(1, ids_BT[0, 1:, None])[:, 0]
    top = logs_TV[-1].topk(min(EXPECTED, logs_TV.shape[-1]))
    return events.Read(
        column=column,
        ids=tuple(kept),
        tokens=tuple(tokenizer.decode([token]) for token in kept),
        shape=tuple(ids_BT.shape),
        dtype=str(ids_BT.dtype).removeprefix("torch."),
        bits=(None, *(_finite(float(n) / math.log(2)) for n in nats)),
        expected=tuple(
            (int(i), tokenizer.decode([int(i)]), round(math.exp(float(log)), 6))
            for log, i in zip(top.values, top.indices, strict=True)
        ),
        cut=len(ids) - len(kept),
    )


def text_ids(tokenizer: Any, spec: SurpriseSpec) -> list[int]:
    """The text's ids: in the model's template as a question, or as they are."""
    if spec.chat:
        return list(data.prompt_ids(tokenizer, Row(spec.text, "")))
    return list(tokenizer(spec.text)["input_ids"])


def _finite(value: float) -> float | None:
    return round(value, 4) if math.isfinite(value) else None
