"""What the tests of methods do with one: begin it, take steps, ask what it says. Shapes: B rows, T tokens, V vocabulary."""

from __future__ import annotations

import torch

from experiments import methods
from experiments.engine import data
from experiments.engine import trial as trials
from experiments.engine.randomness import RandomState
from tests.engine.conftest import FEW, run_spec


def begin(base, method, settings, seed=0, rate=None) -> trials.Trial:
    """A trial at ten times the default rate: random weights want more than trained ones."""
    found = methods.find(method)
    rate = 10 * found.learning_rate(found.Settings(**settings)) if rate is None else rate
    with RandomState(seed):
        return trials.begin(run_spec(method, rate=rate, seed=seed, **settings), base)


def rows(base, first: int = 0, count: int = 2) -> list[data.Example]:
    return [data.encode(base.tokenizer, row, FEW.max_length) for row in FEW.split(None).train[first : first + count]]


def advance(trial, base, steps: int, seed=0) -> list[float]:
    """Losses of steps on the same rows."""
    found, state = [], RandomState(seed)
    for _ in range(steps):
        with state:
            found.append(trial.backward(rows(base))[0])
            trial.update()
    return found


@torch.no_grad()
def logits(model, base) -> torch.Tensor:
    """Of two padded rows, shape (B, T, V), the model at rest; soft tokens before the text left out."""
    model.eval()
    batch = data.collate(rows(base, 4, 2), base.tokenizer.pad_token_id, base.device)
    out_BTV = model(input_ids=batch.ids_BT, attention_mask=batch.mask_BT).logits[:, -batch.ids_BT.shape[1] :]
    return out_BTV * batch.mask_BT[..., None]
