"""The Sweep tab's pure parts: axes as typed, the form and its problems at their fields, what is drawn, who may look."""

import json

import pytest

from experiments import events, recorded, sweeps
from experiments.specs import SpecError
from experiments.store import Store
from experiments.sweeps import table, typed
from lab_app import sweep_form, sweep_view
from tests.unit import runs


@pytest.fixture
def store(tmp_path) -> Store:
    return Store(tmp_path / "lab.sqlite")


def form(**more) -> sweep_form.Draft:
    return sweep_form.Draft.read(sweep_form.start() | more)


def axes(*pairs) -> list[dict]:
    return [{"name": name, "values": values} for name, values in pairs]


def swept(store: Store, owner: str = "ann", end: int = 99, **more) -> sweeps.SweepSpec:
    """A sweep of rank 1, 2 × seeds 0, 1 in the store, the first `end` cells of it trained."""
    spec = sweeps.build({"base": runs.spec(), "axes": {"rank": [1, 2]}, "seeds": [0, 1], **more})
    points = sweeps.expand(spec).points
    table.open_sweep(store, spec, owner)
    table.add_cells(store, spec.sweep_id, owner, [(p.spec.run_id, p.spec.model_dump_json()) for p in points])
    for point in points[:end]:
        runs.put(store, point.spec, owner)
    return spec


@pytest.mark.parametrize(
    ("text", "axis"),
    [
        ("1, 2,4", {"values": [1, 2, 4]}), ("1e-4,0.5", {"values": [1e-4, 0.5]}), ("on, off", {"values": [True, False]}),
        ("all; q_proj,v_proj", {"values": ["all", "q_proj,v_proj"]}), ("1e-4..1e-2", {"low": 1e-4, "high": 1e-2}),
    ],
)  # fmt: skip
def test_values_are_read_as_they_are_typed(text, axis):
    assert typed.axis(" rank ", text) == {"place": "rank", **axis}


@pytest.mark.parametrize("text", ["", " , ", "a..b"])
def test_what_is_no_value_is_one_sentence(text):
    with pytest.raises(SpecError) as error:
        typed.axis("rank", text)
    assert [p.field for p in error.value.problems] == ["values"]


def test_the_form_asks_for_what_it_shows():
    spec, problems = sweep_form.order(form())
    assert not problems and spec is not None
    assert spec.places == ("settings.rank", "settings.alpha") and spec.seeds == (0, 1, 2)
    again, problems = sweep_form.order(sweep_form.Draft.read(sweep_form.filled(spec)))
    assert not problems and again == spec


@pytest.mark.parametrize(
    ("typed_in", "place", "says"),
    [
        ({"axes": axes(("rnak", "1, 2"))}, "axes.0.name", "did you mean “method.rank”"),
        ({"axes": axes(("rank", "1, 2"), ("alpha", ""))}, "axes.1.values", "at least one value"),
        ({"axes": axes(("rank", "0, 2"))}, "axes.0.values", "at least 1"),
        ({"axes": axes(("layers", "0-99"))}, "axes.0.values", "layers"),
        ({"axes": axes(("rank", "1"), ("method.rank", "2"))}, "axes.1.name", "already"),
        ({"axes": []}, "axes", "at least one setting"),
        ({"seeds": ""}, "seeds", "at least one"),
        ({"seeds": "a"}, "seeds", "whole number"),
        ({"train": {"steps": "x", "batch_size": 4}}, "train.steps", "whole number"),
        ({"budget": "soon"}, "budget", "number"),
        ({"axes": axes(("lr", "1e-4..1e-2"))}, "axes", "grid needs values"),
        ({"task": "<img>"}, "task", "no task"),
    ],
)  # fmt: skip
def test_what_is_wrong_stands_at_its_field(typed_in, place, says):
    spec, problems = sweep_form.order(form(**typed_in))
    assert spec is None and list(problems) == [place] and says in problems[place], problems


def test_a_large_sweep_asks_first(store):
    class Here:
        def __init__(self):
            self.store = store

    small = sweep_form.consequences(Here(), form())
    large = sweep_form.consequences(
        Here(), form(axes=axes(("rank", ", ".join(map(str, range(1, 64)))), ("alpha", "2, 8")))
    )
    assert not small["asks"] and "45 cells" in small["plan"][0]
    assert large["asks"].startswith("378 cells") and large["asks"].endswith("are you sure?")


def test_what_is_drawn_is_every_cell_with_its_numbers(store):
    spec = swept(store, end=3)
    found = sweeps.progress(store, spec.sweep_id, "ann")
    shown = sweep_view.value(found, sweep_view.SweepCurves(store).update(found.cells))
    assert json.loads(json.dumps(shown)) == shown  # travels as JSON
    assert [(c["v"], c["seed"], c["status"]) for c in shown["cells"]] == [
        ([1], 0, "finished"), ([2], 0, "finished"), ([1], 1, "finished"), ([2], 1, "waiting"),
    ]  # fmt: skip
    assert shown["cells"][0]["m"]["held_out"] == 0.8 and shown["cells"][3]["m"]["held_out"] is None
    assert (
        shown["cells"][0]["d"] == "1,2.75;2,2.5;"
        and shown["cells"][0]["h"] == "2,0.8;"
        and shown["cells"][3]["d"] == ""
    )
    rows = shown["found"]["held_out"]["rows"]
    assert {row["v"][0]: row["seeds"] for row in rows} == {1: 2, 2: 1}
    assert rows[0]["cost"]["trainable"] == 460_800
    assert not sweep_view.value(found, {}, whole=False)["found"]


