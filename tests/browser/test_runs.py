"""Runs: find, compare, name, take away, put away and bring back; what one visitor may do with another's; text stays text."""

from __future__ import annotations

import csv
import json
import re
import secrets
import zipfile
from pathlib import Path

import pytest
import yaml
from playwright.sync_api import expect

from experiments import export, shelf
from experiments.store import Store
from tests.browser.payloads import PAYLOADS
from tests.unit.runs import put, spec

CASES = json.loads((Path(__file__).parents[1] / "filter_cases.json").read_text("utf8"))


@pytest.fixture
def store(app) -> Store:
    return Store(app.home / "lab.sqlite")


@pytest.fixture
def shelved(visit, store):
    """A visitor with three finished runs and one that they stopped, on the Runs tab; the token is what the page made."""
    room = visit()
    seed = secrets.randbelow(10**6) + 10_000
    room.choose("Prompt", steps=3000, seed=seed)
    room.start()
    expect(room.stop_button).to_be_enabled()
    room.stop_button.click()
    expect(room.status).to_contain_text("Stopped by you", timeout=240_000)
    entry = next(e for e in store.entries(limit=20) if json.loads(e.spec)["seed"] == seed)
    owner = store.connection.execute("SELECT owner FROM wanted WHERE run_id = ?", (entry.key.run_id,)).fetchone()[0]
    wanted = (spec(rank=4, seed=seed), spec(rank=16, seed=seed), spec("prefix", seed=seed))
    room.seed, room.owner, room.runs = seed, owner, [put(store, one, owner).run_id for one in wanted]
    room.tab("Runs")
    only(room, f"seed={seed}")
    expect(rows(room)).to_have_count(4)
    return room


def rows(room):
    return room.page.locator("#shelf tr[data-run]")


def row(room, run_id: str):
    return room.page.locator(f'#shelf tr[data-run="{run_id}"]')


def only(room, typed: str) -> None:
    room.page.locator(".rs-filter").fill(typed)


def pick(room, *run_ids: str) -> None:
    for run_id in run_ids:
        row(room, run_id).get_by_role("checkbox").check()


def detail(room):
    return room.page.locator("#run-detail")


def said(room):
    return room.page.locator("#shelf-status")


def test_filter_sort_and_group(shelved):
    room = shelved
    only(room, f"seed={room.seed} rank>=4")
    expect(rows(room)).to_have_count(2)
    only(room, f"seed={room.seed} lora rank>4")
    expect(rows(room)).to_have_count(1)
    expect(room.page.locator(".rs-count")).to_contain_text("1 of ")
    only(room, "colour=red")
    expect(room.page.locator(".rs-wrong")).to_contain_text("There is no field “colour”")
    only(room, f"seed={room.seed}")
    room.page.locator('thead [data-key="method"]').click()
    names = [text.strip() for text in room.page.locator("#shelf tr[data-run] td:nth-child(3)").all_inner_texts()]
    assert names == sorted(names) and len(names) == 4
    room.page.locator('thead [data-key="method"]').click()
    expect(room.page.locator('th[aria-sort="descending"]')).to_contain_text("method")
    room.page.locator(".rs-group").select_option("method")
    expect(room.page.locator(".rs-head")).to_have_count(3)
    room.page.locator(".rs-head button").first.click()  # folded away
    assert rows(room).count() < 4


def test_the_page_filters_as_the_command_line_does(shelved):
    """The cases of `tests/unit/test_filters.py`, put to the page's own filter."""
    source = (Path(__file__).parents[2] / "assets" / "runs_filter.js").read_text("utf8")
    ask = """([source, rows, typed]) => { try { return new Function('rows', 'typed', source + '; return filtered(rows, typed)')(rows, typed)
        .map((r) => r.run_id); } catch (error) { return error.message; } }"""
    for case in CASES["cases"]:
        found = shelved.page.evaluate(ask, [source, CASES["rows"], case["filter"]])
        assert found == case.get("chooses", case.get("says")), case


def test_two_runs_are_laid_over_each_other_and_the_difference_is_said(shelved):
    room = shelved
    pick(room, *room.runs[:2])
    expect(detail(room)).to_contain_text("Only rank: 4 → 16.")
    expect(room.page.locator("#run-curves g[data-method='lora'] > path.curve")).to_have_count(2)
    expect(detail(room).locator("details").first).to_have_attribute("open", "")
    expect(detail(room).locator("details").first.locator("tbody tr")).to_have_count(1)
    equal = detail(room).locator("details").nth(1)
    expect(equal.locator("summary")).to_contain_text(re.compile(r"\d+ settings are equal"))
    expect(equal.locator("table")).not_to_be_visible()
    pick(room, room.runs[2])
    expect(detail(room)).to_contain_text("Method: LoRA, Prefix; rank: 4, 16.")
    expect(room.page.locator("#run-curves .lab-legend button")).to_have_count(3)
    room.page.get_by_role("button", name="Select none").click()
    expect(room.page.locator("#run-curves .lab-legend button")).to_have_count(0)


