"""Calculate: the numbers follow what is typed and are the command line's; one sentence for what is wrong; a link brings it all back."""

from __future__ import annotations

import csv
import json

import pytest
from playwright.sync_api import expect
from typer.testing import CliRunner

from experiments.__main__ import app as command_line
from experiments.accounting import presets
from tests.browser.payloads import PAYLOADS


def cli(*words: str) -> dict:
    return json.loads(CliRunner().invoke(command_line, [*words, "--json"]).stdout)


@pytest.fixture
def room(visit):
    room = visit()
    room.tab("Calculate")
    expect(first(room)).to_contain_text("Trains")
    return room


def first(room):
    return room.page.locator(".calc-first")


def field(room, name: str):
    return room.page.locator(f"#calc-{name}")


def note(room, name: str):
    return room.page.locator(f"#calc-{name}-note")


def test_the_numbers_follow_a_rank_and_are_those_of_the_command_line(room):
    for rank in ("3", "64"):
        field(room, "settings-rank").fill(rank)
        found = cli("count", "--arch", "smollm2-135m", "--method", "lora", "--set", f"rank={rank}")
        expect(first(room)).to_contain_text(f"{found['trainable']:,} of {found['total']:,}")
    weighed = cli("memory", "--arch", "smollm2-135m", "--method", "lora", "--set", "rank=64")
    part = room.page.locator(".calc-out tr", has_text="activations")
    expect(part).to_contain_text(f"{weighed['activations']:,}")
    field(room, "method").select_option("prefix")
    expect(first(room)).to_contain_text("Trains 184,320 of")
    expect(room.page.locator(".calc-out")).to_contain_text("Predicted and measured")  # the recorded runs, at least
    assert field(room, "settings-rank").count() == 0
    field(room, "arch").select_option("llama-3-8b")
    expect(first(room)).to_contain_text("of 8,030,261,248")


def test_a_pasted_config_is_counted_and_a_bad_one_is_one_sentence(room):
    field(room, "arch").select_option("config")
    expect(note(room, "config")).to_contain_text("This is not JSON")
    field(room, "config").fill(json.dumps(dict(presets.find("mistral-7b").config)))
    expect(first(room)).to_contain_text("of 7,241,732,096")
    expect(note(room, "config")).to_have_text("")
    field(room, "config").fill("\n".join(PAYLOADS))
    expect(note(room, "config")).to_have_text("This is not JSON; paste the whole config.json, with its braces.")
    field(room, "config").fill(json.dumps({"model_type": "t5", "architectures": PAYLOADS}))
    expect(note(room, "config")).to_contain_text("which is not a causal language model.")
    assert room.page.evaluate("window.hit") is None
    expect(first(room)).to_contain_text("of 7,241,732,096")  # what was right last still stands


def test_wrong_numbers_are_one_sentence_at_their_field(room):
    for name, wrong, right, sentence in (
        ("settings-rank", "0", "8", "Rank must be at least 1."),
        ("settings-rank", "200", "8", "Rank 200 is larger than the matrix k_proj"),
        ("load-batch_size", "-4", "4", "Batch must be at least 1."),
        ("load-tokens", "99999", "128", "99,999 tokens do not fit"),
        ("plan-steps", "many", "10", "Steps must be a whole number."),
        ("plan-price", "-1", "", "Price must be at least 0."),
    ):
        field(room, name).fill(wrong)
        expect(note(room, name)).to_contain_text(sentence)
        expect(field(room, name)).to_have_attribute("aria-invalid", "true")
        assert field(room, name).input_value() == wrong
        field(room, name).fill(right)
        expect(field(room, name)).to_have_attribute("aria-invalid", "false")
    field(room, "arch").select_option("own")
    field(room, "shape-width").fill("577")
    expect(note(room, "shape-heads")).to_contain_text("A width of 577 cannot be shared evenly by 9 heads.")


def test_a_hub_id_that_is_none_is_one_sentence(room):
    field(room, "arch").select_option("config")
    field(room, "hub").fill("../etc/passwd")
    room.page.locator(".calc-hub button").click()
    expect(note(room, "hub")).to_contain_text("A hub id is owner/name")


def test_a_link_brings_the_calculation_back(room, visit):
    field(room, "method").select_option("prompt")
    field(room, "settings-virtual_tokens").fill("33")
    field(room, "load-precision").select_option("nf4")
    expect(first(room)).to_contain_text(f"Trains {33 * 576:,} of")
    room.page.wait_for_function(  # the answer to the last change, too, has come
        """() => atob(document.querySelector('.calc-link input').value.split('calc=')[1].replaceAll('-', '+').replaceAll('_', '/'))
            .includes('nf4')"""
    )
    link = room.page.locator(".calc-link input").input_value()
    assert "calc=" in room.page.url
    other = visit(link[link.index("?") :])
    expect(first(other)).to_contain_text(f"Trains {33 * 576:,} of")  # the tab is open, and nothing was clicked
    assert field(other, "settings-virtual_tokens").input_value() == "33"
    assert field(other, "load-precision").input_value() == "nf4"


def test_a_link_of_nonsense_opens_the_calculator(visit):
    room = visit("?calc=%00nonsense")
    expect(first(room)).to_contain_text("Trains 2,442,240 of 134,515,008")


def test_the_table_sorts_and_is_saved_as_csv(room):
    room.page.get_by_role("button", name="trainable").click()
    names = room.page.locator(".calc-out section", has=room.page.locator(".calc-csv")).locator("tbody th")
    expect(names.first).to_have_text("Full")
    with room.page.expect_download() as download:
        room.page.locator(".calc-csv").click()
    rows = list(csv.reader(download.value.path().read_text("utf8").splitlines()))
    assert rows[0][:2] == ["method", "trainable (parameters)"]
    assert rows[1][:2] == ["Full", "134515008"]
    assert {"LoRA", "Prefix", "Zero-shot"} <= {row[0] for row in rows}