def test_curves_only_ever_grow(store):
    spec = swept(store, end=0)
    run = sweeps.expand(spec).points[0].spec
    curves, said = sweep_view.SweepCurves(store), []
    key, _ = store.open(run.run_id, "train", run.model_dump_json(), "ann")
    for event in runs.told(4):
        store.append(key, event)
        found = sweeps.progress(store, spec.sweep_id, "ann")
        said.append(dict(curves.update(found.cells)).get(run.run_id, ("", "")))
    assert all(after[i].startswith(before[i]) for before, after in zip(said, said[1:], strict=False) for i in (0, 1))
    assert said[-1][0].count(";") == 4


def test_the_status_says_how_far_and_what_went_wrong(store):
    spec = swept(store, end=1)
    lost = sweeps.expand(spec).points[1].spec
    key, _ = store.open(lost.run_id, "train", lost.model_dump_json(), "ann")
    store.append(key, events.Failed(cause="Diverged at step 2: the loss is no number.", advice=""))
    busy = sweep_view.status(sweeps.progress(store, spec.sweep_id, "ann"))
    assert busy["tone"] == "busy" and busy["done"] == 0.5 and "2 of 4 cells" in busy["lines"][0]
    assert "1 cell failed and the sweep went on. Diverged" in busy["lines"][1]
    table.end(store, spec.sweep_id, "ann", "stopped", "Stopped by you; what is done stays.")
    over = sweep_view.status(sweeps.progress(store, spec.sweep_id, "ann"), mine=False)
    assert over["done"] is None and "Somebody else" in over["lines"][0] and "Stopped by you" in over["lines"][1]


def test_a_sweep_is_looked_at_by_its_id_unless_it_is_on_rows_of_ones_own(store):
    spec = swept(store)
    assert table.visible(store, spec.sweep_id, "bob").owner == "ann"
    swept(store, owner="bob")
    assert table.visible(store, spec.sweep_id, "bob").owner == "bob"
    assert table.visible(store, "w" + "0" * 12, "bob") is None
    assert not table.is_private(spec)
    assert table.is_private(spec.model_copy(update={"base": spec.base.model_copy(update={"task": "data:" + "a" * 12})}))
    assert table.is_private(spec.model_copy(update={"axes": (sweeps.Axis(place="task", values=("json", "data:a")),)}))


def test_the_recorded_sweep_is_whole_and_small():
    found, records = recorded.sweep()
    assert {cell.status for cell in found.cells} == {"finished"} and len(found.spec.seeds) == 3
    assert {cell.run_id for cell in found.cells} == set(records)
    assert {spec.run_id for spec in sweeps.expand(found.spec).specs} == set(records)
    assert all(record.steps and record.samples for record in records.values())
    assert sum(file.stat().st_size for file in (recorded.FOLDER / "sweep").iterdir()) < 400_000


def test_a_sweep_is_recorded_from_a_store_and_read_back(store, tmp_path):
    spec = swept(store)
    with pytest.raises(ValueError, match="not a finished sweep"):
        recorded.record_sweep(store, spec.sweep_id, tmp_path / "sweep")
    table.end(store, spec.sweep_id, "ann", "finished", "")
    recorded.record_sweep(store, spec.sweep_id, tmp_path / "sweep")
    found, _ = recorded.sweep(tmp_path / "sweep")
    stored = sweeps.progress(store, spec.sweep_id, "ann")
    assert found.spec == spec and found.rows == stored.rows and found.verdict == stored.verdict
    assert [c.metrics["held_out"] for c in found.cells] == [0.8] * 4


def test_the_best_run_of_the_largest_rank_is_cut_to_smaller_ones(store):
    spec = swept(store)
    found = sweeps.progress(store, spec.sweep_id, "ann")
    cell = sweep_view.longest(found)
    assert cell.values == {"settings.rank": 2} and cell.seed == 0
    assert (
        sweep_view.value(found, {})["cuts"] and not sweep_view.value(found, {}, "Recorded.")["cuts"]
    )  # no adapter ships
    losses = {0: 3.0, 1: 1.1, 2: 1.0}
    told = [events.Ranked(rank=rank, held_out_loss=loss, kept=rank / 2, parameters=9) for rank, loss in losses.items()]
    busy, ended = (sweep_view.rank_curve(found, cell, [*told, *end]) for end in ([], [events.Finished(elapsed_s=1)]))
    assert busy["points"] == ended["points"] == [[1, 1.1, 0.5], [2, 1.0, 1.0]] and not busy["lines"]
    assert (
        ended["lines"][0].startswith("Cut to rank 1, it keeps 50% of its update")
        and "need not agree" in ended["lines"][1]
    )
    failed = sweep_view.rank_curve(found, cell, [events.Failed(cause="It is gone.", advice="")])
    assert failed["lines"] == ["It is gone."] and failed["ended"]
    other = swept(store, axes={"lr": [1e-3, 1e-2]})
    assert sweep_view.longest(sweeps.progress(store, other.sweep_id, "ann")) is None


def test_a_run_that_gained_nothing_loses_nothing_at_a_smaller_rank(store):
    found = sweeps.progress(store, swept(store).sweep_id, "ann")
    told = [events.Ranked(rank=rank, held_out_loss=1.0 + rank, kept=1.0, parameters=9) for rank in (0, 1, 2)]
    ended = [*told, events.Finished(elapsed_s=1)]
    assert "gained nothing" in sweep_view.rank_curve(found, sweep_view.longest(found), ended)["lines"][0]
