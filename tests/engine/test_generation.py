"""Answers: those of transformers' own `generate`, the same in a batch as alone, streamed whole, drawn as it is said."""

from __future__ import annotations

import itertools
import random
from typing import Any

import pytest
import torch
from transformers import TemperatureLogitsWarper, TopPLogitsWarper

from experiments import events, methods
from experiments.engine import data, generation, models, training
from experiments.engine.context import WithContext
from experiments.engine.randomness import RandomState
from experiments.questions import SampleSpec
from experiments.specs import SpecError, build, canonical
from tests.engine.conftest import FEW, run_spec

PROMPTS = [
    "Hi",
    "What is the capital of Austria?",
    "Why do boats float, and for how long would they if nobody looked?",
    "1 + 1 =",
]
METHODS = [("zero-shot", {}), ("lora", {}), ("prompt", {"virtual_tokens": 5}), ("prefix", {"virtual_tokens": 5}),
           ("prefix", {"virtual_tokens": 3, "projection": True}), ("full", {}), ("few-shot", {"examples": 2}),
           ("p-tuning", {"virtual_tokens": 4}), ("llama-adapter", {}), ("houlsby", {}),
           ("mam", {"virtual_tokens": 3, "scale": 0.5}), ("qlora", {}), ("qlora", {"weights": "int8"})]  # fmt: skip
RATES = {"houlsby": 1e-2, "mam": 2e-2}
"""Where ten times the default makes every answer the same commas."""
every_method = pytest.mark.parametrize(
    ("method", "settings"),
    METHODS,
    ids=[
        "base",
        "lora",
        "prompt",
        "prefix",
        "projection",
        "full",
        "few-shot",
        "p-tuning",
        "llama-adapter",
        "houlsby",
        "mam",
        "qlora",
        "qlora-int8",
    ],
)
LENGTH = 12


def nothing() -> None:
    """Between two tokens: go on."""


@pytest.fixture(scope="module")
def tuned(base) -> Any:
    """Makes a model in which a few steps moved something; the base for zero-shot."""
    made: dict[str, Any] = {}

    def make(method: str, settings: dict[str, Any]) -> Any:
        name = f"{method}{settings}"
        if name not in made:
            found = methods.find(method)
            rate = RATES.get(method) or 10 * found.learning_rate(found.Settings(**settings))
            with RandomState(0):
                trial = training.begin(run_spec(method, rate=rate, **settings), base)
            rows = [data.encode(base.tokenizer, row, FEW.max_length) for row in FEW.split(None).train[:2]]
            for _ in range(3 if trial.parameters else 0):
                trial.backward(rows)
                trial.update()
            made[name] = trial.model.eval()
        return made[name]

    return make


def answers(model, base, prompts: list[str], length: int = LENGTH) -> list[str]:
    return generation.answers(model, base.tokenizer, prompts, length, nothing)


def said(role: str, content: str) -> dict[str, str]:
    return {"role": role, "content": content}


def reference(model, base, prompt: str) -> str:
    """The greedy answer of transformers (and of PEFT, for a soft prompt) to one prompt, behind the examples of few-shot."""
    ids = torch.tensor([data.prompt_ids(base.tokenizer, prompt)])
    if isinstance(model, WithContext):
        shown = random.Random(0).sample(FEW.split(None).train, 2)
        turns = [t for row in shown for t in (said("user", row.prompt), said("assistant", row.completion))]
        ids = base.tokenizer.apply_chat_template(
            [*turns, said("user", prompt)], add_generation_prompt=True, return_tensors="pt", return_dict=False
        )
        model = base.model
    with torch.no_grad():
        written = model.generate(
            input_ids=ids, attention_mask=torch.ones_like(ids), do_sample=False, max_new_tokens=LENGTH
        )
    return base.tokenizer.decode(written[0, ids.shape[1] :], skip_special_tokens=True).strip()


@every_method
def test_greedy_answers_are_transformers_own(method, settings, base, tuned):
    model = tuned(method, settings)
    expected = [reference(model, base, prompt) for prompt in PROMPTS]
    assert [answers(model, base, [prompt])[0] for prompt in PROMPTS] == expected
    assert len(set(expected)) > 1 and all(expected)


@every_method
def test_an_answer_does_not_depend_on_what_else_is_in_the_batch(method, settings, base, tuned):
    model = tuned(method, settings)
    alone = [answers(model, base, [prompt])[0] for prompt in PROMPTS]
    assert answers(model, base, PROMPTS) == alone
    assert answers(model, base, PROMPTS[::-1]) == alone[::-1]


