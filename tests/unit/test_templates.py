"""What a template makes of a row: which text, where learning begins, what is refused."""

import pytest

from experiments import chat, templates
from experiments.catalog.tasks.base import Row
from experiments.templates import Codec

ROW = Row("Say hi.", "Hi!")
LETTERS = Codec(lambda text, special: [ord(c) for c in ("^" if special else "") + text], eos="$")


def text(example):
    return "".join(map(chr, example.ids))


def learnt(example):
    return "".join(chr(i) for i, counts in zip(example.ids, example.in_loss, strict=True) if counts)


@pytest.mark.parametrize(
    ("template", "read", "learns"),
    [
        ("chat", "^Say hi.\n", "Hi!$"),  # this codec has no chat template
        ("plain", "^Say hi.\n", "Hi!$"),
        ("alpaca", "^### Instruction:\nSay hi.\n\n### Response:\n", "Hi!\n\n### End$"),
        ("Q: {prompt}\nA: {completion}{end}", "^Q: Say hi.\nA: ", "Hi!$"),
        ("{prompt}|{completion}", "^Say hi.|", "Hi!"),
    ],
)
def test_the_prompt_is_read_and_the_rest_is_learnt(template, read, learns):
    example = templates.encode(LETTERS, ROW, None, template)
    assert text(example) == read + learns and learnt(example) == learns
    assert templates.prompt_ids(LETTERS, ROW, template) == [ord(c) for c in read]


def test_a_chat_template_is_used_where_there_is_one():
    codec = Codec(LETTERS.ids, "$", "{% for m in messages %}<{{ m.role }}>{{ m.content }}{{ eos_token }}{% endfor %}"
                  "{% if add_generation_prompt %}<assistant>{% endif %}", {"eos_token": "$"})  # fmt: skip
    example = templates.encode(codec, Row("b", "c", before=(("system", "a"),)), None)
    assert text(example) == "<system>a$<user>b$<assistant>c$" and learnt(example) == "c$"
    assert text(templates.encode(codec, ROW, None, "alpaca")).startswith("^### Instruction")


def test_plain_text_without_a_prompt_is_learnt_but_for_its_first_token():
    example = templates.encode(LETTERS, Row("", "abc"), None, "plain")
    assert text(example) == "^abc$" and learnt(example) == "abc$"
    bare = Codec(lambda text, special: [ord(c) for c in text], eos="$")
    assert learnt(templates.encode(bare, Row("", "abc"), None, "plain")) == "bc$"


def test_a_row_that_does_not_fit_is_cut_and_says_so():
    whole = templates.encode(LETTERS, ROW, None, "plain")
    assert not whole.cut and not templates.encode(LETTERS, ROW, len(whole.ids), "plain").cut
    for limit in (0, 1, 8, len(whole.ids) - 1):
        example = templates.encode(LETTERS, ROW, limit, "plain")
        assert example.cut and example.ids == whole.ids[:limit] and example.in_loss == whole.in_loss[:limit]


def test_a_seam_that_is_tokenized_otherwise_joins_the_two_ends():
    def pairs(text, special):  # "\nH" is one token of this tokenizer, so the prompt's last token is not there
        return [ord(c) for c in text.replace("\nH", "\u2400")]

    example = templates.encode(Codec(pairs, "$"), ROW, None, "plain")
    assert text(example) == "Say hi.\nHi!$" and learnt(example) == "Hi!$"


def test_values_are_text_also_where_they_look_like_fields():
    row = Row("{completion} {end}", "{prompt}", fields=(("topic", "{prompt}"),))
    assert (
        text(templates.encode(LETTERS, row, None, "{topic}:{prompt}={completion}"))
        == "^{prompt}:{completion} {end}={prompt}"
    )


@pytest.mark.parametrize(
    "bad", ["", "alpacca", "no field", "{prompt}", "{completion} {completion}", "{completion}" + "x" * 4000]
)
def test_a_template_that_cannot_be_used_is_one_sentence(bad):
    with pytest.raises(ValueError) as caught:
        templates.check(bad)
    assert str(caught.value).endswith(".") and "\n" not in str(caught.value)


def test_fields_that_nobody_knows_are_named():
    assert templates.unknown_fields("{prompt} {topic} {tpoic} {completion}{end}", ["topic"]) == ["tpoic"]
    assert templates.unknown_fields("alpaca", []) == []


def test_an_answer_ends_where_the_template_ends_it():
    assert templates.answer_text("Hi!\n\n### End and on", "alpaca") == "Hi!"
    assert templates.answer_text("Hi!\n\n### End", "chat") == "Hi!\n\n### End"
    assert templates.answer_text("Hi</s>x", "{prompt}{completion}</s>{end}") == "Hi"
    assert templates.answer_text("Hi", "{prompt}{completion}{end}") == "Hi"


@pytest.mark.parametrize(
    "hostile",
    [
        "{{ messages.__class__.__mro__ }}",
        "{{ ''.__class__.__base__.__subclasses__() }}",
        "{% set ns = namespace(_x=1) %}",
        "{{ messages.append(1) }}",
        "{{ raise_exception('no system turn, please') }}",
        "{% for %}",
        "{{ range(999999999) | list }}",
        "{{ missing.field.of.nothing }}",
    ],
)
def test_a_template_that_does_what_it_must_not_is_one_sentence(hostile):
    with pytest.raises(ValueError) as caught:
        chat.render(hostile, [{"role": "user", "content": "x"}], {})
    assert "\n" not in str(caught.value) and "chat template" in str(caught.value)
