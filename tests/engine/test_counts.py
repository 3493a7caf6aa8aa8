"""The calculator against transformers and PEFT: every family on the meta device, no weight of it made.

PEFT is told from the settings here, by hand, and not through a method's own `attach`: two who count alike by mistake
would have to make it twice.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pytest
import torch
from peft import (
    AdaLoraConfig,
    AdaptionPromptConfig,
    IA3Config,
    LoHaConfig,
    LoKrConfig,
    LoraConfig,
    OFTConfig,
    PrefixTuningConfig,
    PromptEncoderConfig,
    PromptTuningConfig,
    ShiraConfig,
    VeraConfig,
    get_peft_model,
)
from transformers import CONFIG_MAPPING, AutoModel, AutoModelForCausalLM

from experiments import methods
from experiments.accounting import Arch, choice, config_arch, presets, trainable
from experiments.methods import parallel_adapter
from experiments.specs import SpecError
from tests.engine.conftest import run_spec

KEYS = {"gpt2": {"hidden_size": "n_embd", "num_hidden_layers": "n_layer", "num_attention_heads": "n_head",
                 "intermediate_size": "n_inner", "max_position_embeddings": "n_positions"}}  # fmt: skip
ONE_A_FAMILY = {
    "llama": "smollm2-135m", "mistral": "mistral-7b", "qwen2": "qwen2.5-0.5b", "gemma": "gemma-2b", "gpt2": "gpt2-medium",
    "gpt_neox": "pythia-410m", "phi": "phi-2", "bert": "bert-base",
}  # fmt: skip
VIEW = {"llama": "q_proj,v_proj", "mistral": "q_proj,k_proj,v_proj,o_proj", "qwen2": "up_proj,down_proj", "gemma": "k_proj",
        "gpt2": "c_attn", "gpt_neox": "query_key_value", "phi": "dense,fc1", "bert": "query,value"}  # fmt: skip


def meta(preset: presets.Preset, layers: int | None = None) -> Any:
    """The model transformers makes of a preset's config, on the meta device."""
    config = hub_config({**preset.config, **({"num_hidden_layers": layers} if layers else {})})
    with torch.device("meta"):
        return (AutoModel if config.model_type == "bert" else AutoModelForCausalLM).from_config(config)


def hub_config(config: Mapping[str, Any]) -> Any:
    """A preset's config as transformers' own."""
    kind = config["model_type"]
    names = {k: v for k, v in config.items() if k != "model_type"}
    return CONFIG_MAPPING[kind](**{KEYS.get(kind, {}).get(k, k): v for k, v in names.items()})


def small(family: str) -> tuple[Any, Arch]:
    """Three layers of a real shape."""
    preset = presets.find(ONE_A_FAMILY[family])
    return meta(preset, 3), config_arch({**preset.config, "num_hidden_layers": 3})


@pytest.mark.parametrize("preset", presets.PRESETS, ids=lambda p: p.key)
def test_every_tensor_is_the_one_transformers_makes(preset):
    model, arch = meta(preset), presets.arch(preset.key)
    assert {t.name: t.shape for t in arch.tensors} == {n: tuple(p.shape) for n, p in model.named_parameters()}
    assert arch.total == model.num_parameters() == preset.published


def lora(model: Any, s: Any, arch: Arch) -> LoraConfig:
    layers = None if s.layers == "all" else [2] if s.layers == "last 1" else [0, 2]
    return LoraConfig(
        r=s.rank, lora_alpha=s.alpha, layers_to_transform=layers, use_dora=s.dora, bias=s.bias,
        target_modules=targets(model, s),
    )  # fmt: skip


def targets(model: Any, s: Any) -> list[str]:
    """`all-linear` named by hand: PEFT's own word also takes a head that is not tied."""
    every = {
        n.split(".")[-1] for n, m in model.named_modules() if ".0." in n and type(m).__name__ in ("Linear", "Conv1D")
    }
    return sorted(every) if "all-linear" in s.targets else list(s.targets)


def shira(model: Any, s: Any, arch: Arch) -> ShiraConfig:
    """Without its places, which cannot be drawn on the meta device."""
    config = ShiraConfig(r=s.rank, target_modules=targets(model, s))
    config.mask_fn = None
    return config


def prefix(model: Any, s: Any, arch: Arch) -> PrefixTuningConfig:
    return PrefixTuningConfig(
        task_type=task(arch), num_virtual_tokens=s.virtual_tokens, prefix_projection=s.projection,
        encoder_hidden_size=arch.kv_width,
    )  # fmt: skip


def task(arch: Arch) -> str:
    return "FEATURE_EXTRACTION" if arch.family == "bert" else "CAUSAL_LM"


SCALED = {"gpt2": r".*(attn\.c_attn|mlp\.c_proj)", "gpt_neox": r".*(query_key_value|dense_4h_to_h)",
          "phi": r".*(k_proj|v_proj|fc2)", "bert": r".*(\.key|\.value|layer\.\d+\.output\.dense)"}  # fmt: skip