def test_more_rows_than_a_batch_keep_their_order(base, monkeypatch):
    monkeypatch.setattr(generation, "MOST_ROWS", 24)
    prompts = [f"{PROMPTS[i % 4]} {i}" for i in range(27)]
    found = answers(base.model, base, prompts, 3)
    assert len(found) == 27 and found[25] == answers(base.model, base, prompts[25:26], 3)[0]


@pytest.mark.parametrize(
    ("rows", "tokens", "size"),
    [(51, 60, 51), (72, 60, 72), (73, 60, 37), (150, 60, 50), (51, 472, 17), (3, 20_000, 1), (0, 0, 1)],
)
def test_batches_of_answers_are_few_alike_and_bounded(rows, tokens, size):
    """By the longest prompt and forty tokens of answer a row."""
    assert generation.together([tokens] * rows, 40) == size


def test_tuned_answers_differ_from_the_bases(base, tuned):
    said = {name: answers(tuned(name, settings), base, PROMPTS) for name, settings in METHODS}
    assert all(said[name] != said["zero-shot"] for name in said if name != "zero-shot")


def test_an_answer_ends_at_the_end_token(base, monkeypatch):
    """The end token itself is not part of it; rows that go on are not held up."""
    whole = list(generation.decode(base.model, [[1, 2, 3], [4, 5]], set(), generation.Sampling(6)))
    assert len(whole) == 6 and all(None not in step for step in whole)
    end = whole[2][0]
    until = next(i for i, step in enumerate(whole) if step[0] == end)
    ended = list(generation.decode(base.model, [[1, 2, 3], [4, 5]], {end}, generation.Sampling(6)))
    assert [step[0] for step in ended] == [step[0] for step in whole[:until]] + [None] * (len(ended) - until)
    assert [step[1] for step in ended] == [step[1] for step in whole[: len(ended)]]
    assert base.tokenizer.eos_token_id in generation.end_ids(base.model, base.tokenizer)


def test_between_is_called_after_every_token(base):
    calls = itertools.count()
    generation.answers(base.model, base.tokenizer, PROMPTS[:2], 7, lambda: next(calls))
    assert 1 <= next(calls) <= 7

    def stop() -> None:
        raise training.Unwanted

    with pytest.raises(training.Unwanted):
        generation.answers(base.model, base.tokenizer, PROMPTS[:2], 7, stop)


# ---- side by side


def question(**changes: Any) -> SampleSpec:
    return build(SampleSpec, {"model": "tiny", "prompt": PROMPTS[1], "max_new_tokens": LENGTH, **changes})


def columns(models: list, base, spec: SampleSpec) -> list[list[events.Wrote]]:
    found: list[list[events.Wrote]] = [[] for _ in models]
    for event in generation.sample(models, base.tokenizer, spec, nothing):
        found[event.column].append(event)
    return found


def text(pieces: list[events.Wrote]) -> str:
    return "".join(p.text for p in pieces)


def test_pieces_add_up_to_the_answer_of_each_column(base, tuned, monkeypatch):
    monkeypatch.setattr(generation, "FLUSH_S", 0.0)
    models = [tuned(method, settings) for method, settings in METHODS]
    found = columns(models, base, question())
    for model, pieces in zip(models, found, strict=True):
        assert text(pieces).strip() == answers(model, base, [PROMPTS[1]])[0]
        assert [p.ended for p in pieces] == [False] * (len(pieces) - 1) + [True]
        assert len(pieces) > 3
        tokens = [p.tokens for p in pieces]
        assert tokens == sorted(tokens) and tokens[-1] <= LENGTH
        assert [p.elapsed_s for p in pieces] == sorted(p.elapsed_s for p in pieces)


def test_columns_are_written_in_turn(base, tuned, monkeypatch):
    monkeypatch.setattr(generation, "FLUSH_S", 0.0)
    both = [tuned("zero-shot", {}), tuned("lora", {})]
    order = [e.column for e in generation.sample(both, base.tokenizer, question(), nothing)]
    assert max(len(list(group)) for _, group in itertools.groupby(order)) <= 3


def test_pieces_come_at_most_so_often(base, monkeypatch):
    monkeypatch.setattr(generation, "FLUSH_S", 1e6)
    (pieces,) = columns([base.model], base, question())
    assert len(pieces) == 1 and pieces[0].ended and text(pieces).strip() == answers(base.model, base, [PROMPTS[1]])[0]


