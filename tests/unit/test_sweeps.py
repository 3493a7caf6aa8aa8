"""Sweeps: places and their nearest names, cells, plans, and the store's rows."""

import itertools

import pytest

from experiments import events, sweeps
from experiments.specs import SpecError
from experiments.store import Key, Store
from experiments.sweeps import table
from experiments.sweeps.records import as_json
from tests.unit import runs


@pytest.fixture
def store(tmp_path) -> Store:
    return Store(tmp_path / "lab.sqlite")


def spec(axes=None, base=None, **more) -> sweeps.SweepSpec:
    return sweeps.build({"base": base or runs.spec(), "axes": axes or {"method.rank": [1, 2, 4]}, **more})


def said(error) -> str:
    return " ".join(p.sentence for p in error.value.problems)


@pytest.mark.parametrize(
    ("name", "place"),
    [
        ("method.rank", "settings.rank"), ("rank", "settings.rank"), ("settings.targets", "settings.targets"),
        ("lr", "train.learning_rate"), ("train.learning_rate", "train.learning_rate"), ("batch_size", "train.batch_size"),
        ("method", "method"), ("task", "task"),
    ],
)  # fmt: skip
def test_an_axis_is_any_field_of_a_spec(name, place):
    assert spec({name: ["sentiment"] if place == "task" else ["lora"] if place == "method" else [1]}).places == (place,)


@pytest.mark.parametrize(
    ("name", "nearest"),
    [("method.rnak", "method.rank"), ("train.learnig_rate", "train.learning_rate"), ("aplha", "method.alpha")],
)
def test_one_that_does_not_exist_is_answered_with_the_nearest_name(name, nearest):
    with pytest.raises(SpecError) as error:
        spec({name: [1, 2]})
    assert f"did you mean “{nearest}”?" in said(error)
    assert error.value.problems[0].field == "axes"


def test_a_setting_of_another_method_is_no_axis_unless_that_method_is_one():
    with pytest.raises(SpecError, match="virtual_tokens"):
        spec({"method.virtual_tokens": [4, 8]})
    assert spec({"method": ["lora", "prompt"], "method.virtual_tokens": [4, 8]}).places[1] == "settings.virtual_tokens"


def test_cells_are_every_combination_with_every_seed_the_first_seed_first():
    grid = spec({"method.rank": [1, 2], "method.alpha": [4, 8, 16]}, seeds=[3, 4])
    found = sweeps.expand(grid)
    assert [p.seed for p in found.points] == [3] * 6 + [4] * 6
    assert {(s.settings.rank, s.settings.alpha) for s in found.specs} == set(itertools.product([1, 2], [4, 8, 16]))
    assert len({s.run_id for s in found.specs}) == 12
    assert found.specs[0].train == runs.spec().train


def test_a_seed_axis_is_the_seeds():
    assert spec({"method.rank": [1], "seed": [5, 6]}).seeds == (5, 6)


def test_what_a_method_does_not_have_is_left_out_and_duplicates_are_one():
    found = sweeps.expand(spec({"method": ["lora", "prompt"], "method.rank": [4, 8]}, seeds=[0]))
    assert [(s.method, getattr(s.settings, "rank", None)) for s in found.specs] == [
        ("lora", 4), ("lora", 8), ("prompt", None),
    ]  # fmt: skip
    assert found.specs[2].train.learning_rate != found.specs[0].train.learning_rate  # each its usual one


def test_what_cannot_run_is_told_and_the_rest_runs():
    found = sweeps.expand(spec({"method.rank": [1, 2, 500]}, seeds=[0]))
    assert [s.settings.rank for s in found.specs] == [1, 2]
    assert found.impossible == (({"settings.rank": 500}, "Rank must be at most 256."),)
    with pytest.raises(SpecError, match="at most 256"):
        sweeps.expand(spec({"method.rank": [500]}))