def test_name_note_and_pin_are_kept(shelved, store):
    room, run_id = shelved, shelved.runs[0]
    pick(room, run_id)
    room.page.locator("#run-name").fill("the good one")
    room.page.locator("#run-note").fill("line one\nline two")
    room.page.get_by_role("button", name="Pin").click()
    expect(row(room, run_id)).to_contain_text("★ the good one")
    assert shelf.kept_by(store, room.owner, run_id) == ("the good one", "line one\nline two", True)
    room.reload()
    room.tab("Runs")
    only(room, '"good one"')
    expect(row(room, run_id)).to_contain_text("★ the good one")
    pick(room, run_id)
    expect(room.page.locator("#run-note")).to_have_value("line one\nline two")
    room.page.locator("#run-name").fill("x" * 90)
    room.page.locator("#run-name").blur()
    expect(said(room)).to_contain_text("A name has at most 80 characters; this one has 90.")


def test_delete_and_undo(shelved, store):
    room = shelved
    pick(room, *room.runs[:2])
    expect(detail(room)).to_contain_text("Only rank")
    room.page.get_by_role("button", name="Delete", exact=True).click()
    expect(rows(room)).to_have_count(2)
    expect(said(room)).to_contain_text("2 runs deleted")
    expect(room.page.locator("#run-curves .lab-legend button")).to_have_count(0)
    room.page.get_by_role("button", name="Undo delete (2)").click()
    expect(rows(room)).to_have_count(4)
    expect(room.page.get_by_role("button", name=re.compile("Undo delete"))).not_to_be_visible()


def test_others_runs_are_read_only_and_others_names_unseen(shelved, visit, store):
    room, run_id = shelved, shelved.runs[0]
    pick(room, run_id)
    room.page.locator("#run-name").fill("my secret name")
    room.page.locator("#run-name").blur()
    expect(row(room, run_id)).to_contain_text("my secret name")
    stranger = visit(f"?run={run_id}")
    stranger.tab("Runs")
    only(stranger, f"seed={room.seed}")
    expect(rows(stranger)).to_have_count(1)  # the one that was opened by its link, not the other three
    expect(row(stranger, run_id)).to_contain_text("opened by link")
    expect(row(stranger, run_id)).not_to_contain_text("my secret name")
    pick(stranger, run_id)
    expect(detail(stranger)).to_contain_text("Open in Train")
    expect(stranger.page.locator("#run-name")).to_have_count(0)
    delete = stranger.page.get_by_role("button", name="Delete", exact=True)
    expect(delete).to_be_disabled()
    stranger.page.evaluate("document.querySelector('.rs-do-delete').disabled = false")
    delete.click()  # what the page forbids, the handler forbids, too
    expect(said(stranger)).to_contain_text("only who asked for a run can delete it")
    assert [i.name for i in shelf.items(store, room.owner) if i.entry.key.run_id == run_id] == ["my secret name"]


def test_a_run_on_own_data_is_seen_by_its_visitor_alone(shelved, visit, store):
    private = spec(seed=shelved.seed).model_copy(update={"task": "data:" + "0" * 64})
    store.open(private.run_id, "train", private.model_dump_json(), shelved.owner)
    stranger = visit(f"?run={private.run_id}")
    stranger.tab("Runs")
    expect(rows(stranger)).not_to_have_count(0)  # the recorded ones
    only(stranger, private.run_id)
    expect(stranger.page.locator(".rs-none")).to_contain_text("No run has all of that.")
    owner = visit(context=shelved.context)
    owner.tab("Runs")
    only(owner, private.run_id)
    expect(rows(owner)).to_have_count(1)