@pytest.mark.parametrize(
    ("said", "cuts"),
    [("日本語の海賊", True), ("🏴‍☠️ arr 🦜!", True), ("Ω≈ç√", True), ("“oui”", False), ("plain", False)],
)
@pytest.mark.parametrize("flush_s", [0.0, 1e6])
def test_a_character_is_never_cut_in_half(said, cuts, flush_s, base, monkeypatch):
    ids = base.tokenizer(said, add_special_tokens=False)["input_ids"]
    assert any("\ufffd" in base.tokenizer.decode(ids[:i]) for i in range(len(ids))) == cuts
    monkeypatch.setattr(generation, "FLUSH_S", flush_s)
    monkeypatch.setattr(generation, "decode", lambda *_: ([token] for token in ids))
    (pieces,) = columns([base.model], base, question())
    assert text(pieces) == said and not any("\ufffd" in p.text for p in pieces)
    assert len(pieces) > 1 or len(ids) == 1 or flush_s


# ---- what a model can read


@pytest.mark.parametrize(
    ("method", "settings"), [("zero-shot", {}), ("prompt", {"virtual_tokens": 5}), ("few-shot", {"examples": 2})]
)
def test_a_prompt_that_leaves_no_room_for_an_answer_is_refused_before_anything_is_written(
    method, settings, base, tuned
):
    """The context is 512 tokens: those before the prompt, the prompt, and one of the answer."""
    model = tuned(method, settings)
    soft = generation.virtual_tokens(model)
    assert soft == {"zero-shot": 0, "prompt": 5}.get(method, soft) and (soft > 0) == (method != "zero-shot")
    around = len(data.prompt_ids(base.tokenizer, " a")) - 1
    longest = " a" * (511 - soft - around)
    assert columns([model], base, question(prompt=longest, max_new_tokens=1))[0][-1].ended
    behind = f" behind the {soft:,} of its method" if soft else ""
    said = f"^The prompt has {512 - soft} tokens and the model reads at most {511 - soft}{behind}: shorten it.$"
    with pytest.raises(ValueError, match=said):
        next(generation.sample([base.model, model], base.tokenizer, question(prompt=longest + " a"), nothing))
    with pytest.raises(ValueError, match="^Prompt 2 has "):
        next(generation.sample([model], base.tokenizer, question(more=[longest + " a"]), nothing))


# ---- drawing


def test_the_same_seed_says_the_same(base):
    def drawn(**changes: Any) -> str:
        return text(columns([base.model], base, question(temperature=1.0, **changes))[0])

    torch.manual_seed(1)
    first = drawn(seed=3)
    torch.manual_seed(2)
    assert drawn(seed=3) == first
    assert len({first, drawn(seed=4), drawn(seed=5)}) == 3


def test_two_columns_of_one_model_say_the_same(base):
    """Side by side with the same seed: what differs is the model's doing."""
    one, other = columns([base.model, base.model], base, question(temperature=1.3, seed=9))
    assert text(one) == text(other) != text(columns([base.model], base, question())[0])


def test_temperature_0_and_a_tiny_top_p_are_greedy(base):
    greedy = text(columns([base.model], base, question(temperature=0.0, seed=1))[0])
    assert greedy == text(columns([base.model], base, question(temperature=0.0, seed=2))[0])
    assert greedy == text(columns([base.model], base, question(temperature=1.0, top_p=1e-9, seed=2))[0])


@pytest.mark.parametrize(("temperature", "top_p"), [(1.0, 1.0), (0.5, 1.0), (1.0, 0.7), (1.7, 0.9), (1.0, 0.05)])
def test_tokens_are_drawn_as_transformers_would(temperature, top_p):
    """Frequencies of 20,000 draws against the distribution that transformers' own logits processors leave."""
    logits_BV = torch.randn(1, 12, generator=torch.Generator().manual_seed(0)) * 1.5
    scores_BV = TemperatureLogitsWarper(temperature)(None, logits_BV) if temperature != 1 else logits_BV
    expected_V = torch.softmax(TopPLogitsWarper(top_p)(None, scores_BV) if top_p < 1 else scores_BV, -1)[0]
    how = generation.Sampling(1, temperature, top_p)
    drawn_N = generation.pick(logits_BV.expand(20_000, -1), how, torch.Generator().manual_seed(1))
    found_V = torch.bincount(drawn_N, minlength=12) / 20_000
    assert ((found_V > 0) <= (expected_V > 0)).all()  # nothing that was cut off
    torch.testing.assert_close(found_V, expected_V, rtol=0, atol=0.015)


