"""What a run leaves on disk, and how it comes back: a PEFT folder where PEFT made the adapter, the
examples of few-shot, else the trained tensors; where the lab itself built the adapter, also how to build it again, and
where the base was prepared for it (packed), how; of a mix, of which runs it was made.

Written under a temporary name and renamed. Safetensors only.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from peft import PeftModel
from safetensors.torch import load_file, save_file

from experiments import methods
from experiments.catalog.cache import write_text
from experiments.engine import context, scorer
from experiments.engine.context import WithContext
from experiments.engine.models import Base, fresh

TENSORS, BUILD, PREPARED, MIXED = "trained.safetensors", "method.json", "base.json", "mix.json"

HOW_TO_LOAD = """An adapter of the Fine-Tuning Lab, for the base model that it was trained on.

`method.json` names the method and its settings, `trained.safetensors` holds what was trained, by its name in the model:

```python
from pathlib import Path
from experiments.engine import adapters, models

base = models.load(Path("FOLDER OF THE BASE MODEL"))
tuned = adapters.load(base, Path("THIS FOLDER"))
```
"""


def save(model: Any, folder: Path) -> int:
    """Save what was trained into `folder`; its size in bytes. Raises `OSError` where the disk is full."""
    if isinstance(model, scorer.Scorer):
        learnt = model.head.weight.requires_grad
        model.head.requires_grad_(False)  # it has a file of its own
        save(model.inner, folder)
        model.head.requires_grad_(learnt)
        scorer.save_head(model, folder)
        return sum(f.stat().st_size for f in folder.iterdir())
    model.eval()  # an encoder of virtual tokens is run once more here: without its dropout
    partial = folder.with_name(folder.name + ".part")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    try:
        if isinstance(model, WithContext):
            model.save(partial)
        elif isinstance(model, PeftModel) and not hasattr(model, "lab_method"):
            model.save_pretrained(str(partial))
        else:
            trained = {n: p.detach().contiguous() for n, p in model.named_parameters() if p.requires_grad}
            save_file(trained, partial / TENSORS)
            if hasattr(model, "lab_method"):
                write_text(partial / BUILD, json.dumps(model.lab_method))
                write_text(partial / "README.md", HOW_TO_LOAD)
        for name, file in (("lab_prepared", PREPARED), ("lab_mixed", MIXED)):
            if hasattr(model, name):
                write_text(partial / file, json.dumps(getattr(model, name)))
        shutil.rmtree(folder, ignore_errors=True)
        partial.rename(folder)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise
    return sum(f.stat().st_size for f in folder.iterdir())


def _said(file: Path) -> tuple[methods.Method, Any]:
    """The method and settings that a file names. Raises `ValueError` where it says nothing that can be read."""
    try:
        said = json.loads(file.read_text("utf8"))
        method = methods.find(said["method"])
        return method, method.Settings.model_validate(said["settings"])
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"The adapter {file.parent.name} cannot be read.") from error


def load(base: Base, folder: Path) -> Any:
    """The tuned model: a fresh tree over the base with what `save` wrote. Raises `FileNotFoundError`."""
    if not folder.is_dir():
        raise FileNotFoundError(f"The adapter {folder.name} is not on this machine any more.")
    model = _load(base, folder)
    return scorer.load_head(model, folder) if (folder / scorer.FILE).exists() else model


def _load(base: Base, folder: Path) -> Any:
    """What `save` wrote, but for the head of a reward model."""
    model = fresh(base)
    if (folder / PREPARED).exists():
        method, settings = _said(folder / PREPARED)
        if method.prepare:
            method.prepare(model, settings)
    if (folder / BUILD).exists():
        method, settings = _said(folder / BUILD)
        model = method.attach(model, settings, base.tokenizer).requires_grad_(False)
    if (folder / TENSORS).exists():
        parameters = dict(model.named_parameters())
        for name, tensor in load_file(folder / TENSORS, device=str(base.device)).items():
            parameters[name].data = tensor
        return model.eval()
    if (folder / context.FILE).exists():
        return context.load(model, folder).eval()
    for name, parameter in model.named_parameters():
        if name.endswith(".bias"):  # an adapter may bring biases, which PEFT writes over those in place
            parameter.data = parameter.data.clone()
    return PeftModel.from_pretrained(model, folder).eval()