def test_a_range_is_drawn_within_its_ends_the_same_every_time():
    drawn = spec({"lr": {"low": 1e-4, "high": 1e-2}, "rank": {"low": 1, "high": 64}}, search="random", trials=20)
    rates = [s.train.learning_rate for s in sweeps.expand(drawn).specs]
    assert rates == [s.train.learning_rate for s in sweeps.expand(drawn).specs]
    assert all(1e-4 <= r <= 1e-2 for r in rates) and sum(r < 1e-3 for r in rates) > len(rates) / 5  # in proportion
    with pytest.raises(SpecError, match="A grid needs values"):
        spec({"lr": {"low": 1e-4, "high": 1e-2}})


@pytest.mark.parametrize("axes", [{"rank": {"low": 4, "high": 2}}, {"rank": []}, {"rank": {"low": 1}}])
def test_an_axis_without_sense_is_refused(axes):
    with pytest.raises(SpecError, match=r"give it at least one value|a range goes from"):
        spec(axes, search="random")


def test_the_id_is_that_of_what_is_asked():
    assert spec().sweep_id == spec().sweep_id != spec(seeds=[0]).sweep_id
    again = sweeps.build(spec().model_dump(mode="json"))
    assert again == spec() and again.sweep_id.startswith("w")


# Plans


def real(**more):
    return runs.spec(**more).model_copy(update={"model": "smollm2-135m"})


def test_a_plan_counts_what_is_stored_and_never_trains_it_twice(store, home):
    grid = spec({"method.rank": [1, 2]}, base=real(), seeds=[0, 1])
    runs.put(store, sweeps.expand(grid).specs[0])
    found = sweeps.plan(grid, store)
    assert (found.cells, found.stored) == (4, 1)
    assert "4 cells, 1 of them stored already" in found.sentence


def test_a_large_grid_asks_and_a_huge_one_is_refused(store, home):
    found = sweeps.plan(spec({"method.rank": list(range(1, 101))}, base=real(), seeds=list(range(20))), store)
    assert found.asks.startswith("2,000 cells") and not sweeps.plan(spec(base=real()), store).asks
    with pytest.raises(SpecError, match="at most 10,000"):
        sweeps.plan(spec({"method.alpha": list(range(1, 201)), "seed": list(range(50)), "rank": [1, 2]}), store)


def test_a_budget_takes_seeds_then_steps_then_values(store, monkeypatch):
    from experiments.estimates import Estimate
    from experiments.sweeps import planning as module

    monkeypatch.setattr(module.estimates, "before", lambda run, store: Estimate(1, 1, 0.1 * run.train.steps, "here"))
    grid = spec({"method.rank": [1, 2, 4, 8, 16]}, base=runs.spec(steps=40))

    def within(budget_s):
        found = sweeps.plan(grid.model_copy(update={"budget_s": budget_s}), store)
        assert found.seconds <= budget_s
        return len(found.spec.seeds), found.spec.base.train.steps, found.spec.axes[0].values

    assert sweeps.plan(grid, store).seconds == 5 * 3 * 4
    assert within(60) == (3, 40, (1, 2, 4, 8, 16))
    assert within(20) == (1, 40, (1, 2, 4, 8, 16))
    assert within(10) == (1, 20, (1, 2, 4, 8, 16))
    assert within(4) == (1, 10, (1, 4, 16))
    tight = sweeps.plan(grid.model_copy(update={"budget_s": 0.5}), store)
    assert "Even its smallest form" in tight.sentence


# The store's rows


def test_a_sweep_is_its_owners_and_shares_the_runs(store):
    grid = spec({"method.rank": [1, 2]}, seeds=[0])
    specs = sweeps.expand(grid).specs
    for owner in ("ann", "bob"):
        assert table.open_sweep(store, grid, owner)
        table.add_cells(store, grid.sweep_id, owner, [(s.run_id, s.model_dump_json()) for s in specs])
    assert not table.open_sweep(store, grid, "ann")  # under way
    assert not table.stop(store, grid.sweep_id, "eve") and table.find(store, grid.sweep_id, "eve") is None
    assert table.stop(store, grid.sweep_id, "bob") and table.state(store, grid.sweep_id, "ann") == "running"
    runs.put(store, specs[0])
    found = sweeps.progress(store, grid.sweep_id, "ann")
    assert [(c.status, c.values) for c in found.cells] == [
        ("finished", {"settings.rank": 1}), ("waiting", {"settings.rank": 2}),
    ]  # fmt: skip
    assert found.cells[0].metrics["held_out"] == 0.8 and found.cells[0].metric("forgetting") == pytest.approx(0.05)
    assert (found.done, found.total, found.best.values) == (1, 2, {"settings.rank": 1})
    assert sweeps.Progress.model_validate_json(as_json(found)) == found
    assert sweeps.progress(store, grid.sweep_id, "eve") is None


