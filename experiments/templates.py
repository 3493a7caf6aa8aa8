"""How a row becomes tokens, and which of them are learnt: one piece of code for training, for answers and for the page.

A template is one string of the spec: `chat` (the model's own), `alpaca`, `plain`, or a text of one's own with fields in
braces. The prompt is read, the completion and what follows it is learnt. A model without a chat template reads "prompt,
newline, completion, end of text". Free of torch and transformers: a `Codec` stands for whichever tokenizer there is.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from experiments import chat
from experiments.catalog.tasks.base import Row

CHAT, ALPACA, PLAIN = "chat", "alpaca", "plain"
KINDS = {CHAT: "The model's chat template", ALPACA: "Alpaca", PLAIN: "Plain text"}
TEXTS = {
    ALPACA: "### Instruction:\n{prompt}\n\n### Response:\n{completion}\n\n### End{end}",
    PLAIN: "{prompt}\n{completion}{end}",
}
LONGEST = 4000
FIELD = re.compile(r"\{([^{}\n]{1,100})\}")
OWN_FIELDS = ("prompt", "completion", "end")


@dataclass(frozen=True)
class Codec:
    """What a template needs of a tokenizer. `ids(text, special)`: the token ids, with the tokenizer's own start and end
    tokens where `special`. `specials`: bos_token, eos_token, … → its text."""

    ids: Callable[[str, bool], Sequence[int]]
    eos: str = ""
    chat_template: str | None = None
    specials: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Example:
    """One row as token ids; those from `start` on are learnt, never the first. `cut` says that its end did not fit."""

    ids: tuple[int, ...]
    start: int
    cut: bool = False

    @property
    def in_loss(self) -> tuple[bool, ...]:
        """For each token, whether it counts in the loss."""
        first = max(self.start, 1)
        return tuple(i >= first for i in range(len(self.ids)))


def check(template: str, columns: Sequence[str] = ()) -> str:
    """The template, where it can be used; `columns`: further fields it may name. Raises `ValueError`, one sentence."""
    if template in KINDS:
        return template
    if len(template) > LONGEST:
        raise ValueError(f"A template has at most {LONGEST:,} characters.")
    fields = FIELD.findall(template)
    if not fields:
        raise ValueError(
            f"A template is one of {', '.join(KINDS)}, or a text of your own with {{prompt}} and {{completion}}."
        )
    if fields.count("completion") != 1:
        raise ValueError("A template of your own holds {completion} once: what the model learns begins there.")
    return template


def unknown_fields(template: str, columns: Sequence[str]) -> list[str]:
    """Fields of a template of one's own that neither the lab nor the data knows; they would stay in the text as they are."""
    if template in KINDS:
        return []
    return [name for name in dict.fromkeys(FIELD.findall(template)) if name not in (*OWN_FIELDS, *columns)]


def end_of_answer(template: str) -> str:
    """The text that closes an answer before the end token (`### End`), empty where there is none."""
    _, _, tail = TEXTS.get(template, template).partition("{completion}")
    return "" if template == CHAT else FIELD.split(tail)[0].strip()


def answer_text(said: str, template: str) -> str:
    """What a model said, up to the text that closes an answer."""
    end = end_of_answer(template)
    return said.partition(end)[0].rstrip() if end else said


def has_ended(said: str, template: str) -> bool:
    """Whether the text that closes an answer was said."""
    end = end_of_answer(template)
    return bool(end) and end in said


def certain(said: str, template: str) -> str:
    """What of an answer under way may be shown: without a tail that could be the beginning of the text that closes it."""
    end = end_of_answer(template)
    for length in range(min(len(end), len(said)), 0, -1):
        if said.endswith(end[:length]):
            return said[:-length].rstrip()
    return said.rstrip() if end else said


def turns(row: Row) -> list[chat.Turn]:
    """A row's conversation up to the answer."""
    return [*({"role": r, "content": c} for r, c in row.before), {"role": "user", "content": row.prompt}]


def prompt_ids(codec: Codec, row: Row, template: str = CHAT) -> list[int]:
    """The tokens of a row up to where the answer begins. Raises `ValueError` where the chat template refuses it."""
    if _chats(codec, template):
        return list(codec.ids(chat.render(codec.chat_template or "", turns(row), codec.specials, asks=True), False))
    return list(codec.ids(halves(codec, row, template)[0], True))


def encode(codec: Codec, row: Row, max_length: int | None, template: str = CHAT) -> Example:
    """A row's tokens, cut at `max_length` (None: whole). Raises `ValueError` where the chat template refuses the row."""
    prompt = prompt_ids(codec, row, template)
    if _chats(codec, template):
        whole = [*turns(row), {"role": "assistant", "content": row.completion}]
        ids = list(codec.ids(chat.render(codec.chat_template or "", whole, codec.specials), False))
        answer = row.completion + codec.eos
    else:
        begin, answer = halves(codec, row, template)
        ids = list(codec.ids(begin + answer, True))
    if ids[: len(prompt)] != prompt:  # the seam was tokenized otherwise: join the two ends as they are
        ids = prompt + list(codec.ids(answer, False))
    end = len(ids) if max_length is None else max_length
    return Example(tuple(ids[:end]), min(len(prompt), end), len(ids) > end)


def _chats(codec: Codec, template: str) -> bool:
    return template == CHAT and codec.chat_template is not None


def halves(codec: Codec, row: Row, template: str) -> tuple[str, str]:
    """What is read and what is learnt, as text."""
    if template in (CHAT, PLAIN) and not row.prompt and not row.before:
        return "", row.completion + codec.eos
    begin, _, rest = TEXTS.get(PLAIN if template == CHAT else template, template).partition("{completion}")
    earlier = "\n".join(text for _, text in row.before)
    prompt = f"{earlier}\n{row.prompt}" if earlier else row.prompt
    values = {**dict(row.fields), "prompt": prompt, "completion": row.completion, "end": codec.eos}

    def fill(text: str) -> str:  # one pass: a value that holds braces stays as it is
        return FIELD.sub(lambda found: values.get(found.group(1), found.group(0)), text)

    return fill(begin), row.completion + fill(rest)
