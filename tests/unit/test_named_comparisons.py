"""Every preset can be asked for, and every method and relative of LoRA stands in one."""

import pytest

from experiments import methods, presets, specs
from experiments.accounting import llama_arch
from experiments.catalog import models

ARCH = llama_arch({**models.find("smollm2-135m").config, "attention_bias": True})


@pytest.mark.parametrize("preset", presets.PRESETS, ids=lambda p: p.key)
def test_a_preset_is_a_comparison_that_fits(preset):
    found = preset.specs("smollm2-135m")
    assert 1 <= len(found) <= 6 and len({str(s.comparable) for s in found if s.train.steps}) == 1
    for spec in found:
        specs.check(spec, ARCH)
    assert presets.find(preset.key) is preset


def test_every_method_and_every_relative_of_lora_has_one():
    runs = [(method, name) for p in presets.PRESETS for method, own in p.runs.items() for name in (*own, "")]
    of_others = {m.key for m in methods.METHODS if any(m.check(ARCH, m.Settings()))}
    assert of_others == {"adapter-fusion"}  # needs runs of one's own
    assert {m for m, _ in runs} == {m.key for m in methods.METHODS} - of_others
    assert {"rslora", "dora", "init", "plus_ratio", "bias", "layers"} <= {
        name for method, name in runs if method == "lora"
    }


@pytest.mark.parametrize("model", ["lab-nano", "smollm2-135m"])
def test_three_methods_speak_like_a_pirate_on_any_model(model):
    found = presets.find("pirate").specs(model)
    assert [(s.model, s.task, s.method) for s in found] == [(model, "pirate", m) for m in ("lora", "prompt", "prefix")]


def test_no_such_preset():
    with pytest.raises(ValueError, match="There is no preset “x”; there are first, pirate"):
        presets.find("x")