def ia3(model: Any, s: Any, arch: Arch) -> IA3Config:
    """Keys, values and the feed-forward's last matrix, each family's by its own names."""
    ways_out = r".*(down_proj|fc2|dense_4h_to_h|mlp\.c_proj|layer\.\d+\.output\.dense)"
    return IA3Config(
        target_modules=SCALED.get(arch.family, r".*(k_proj|v_proj|down_proj)"), feedforward_modules=ways_out
    )


BY_PEFT: dict[str, Callable[[Any, Any, Arch], Any]] = {
    "lora": lora,
    "qlora": lambda model, s, arch: LoraConfig(r=s.rank, target_modules=targets(model, s)),
    "prompt": lambda model, s, arch: PromptTuningConfig(task_type=task(arch), num_virtual_tokens=s.virtual_tokens),
    "prefix": prefix,
    "p-tuning": lambda model, s, arch: PromptEncoderConfig(
        task_type=task(arch), num_virtual_tokens=s.virtual_tokens, encoder_reparameterization_type=s.encoder,
        encoder_hidden_size=s.hidden, encoder_num_layers=s.encoder_layers,
    ),
    "ia3": ia3,
    "adalora": lambda model, s, arch: AdaLoraConfig(
        init_r=s.rank, target_r=s.final_rank, total_step=9, target_modules=targets(model, s)
    ),
    "loha": lambda model, s, arch: LoHaConfig(r=s.rank, target_modules=targets(model, s)),
    "lokr": lambda model, s, arch: LoKrConfig(r=s.rank, decompose_factor=s.factor, target_modules=targets(model, s)),
    "vera": lambda model, s, arch: VeraConfig(r=s.rank, target_modules=targets(model, s)),
    "oft": lambda model, s, arch: OFTConfig(
        oft_block_size=s.block, block_share=s.share, target_modules=targets(model, s)
    ),
    "shira": shira,
    "llama-adapter": lambda model, s, arch: AdaptionPromptConfig(
        task_type=task(arch), adapter_len=s.prompt_vectors, adapter_layers=s.last_layers or 3
    ),
    "p-tuning-v2": lambda model, s, arch: PrefixTuningConfig(task_type=task(arch), num_virtual_tokens=s.virtual_tokens),
}  # fmt: skip
IN_PLACE: dict[str, Callable[[str, Any], bool]] = {
    "full": lambda name, s: True,
    "partial": lambda name, s: any(f".{i}." in name for i in range(3 - s.last_layers, 3)),
    "bitfit": lambda name, s: name.endswith(".bias"),
    "layernorm": lambda name, s: "norm" in name.lower() or ".ln_" in name,
    "few-shot": lambda name, s: False,
    "zero-shot": lambda name, s: False,
}
PLAIN_ONLY = ("loha", "lokr", "oft", "shira", "qlora")
OWN = ("houlsby", "pfeiffer", "parallel-adapter", "compacter", "mam", "adapter-fusion")
"""Methods whose modules are the lab's own: counted as torch has them, attached on the meta device; AdapterFusion, which needs
adapters to fuse, in test_methods.py."""
CASES = [
    ("lora", {}), ("lora", {"rank": 1, "layers": "last 1"}), ("lora", {"rank": 16, "layers": "0,2"}), ("lora", {"targets": "VIEW"}),
    ("lora", {"dora": True}), ("lora", {"bias": "all", "layers": "last 1"}), ("lora", {"bias": "lora_only"}),
    ("prompt", {}), ("prompt", {"virtual_tokens": 100}), ("prefix", {}), ("prefix", {"projection": True}),
    ("prefix", {"virtual_tokens": 7, "projection": True}), ("full", {}), ("partial", {"last_layers": 2}), ("few-shot", {}),
    ("p-tuning", {}), ("p-tuning", {"encoder": "LSTM", "hidden": 40}), ("p-tuning", {"encoder": "LSTM", "encoder_layers": 1}),
    ("ia3", {}), ("layernorm", {}), ("bitfit", {}), ("zero-shot", {}),
    ("adalora", {}), ("loha", {}), ("loha", {"targets": "VIEW"}), ("lokr", {}), ("lokr", {"rank": 60, "factor": 6}), ("vera", {}),
    ("oft", {}), ("oft", {"share": True, "targets": "VIEW"}), ("shira", {}), ("llama-adapter", {}),
    ("llama-adapter", {"last_layers": 2}), ("p-tuning-v2", {}),
    ("houlsby", {}), ("pfeiffer", {"reduction": 8}), ("parallel-adapter", {}), ("compacter", {}), ("compacter", {"products": 2, "rank": 3}),
    ("mam", {}), ("qlora", {}), ("qlora", {"rank": 4, "targets": "VIEW"}),
]  # fmt: skip


