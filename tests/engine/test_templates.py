"""The lab's own rendering and its torch-free tokenizer against transformers: the same text, the same tokens."""

import json
from pathlib import Path

import pytest
from transformers import AutoTokenizer

from experiments import chat, templates
from experiments.catalog import codec
from experiments.catalog.tasks import pirate
from experiments.catalog.tasks.base import Row
from experiments.engine import data

ODD = (
    "Ünïcödé 👩‍🚀 日本語\u200b",
    "  blanks \t\n\n and lines\r\n",
    "<|im_end|> <script>alert(1)</script> {{ 7*7 }}",
    "a" * 300,
    "x",
)
CONVERSATIONS = [
    [{"role": "user", "content": "Hello"}],
    [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hello"}],
    [{"role": r, "content": c} for r, c in zip(("user", "assistant") * 2, ODD, strict=False)],
]
CHATML = "{% for message in messages %}{{'<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n'}}{% endfor %}"
CHATML += "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
# The shapes that are out there: statements on lines of their own, loop controls, namespaces, masks, JSON, dates.
SHAPES = {
    "chatml": CHATML,
    "lines": """{{- bos_token }}
{%- set ns = namespace(system='') %}
{% for message in messages %}
    {%- if message.role == 'system' %}{% set ns.system = message.content | trim %}{% continue %}{% endif %}
    {%- generation %}[{{ message.role }}] {{ ns.system }} {{ message.content | trim }}{{ eos_token }}{% endgeneration %}

{% endfor %}
{%- if add_generation_prompt %}[assistant]{% endif %}""",
    "json": "{% for m in messages %}{{ m | tojson }}{{ dict(a=1) | tojson(indent=2) }}{% break %}{% endfor %}{{ tools is none }}",
    "dated": "{{ strftime_now('%Y') }}{% if tools %}x{% endif %}{{ messages[-1].content }}",
}  # fmt: skip


@pytest.fixture(scope="module", params=["smollm2", "gpt2", *SHAPES])
def pair(request, tmp_path_factory, smollm2: Path):
    """A tokenizer as transformers loads it, and as the page does."""
    folder = smollm2
    if request.param == "gpt2":
        folder = request.getfixturevalue("gpt2")
    elif request.param in SHAPES:
        folder = tmp_path_factory.mktemp(request.param)
        theirs = AutoTokenizer.from_pretrained(smollm2)
        theirs.chat_template = SHAPES[request.param]
        theirs.save_pretrained(folder)
    return AutoTokenizer.from_pretrained(folder), codec.load(folder)[0]


@pytest.mark.parametrize("asks", [False, True])
@pytest.mark.parametrize("turns", CONVERSATIONS, ids=["one", "system", "odd"])
def test_a_conversation_is_the_text_and_the_tokens_that_transformers_makes(pair, turns, asks):
    theirs, ours = pair
    text = chat.render(ours.chat_template, turns, ours.specials, asks)
    assert text == theirs.apply_chat_template(turns, add_generation_prompt=asks, tokenize=False)
    assert list(ours.ids(text, False)) == theirs.apply_chat_template(
        turns, add_generation_prompt=asks, return_dict=False
    )


def test_page_and_engine_learn_the_same_tokens_of_the_same_rows(pair):
    theirs, ours = pair
    rows = [*pirate.load(None).train[:20], *(Row(p, c) for p, c in zip(ODD, reversed(ODD), strict=True)), Row("", "x")]
    for template in ("chat", "alpaca", "plain", "Q: {prompt}\nA:{completion}{end}"):
        for row in rows:
            assert templates.encode(ours, row, 96, template) == data.encode(theirs, row, 96, template)


def test_a_template_stored_the_older_ways_is_found(tmp_path, smollm2: Path):
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (tmp_path / name).write_bytes((smollm2 / name).read_bytes())
    config = json.loads((tmp_path / "tokenizer_config.json").read_text())
    for stored in (CHATML, [{"name": "tool_use", "template": "no"}, {"name": "default", "template": CHATML}]):
        config |= {
            "chat_template": stored,
            "eos_token": {"__type": "AddedToken", "content": "<|im_end|>", "special": True},
        }
        (tmp_path / "tokenizer_config.json").write_text(json.dumps(config))
        (tmp_path / "tokenizer.json").touch()
        ours, theirs = codec.load(tmp_path)[0], AutoTokenizer.from_pretrained(tmp_path)
        assert ours.chat_template == theirs.get_chat_template() == CHATML and ours.eos == theirs.eos_token


def test_a_folder_without_a_readable_tokenizer_is_one_sentence(tmp_path):
    with pytest.raises(ValueError, match="no tokenizer.json"):
        codec.load(tmp_path)
    (tmp_path / "tokenizer.json").write_text("{")
    with pytest.raises(ValueError, match="cannot be read"):
        codec.load(tmp_path)