def test_downloads(shelved, store, tmp_path, app):
    room, run_id = shelved, shelved.runs[0]
    pick(room, run_id)

    def get(kind: str) -> Path:
        with room.page.expect_download() as waiting:
            detail(room).locator(f'[data-as="{kind}"]').click()
        assert waiting.value.suggested_filename == f"{run_id}.{export.FORMATS[kind]}"
        waiting.value.save_as(tmp_path / waiting.value.suggested_filename)
        return tmp_path / waiting.value.suggested_filename

    header, *lines = list(csv.reader(get("csv").open()))
    assert header[:2] == ["step", "loss"] and len(lines) == 2
    assert [json.loads(line)["kind"] for line in get("jsonl").read_text().splitlines()][-1] == "finished"
    assert export.read_specs(get("yaml").read_bytes())[0].run_id == run_id
    detail(room).locator('[data-as="adapter"]').click()
    expect(said(room)).to_contain_text("This run has no adapter on this machine any more.")
    folder = shelf.adapter_folder(store.entry(run_id).key, app.home)
    folder.mkdir(parents=True)
    (folder / "adapter_model.safetensors").write_bytes(b"weights")
    assert zipfile.ZipFile(get("adapter")).read("adapter_model.safetensors") == b"weights"


def paste(room, text: str) -> None:
    room.page.locator(".rs-paste").fill(text)
    room.page.get_by_role("button", name="Fill the Train form").click()


def test_an_imported_spec_fills_the_train_form(shelved):
    room = shelved
    room.page.get_by_text("Import a spec").click()
    for wrong, sentence in (
        ("", "A spec is a list of names with values"),
        ("method: [", "This is neither YAML nor JSON: see line 1."),
        ("model: tiny\ntask: pirate\nmethod: lora\nsettings: {rank: -3}", "Rank must be at least 1."),
        (PAYLOADS[0], "A spec is a list of names with values"),
    ):
        paste(room, wrong)
        expect(said(room)).to_contain_text("Nothing was imported.")
        expect(said(room)).to_contain_text(sentence)
    both = [spec(rank=32, seed=77, steps=123), spec("prefix", seed=77, steps=123), spec(rank=2, seed=77, steps=123)]
    paste(room, yaml.safe_dump([one.model_copy(update={"model": "tiny"}).model_dump(mode="json") for one in both]))
    expect(said(room)).to_contain_text("LoRA, Prefix on pirate, 123 steps: it stands in the Train form now.")
    expect(said(room)).to_contain_text("1 more in the file were left out")
    room.tab("Train")
    expect(room.field("train-steps").locator("input")).to_have_value("123")
    expect(room.field("train-seed").locator("input")).to_have_value("77")
    expect(room.field("lora-rank").locator("input")).to_have_value("32")
    checked = room.page.locator("#methods input:checked")
    expect(checked).to_have_count(2)
    expect(room.page.locator("#model").get_by_label("tiny", exact=True)).to_be_checked()


def test_what_was_typed_is_never_markup(shelved, store):
    room, run_id = shelved, shelved.runs[0]
    pick(room, run_id)
    for payload in PAYLOADS:
        text = payload.replace("\n", " ")[:80].strip()
        left = "".join(c for c in text if c.isprintable())  # control characters are taken out
        room.page.locator("#run-name").fill(text)
        room.page.locator("#run-note").fill(payload)
        room.page.locator("#run-note").blur()
        expect(row(room, run_id).locator("th")).to_have_text(left)
        assert room.page.evaluate("window.hit") is None, payload
    typed = put(store, spec("prompt", seed=room.seed, init_text=PAYLOADS[0]), room.owner)
    room.reload()
    room.tab("Runs")
    only(room, f"seed={room.seed}")
    expect(rows(room)).to_have_count(5)
    pick(room, run_id, typed.run_id)
    expect(detail(room)).to_contain_text(PAYLOADS[0][:30])
    room.page.locator(".rs-filter").fill(PAYLOADS[0])
    assert room.page.evaluate("window.hit") is None
    assert (
        room.page.locator("#shelf img, #shelf script, #run-detail img, #run-detail script, #run-curves img").count()
        == 0
    )


def test_a_run_under_way_moves_in_the_table(visit):
    room = visit()
    seed = secrets.randbelow(10**6) + 10_000
    room.choose("LoRA", steps=3000, seed=seed)
    room.start()
    room.wait_for_points("lora", 2)
    room.tab("Runs")
    only(room, f"seed={seed}")
    cell = rows(room).locator("td").nth(5)
    expect(cell).to_have_text(re.compile(r"step \d+ of 3000"))
    before = cell.inner_text()
    expect(cell).not_to_have_text(before)
    rows(room).get_by_role("checkbox").check()
    room.page.get_by_role("button", name="Delete", exact=True).click()
    expect(said(room)).to_contain_text("1 run under way stayed: stop it first.")
    room.tab("Train")
    room.stop_button.click()
    expect(room.status).to_contain_text("Stopped by you")
    room.tab("Runs")
    expect(cell).to_have_text("cancelled")
