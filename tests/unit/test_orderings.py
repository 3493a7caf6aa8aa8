"""The orderings that PEFT published, looked for in numbers made for it: reproduced, not reproduced, and what cannot be told."""

from experiments.comparison import Comparison, build, orderings
from experiments.comparison.intervals import Number
from experiments.comparison.records import Row, Seed

LOSSES = (0.50, 0.51, 0.49, 0.50, 0.52, 1.6, 1.9, 2.4)
TRAINED = (233_472, 240_000, 5_785_856, 233_472, 233_472, 12_288, 12_288, 12_288)


def made(losses=LOSSES, forgotten=(0.2, 0.4)) -> Comparison:
    spec = build({"model": "lab-nano", "task": "storyteller", "methods": orderings.METHODS, "seeds": [0, 1]})
    ends = {"lora": forgotten[0], "full": forgotten[1]}
    rows = tuple(
        Row(
            label=name, method=run.method, run=run, first_rung=(loss, 2 * loss),
            numbers={"held_out": Number(mean=loss, half_width=0.01), "trainable": Number(mean=float(count), half_width=0.0)},
            seeds=tuple(
                Seed(seed=s, run_id="0" * 12, status="finished", trail=((0, 0.0, 0.0), (40, 3.0, ends.get(name, 0.1)))) for s in (0, 1)
            ),
        )
        for name, run, loss, count in zip(orderings.NAMES, spec.runs, losses, TRAINED, strict=True)
    )  # fmt: skip
    return Comparison(
        comparison_id=spec.comparison_id, spec=spec, state="finished", created_s=0.0, elapsed_s=1.0, rows=rows
    )


def verdicts(found: Comparison, **step_s) -> dict[str, str]:
    named = {name.replace("_", " "): seconds for name, seconds in step_s.items()}
    return {f.ordering: f.verdict for f in orderings.findings(found, named)}


def test_every_ordering_is_reproduced_where_the_numbers_say_so():
    found = verdicts(made(), lora=[1.0, 1.1], prompt_text=[1.4, 1.5], full=[2.0, 2.1])
    assert len(found) == 7 and set(found.values()) == {"reproduced"}


def test_what_is_not_there_is_said_and_what_does_not_agree_cannot_be_told():
    found = verdicts(
        made((0.5, 0.5, 1.4, 0.5, 1.9, 1.6, 1.61, 1.62), (0.5, 0.3)),
        lora=[1.0, 1.0],
        prompt_text=[0.9, 1.2],
        full=[1.1, 1.2],
    )
    assert found["… yet a step of it takes longer"] == "cannot be told"
    for ordering in (
        "Full fine-tuning takes about twice LoRA's time", "Full fine-tuning forgets more than LoRA at a matched gain",
        "LoRA, DoRA and full are close", "The start moves soft prompts most",
    ):  # fmt: skip
        assert found[ordering] == "not reproduced"
    told = orderings.plain(orderings.findings(made(), {}))
    assert "not measured" in told and "614,400 against 9,175,040: 15 × fewer" in told
