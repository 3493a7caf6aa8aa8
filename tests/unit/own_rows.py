"""Own rows for tests: two visitors, forty sums, a tokenizer of letters."""

import pytest

from experiments.catalog.own_data import keep
from experiments.catalog.own_data import table as tables
from experiments.catalog.own_data import task as own_task
from experiments.catalog.own_data.columns import Columns
from experiments.templates import Codec

ANNA, BERT = "anna-" + "a" * 30, "bert-" + "b" * 30


class Letters:
    """A tokenizer with a token for each character, in the shape of `catalog.codec.load`; it counts what it encodes."""

    def __init__(self):
        self.encoded = 0
        self.codec = Codec(self.ids, eos="$")

    def ids(self, text, special):
        self.encoded += 1
        return [ord(c) for c in text]

    def decode(self, ids, skip_special_tokens):
        return "".join(map(chr, ids))

    @property
    def pair(self):
        return self.codec, self


def sums(count=40, **more):
    return tables.of_records([{"question": f"{i} + {i}?", "answer": f"It is {2 * i}.", **more} for i in range(count)])


QA = Columns(prompt="question", completion="answer")


@pytest.fixture(autouse=True)
def lab(home):
    """A lab of the test's own, in whose memory no rows are."""
    keep._load.cache_clear()
    own_task.of.cache_clear()
    return home