def texts_of(events_: list[events.Wrote]) -> dict[tuple[int, int], str]:
    """The whole text of each answer, by row and column."""
    found: dict[tuple[int, int], str] = {}
    for event in events_:
        found[event.row, event.column] = found.get((event.row, event.column), "") + event.text
    return found


def batch(**changes: Any) -> SampleSpec:
    asked = {"model": "tiny", "prompt": PROMPTS[0], "more": PROMPTS[1:], "max_new_tokens": LENGTH}
    return build(SampleSpec, {**asked, **changes})


@pytest.mark.parametrize("temperature", [0.0, 0.9])
def test_prompts_asked_at_once_are_answered_as_alone(base, tuned, temperature):
    """Drawn ones, too: each row has a generator of its own."""
    both = [base.model, tuned("lora", {})]
    told = list(generation.sample(both, base.tokenizer, batch(temperature=temperature, seed=3), nothing))
    ends = [(e.row, e.column) for e in told if e.ended]
    assert sorted(ends) == sorted(itertools.product(range(4), range(2)))  # each ends once
    together = texts_of(told)
    for row, prompt in enumerate(PROMPTS):
        alone = texts_of(
            list(
                generation.sample(
                    both, base.tokenizer, batch(prompt=prompt, more=[], temperature=temperature, seed=3), nothing
                )
            )
        )
        assert [together[row, column] for column in range(2)] == [alone[0, column] for column in range(2)]
    assert len(set(together.values())) > 2


@pytest.mark.parametrize("penalty", [1.2, 2.0])
def test_the_repetition_penalty_is_transformers_own(base, penalty):
    how = generation.Sampling(LENGTH, repetition_penalty=penalty)
    for prompt in PROMPTS:
        ids = data.prompt_ids(base.tokenizer, prompt)
        tokens = [t for (t,) in generation.decode(base.model, [ids], set(), how)]
        given = torch.tensor([ids])
        expected = base.model.generate(
            input_ids=given, attention_mask=torch.ones_like(given), do_sample=False, max_new_tokens=LENGTH,
            repetition_penalty=penalty, eos_token_id=None,
        )  # fmt: skip
        assert tokens == expected[0, len(ids) :].tolist()
        plain = [t for (t,) in generation.decode(base.model, [ids], set(), generation.Sampling(LENGTH))]
        assert tokens != plain


def test_an_answer_goes_on_where_the_end_token_is_not_to_stop_it(base, monkeypatch):
    first = next(
        iter(
            generation.decode(base.model, [data.prompt_ids(base.tokenizer, PROMPTS[0])], set(), generation.Sampling(1))
        )
    )[0]
    monkeypatch.setattr(generation, "end_ids", lambda model, tokenizer: {first})  # the first token would end it
    lengths = {}
    for stop in (True, False):
        told = list(generation.sample([base.model], base.tokenizer, batch(more=[], stop_at_end=stop), nothing))
        lengths[stop] = told[-1].tokens
    assert lengths == {True: 0, False: LENGTH}


def test_a_question_of_before_has_the_id_it_had():
    """Further prompts, penalty and stop came later: at their defaults they change no id."""
    old = {"model": "m", "prompt": "p"}
    plain, new = build(SampleSpec, old), build(SampleSpec, {**old, "repetition_penalty": 1.5})
    assert plain.sample_id == build(SampleSpec, {**old, "more": [], "stop_at_end": True}).sample_id != new.sample_id
    assert "more" not in canonical(plain) and "repetition_penalty" in canonical(new)
    with pytest.raises(SpecError, match="Prompt 3 is empty."):
        build(SampleSpec, {**old, "more": ["q", "  "]})
    with pytest.raises(SpecError, match="Further prompts: at most 15."):
        build(SampleSpec, {**old, "more": ["q"] * 16})


def test_a_row_that_fills_the_context_ends_and_the_others_go_on(gpt2):
    """GPT-2's positions are learnt: there is none behind the 512th."""
    model = models.load(gpt2).model
    how, long, short = generation.Sampling(12), [1 + i % 50 for i in range(508)], [4, 5]
    rows = list(zip(*generation.decode(model, [long, short], set(), how), strict=True))
    assert [token is None for token in rows[0]] == 5 * [False] + 7 * [True]
    assert list(rows[1]) == [token for (token,) in generation.decode(model, [short], set(), how)]
    assert [token for (token,) in generation.decode(model, [long], set(), how)] == list(rows[0][:5])