def own_adapters(model: Any, method: str, s: Any, arch: Arch) -> Any:
    """The model with the lab's own modules; the prefix of MAM by PEFT, as it is told here."""
    if method != "mam":
        return methods.find(method).attach(model, s, None)
    config = PrefixTuningConfig(task_type=task(arch), num_virtual_tokens=s.virtual_tokens)
    mixed = get_peft_model(model, config)
    parallel_adapter.add(mixed.get_base_model(), s)
    return mixed


def cannot(family: str, method: str, settings: Mapping[str, Any], model: Any) -> str:
    """What a refusal says where this family cannot take the method; empty where it can."""
    if method == "bitfit" or "bias" in settings:
        return "" if any(n.endswith(".bias") for n, _ in model.named_parameters()) else "no biases"
    if method == "llama-adapter":
        return "" if family in ("llama", "mistral") else "made for llama and mistral"
    return "plain linear layers" if family == "gpt2" and method in PLAIN_ONLY else ""


@pytest.mark.parametrize("family", ONE_A_FAMILY)
@pytest.mark.parametrize("method, settings", CASES, ids=[f"{m}-{s}" for m, s in CASES])
def test_it_counts_what_peft_reports(family, method, settings):
    model, arch = small(family)
    settings = {k: VIEW[family] if v == "VIEW" else v for k, v in settings.items()}
    if why := cannot(family, method, settings, model):
        with pytest.raises(SpecError, match=why):
            choice.chosen(arch, method, settings)
        return
    spec = choice.chosen(arch, method, settings)
    counted = trainable.count(arch, methods.find(method), spec.settings)
    if method in BY_PEFT:
        model = get_peft_model(model, BY_PEFT[method](model, spec.settings, arch))
        for n, p in model.named_parameters():
            if (
                ".ranknum." in n
            ):  # AdaLoRA's rank as a parameter: learnable here alone, since a meta model is not on the CPU
                p.requires_grad_(False)
        ranks = sum(".ranknum." in n for n, _ in model.named_parameters())
        trainable_there, all_there = model.get_nb_trainable_parameters()
        assert (counted.trainable, counted.with_method) == (trainable_there, all_there - ranks)
    elif method in OWN:
        with torch.device("meta"):
            model = own_adapters(model.requires_grad_(False), method, spec.settings, arch)
        assert counted.trainable == sum(p.numel() for p in model.parameters() if p.requires_grad)
        assert counted.with_method == sum(p.numel() for p in model.parameters())
    else:
        moved = [p.numel() for n, p in model.named_parameters() if IN_PLACE[method](n, spec.settings)]
        assert counted.trainable == sum(moved) and counted.with_method == model.num_parameters()
    assert counted.percent == pytest.approx(100 * counted.trainable / arch.total)


def test_the_rank_that_adalora_divides_by_never_trains():
    """Also where the model is not on the CPU, as here: PEFT makes it anew there, learnable."""
    model, _ = small("llama")
    tuned = methods.find("adalora").attach(model.requires_grad_(False), methods.find("adalora").Settings(), None)
    ranks = [p for n, p in tuned.named_parameters() if ".ranknum." in n]
    assert len(ranks) == 3 * 7 and not any(p.requires_grad for p in ranks)


def test_every_method_is_compared():
    assert {m.key for m in methods.METHODS} == {*BY_PEFT, *IN_PLACE, *OWN}


def test_wrapped_the_real_model_has_as_many(smollm2):
    """The real weights, wrapped as a run wraps them."""
    from experiments.engine import models, training

    base = models.load(smollm2, "smollm2", "local:smollm2")
    arch = presets.arch("smollm2-135m")
    for method in methods.METHODS:
        if any(method.check(arch, method.Settings())):
            continue
        trial = training.begin(run_spec(method.key), base)
        counted = trainable.count(arch, method, method.Settings())
        assert counted.trainable == sum(p.numel() for p in trial.model.parameters() if p.requires_grad)
        del trial


SAVED = [
    ("lora", {}),
    ("lora", {"dora": True}),
    ("lora", {"init": "pissa"}),
    ("p-tuning", {}),
    ("ia3", {}),
    ("prompt", {}),
    ("prefix", {"projection": True}),
    ("partial", {"last_layers": 1}),
    ("adalora", {}),
    ("lokr", {}),
    ("vera", {}),
    ("shira", {}),
    ("llama-adapter", {}),
    ("p-tuning-v2", {}),
]


@pytest.mark.parametrize("method, settings", SAVED)
def test_the_adapter_file_holds_as_many_bytes(method, settings, base, tiny, tmp_path):
    import struct

    from experiments.accounting import folder_arch
    from experiments.engine import adapters, training

    arch, spec = folder_arch(tiny), run_spec(method, **settings)
    adapters.save(training.begin(spec, base).model, tmp_path / "adapter")
    (file,) = (tmp_path / "adapter").glob("*.safetensors")
    (header,) = struct.unpack("<Q", file.read_bytes()[:8])
    counted = trainable.count(arch, methods.find(method), spec.settings)
    assert counted.adapter_bytes == file.stat().st_size - 8 - header
