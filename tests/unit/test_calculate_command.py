"""`count`: the numbers of the README and of the papers, as one JSON object; refusals in one sentence with status 2."""

from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner

from experiments.__main__ import app


def count(words: str) -> tuple[int, dict]:
    done = CliRunner().invoke(app, ["count", *words.split(), "--json"])
    return done.exit_code, json.loads(done.stdout)


def test_lora_on_queries_and_values_is_counted_from_their_shapes():
    code, found = count("--arch smollm2-135m --method lora --set rank=8 --set targets=q_proj,v_proj")
    assert code == 0
    assert found["trainable"] == 30 * 8 * ((576 + 576) + (576 + 192)) == 460_800
    assert (found["total"], found["with_method"]) == (134_515_008, 134_975_808)
    assert found["percent"] == pytest.approx(0.34256, abs=1e-5) and found["adapter_bytes"] == 4 * 460_800
    assert found["formula"].endswith("30 · 8 · [(576 + 576) + (576 + 192)]")


def test_count_as_in_the_lora_paper():
    """Table 2 of Hu et al. (2021): GPT-2 medium, rank 4, queries and values: 0.35 M. Here c_attn makes all three."""
    _, found = count("--arch gpt2-medium --method lora --set rank=4 --set targets=c_attn")
    assert found["trainable"] == 24 * 4 * (1024 + 3 * 1024)


@pytest.mark.parametrize(
    ("words", "field"),
    [
        ("--arch llama-9", "arch"), ("--arch nothing.json", "arch"), ("--method lorra", "method"),
        ("--set rank=0", "settings.rank"), ("--set rank=-8", "settings.rank"), ("--set rank=1e99", "settings.rank"),
        ("--set rank=999999999999999999999", "settings.rank"), ("--set rank=256", "settings.rank"),
        ("--set targets=wings", "settings.targets"), ("--set rank", "settings"), ("--set wings=2", "settings.wings"),
        ("--method partial --set last_layers=31", "settings.last_layers"),
    ],
)  # fmt: skip
def test_wrong_input_is_one_sentence(words, field):
    code, found = count(words)
    assert code == 2 and [p["field"] for p in found["problems"]] == [field]
    assert found["problems"][0]["sentence"].endswith((".", "?"))
