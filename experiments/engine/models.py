"""From a model's name to a module ready to be tuned.

A base model is loaded once and stays frozen. Each run gets a fresh module tree over the same weights (`fresh`), so that
six methods can race on one copy; what a method trains gets storage of its own (`own`). Does not attach methods.
"""

from __future__ import annotations

import copy
import gc
import warnings
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from torch import nn
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedModel, PreTrainedTokenizerBase
from transformers.utils import logging

from experiments.catalog import models, resources
from experiments.catalog.cache import make_once
from experiments.engine import head, joining, kept, memory
from experiments.engine.kept import Kept
from experiments.tokenization import packed

warnings.filterwarnings("ignore", "`is_gradient_checkpointing`", FutureWarning)  # PEFT asks by the old name
warnings.filterwarnings(
    "ignore", "Unsupported layer type", UserWarning
)  # PEFT has no list of norms; any of them is fine
logging.disable_progress_bar()  # the lab tells progress itself
Report = Callable[[str, int, "int | None"], None]
"""Called with (stage, done, total) in bytes."""


def no_report(stage: str, done: int, total: int | None) -> None:
    """Nobody watches."""


@dataclass(frozen=True)
class Base:
    """A loaded, frozen model. `resting_mb` is this process with the model in it and nothing else under way; `kept` what
    rows look like inside it, for runs that train its top only (`engine.prefix`)."""

    key: str
    weights: str
    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    resting_mb: float
    kept: Kept = field(default_factory=Kept, compare=False, repr=False)

    @property
    def device(self) -> torch.device:
        return self.model.device

    @property
    def total(self) -> int:
        return sum(p.numel() for p in self.model.parameters())


class Bases:
    """The base models this process keeps warm, the one used longest ago dropped first."""

    def __init__(self, keep: int = 1):
        self.keep = keep
        self._loaded: OrderedDict[str, Base] = OrderedDict()

    def get(self, key: str, weights: str, report: Report = no_report) -> Base:
        """The base with these weights, fetched, converted and loaded if need be. Raises `ResourceError` or `ValueError`."""
        if weights not in self._loaded:
            folder = prepare(models.find(key, local=True), weights, report)
            while len(self._loaded) >= self.keep:
                self._loaded.popitem(last=False)
                gc.collect()
            report(f"loading {models.find(key, local=True).title}", 0, None)
            self._loaded[weights] = replace(load(folder, key, weights), kept=kept.shared(weights))
        self._loaded.move_to_end(weights)
        return self._loaded[weights]


def prepare(entry: models.ModelEntry, weights: str, report: Report = no_report) -> Path:
    """A folder of safetensors, config and tokenizer for these weights; fetched and converted where it is not there yet."""
    if ready := models.folder(entry, weights):
        return ready
    fetched = resources.get(entry.resource, report, weights.removesuffix(models.UNPACKED))
    if weights != (found := models.weights_in(fetched)):
        raise ValueError(
            f"{entry.title} is read as {found} now; what was trained on {weights} cannot be loaded any more."
        )
    if any(fetched.path.glob("*.safetensors")):
        return fetched.path
    gguf = next(iter(fetched.path.glob("*.gguf")), None)
    if gguf is None:
        raise ValueError(f"{entry.title} holds no safetensors weights; other formats are not loaded.")
    report("unpacking the 4-bit weights to float32, once", 0, None)
    return make_once(models.converted(weights), lambda partial: _unpack(gguf, partial), progress=report)


def _unpack(gguf: Path, target: Path) -> None:
    """A GGUF file as float32 safetensors with its tokenizer, so that later loads take a second."""
    from transformers import GgufConfig

    model = AutoModelForCausalLM.from_pretrained(
        gguf.parent, gguf_file=gguf.name, dtype=torch.float32, quantization_config=GgufConfig(dequantize=True)
    )
    if hasattr(model.config, "quantization_config"):
        del model.config.quantization_config
    model.save_pretrained(target)
    tokenizer = AutoTokenizer.from_pretrained(gguf.parent, gguf_file=gguf.name)
    if (pre := packed.fields(gguf).get("pre")) in packed.SPLITS_DIGITS:
        tokenizer.backend_tokenizer.pre_tokenizer = packed.pre_tokenizer(pre)
    tokenizer.save_pretrained(target)


def load(folder: Path, key: str = "", weights: str = "") -> Base:
    """Load a folder in float32 on the best device here, frozen, in evaluation mode. No code of the folder is run.

    Raises `ValueError` where there is no tokenizer.
    """
    device = "cuda" if torch.cuda.is_available() else "cpu"
    gc.unfreeze()  # a base of before may be among it
    model: Any = AutoModelForCausalLM.from_pretrained(
        folder, dtype=torch.float32, use_safetensors=True, trust_remote_code=False, local_files_only=True
    )
    model = model.to(device).eval().requires_grad_(False)
    try:
        tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=False, local_files_only=True)
    except (OSError, ValueError) as error:
        raise ValueError(f"{folder.name} holds no tokenizer that can be read; put its tokenizer.json there.") from error
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token
    with torch.no_grad():  # the file is mapped into memory: one forward pass makes it really there
        model(input_ids=torch.zeros(1, 1, dtype=torch.long, device=model.device))
    asked(model)
    memory.trim()
    gc.freeze()  # what has been read by now stays, and looking it through took each run some seconds
    return Base(key, weights, model, tokenizer, memory.resident_mb())


def asked(model: Any) -> None:
    """Ask a model what nobody can know from its name, and write it on it: each copy of it has it, too."""
    model.lab_joins, model.lab_head_is_all = joining.works(model), head.is_all(model)


def fresh(base: Base) -> Any:
    """A new module tree over the base's weights: nothing is copied but the modules. All frozen, in evaluation mode."""
    shared: dict[int, Any] = {id(p): nn.Parameter(p.data, requires_grad=False) for p in base.model.parameters()}
    shared |= {id(b): b for b in base.model.buffers()}
    return copy.deepcopy(base.model, shared)


def named(method: str, settings: Any) -> dict[str, Any]:
    """A method and its settings as JSON has them: how a saved adapter says what has to be done again."""
    return {"method": method, "settings": settings.model_dump(mode="json")}


def own(model: nn.Module, base: Base) -> list[nn.Parameter]:
    """The trainable parameters, each with storage of its own: the base stays as it is whatever is trained."""
    theirs = {p.data_ptr() for p in base.model.parameters()}
    trainable = [p for p in model.parameters() if p.requires_grad]
    for parameter in trainable:
        if parameter.data_ptr() in theirs:
            parameter.data = parameter.data.clone()
    return trainable