def test_cells_keep_their_number_and_mark_when_they_are_asked_for_again(store):
    grid = spec({"method.rank": [1, 2]}, seeds=[0])
    rows = [(s.run_id, s.model_dump_json()) for s in sweeps.expand(grid).specs]
    table.open_sweep(store, grid, "ann")
    table.add_cells(store, grid.sweep_id, "ann", rows[:1])
    table.mark(store, grid.sweep_id, "ann", rows[0][0], "pruned")
    table.add_cells(store, grid.sweep_id, "ann", rows)
    assert [(c.run_id, c.mark) for c in table.cells(store, grid.sweep_id, "ann")] == [
        (rows[0][0], "pruned"), (rows[1][0], ""),
    ]  # fmt: skip


def test_what_a_process_that_is_gone_left_under_way_is_unfinished(store):
    grid = spec()
    table.open_sweep(store, grid, "ann")
    assert table.unfinished(store) == []
    store.connection.execute("UPDATE sweeps SET writer = '1:0.00'")
    assert [row.spec for row in table.unfinished(store)] == [grid]
    table.end(store, grid.sweep_id, "ann", "finished", "")
    assert table.unfinished(store) == []


def test_ends_of_cells_have_their_own_names(store):
    grid = spec({"method.rank": [1, 2, 4, 8]}, seeds=[0])
    specs = sweeps.expand(grid).specs
    table.open_sweep(store, grid, "ann")
    table.add_cells(store, grid.sweep_id, "ann", [(s.run_id, s.model_dump_json()) for s in specs])
    ends = [
        events.Failed(cause="Diverged at step 3: the loss is no longer a number."),
        events.Cancelled(step=2), events.Cancelled(step=2), events.Failed(cause="The disk is full."),
    ]  # fmt: skip
    for run, event in zip(specs, ends, strict=True):
        key: Key = store.open(run.run_id, "train", run.model_dump_json(), "ann")[0]
        store.append(key, event)
    table.mark(store, grid.sweep_id, "ann", specs[1].run_id, "pruned")
    found = sweeps.progress(store, grid.sweep_id, "ann")
    assert [c.status for c in found.cells] == ["diverged", "pruned", "cancelled", "failed"]
    assert found.cells[3].cause == "The disk is full." and found.best is None and found.verdict == ""


def test_a_store_of_ten_thousand_runs_tells_a_sweep_of_them(store):
    """Written in one go, as ten thousand trials would have left them."""
    grid = spec({"method.rank": [*range(1, 201)], "method.alpha": [*range(1, 51)]}, seeds=[0])
    specs = sweeps.expand(grid).specs
    table.open_sweep(store, grid, "ann")
    table.add_cells(store, grid.sweep_id, "ann", [(s.run_id, s.model_dump_json()) for s in specs])
    told = [event.model_dump_json(exclude_none=True) for event in runs.told()]
    kinds = [event.kind for event in runs.told()]
    db = store.connection
    db.execute("BEGIN")
    for s in specs:
        db.execute("INSERT INTO runs VALUES (?, 1, 'train', ?, 0, '1:0.0')", (s.run_id, s.model_dump_json()))
        db.execute("INSERT INTO wanted VALUES (?, 1, 'ann', 1)", (s.run_id,))
        rows = [(s.run_id, i, kind, body) for i, (kind, body) in enumerate(zip(kinds, told, strict=True))]
        db.executemany("INSERT INTO events VALUES (?, 1, ?, 0, ?, ?)", rows)
    db.execute("COMMIT")
    found = sweeps.progress(store, grid.sweep_id, "ann")
    assert (found.done, found.total, len(found.rows)) == (10_000, 10_000, 10_000)
    assert all(cell.status == "finished" for cell in found.cells)
