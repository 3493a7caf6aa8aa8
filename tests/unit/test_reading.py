"""A visitor's files: every format gives the same rows, and every bad one gives one sentence."""

import csv
import io
import json
import struct
import sys
import zipfile
import zlib

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from experiments.catalog.own_data import child, parquet_file, reading
from experiments.catalog.own_data import table as tables
from experiments.catalog.own_data.table import Table, Unreadable

ROWS = [{"question": f'Is {i} "odd",\nor even? é 日本', "answer": "odd" if i % 2 else "even"} for i in range(25)]
SHEET = [list(ROWS[0]), *(list(row.values()) for row in ROWS)]


def separated(delimiter: str) -> bytes:
    out = io.StringIO()
    csv.writer(out, delimiter=delimiter).writerows(SHEET)
    return out.getvalue().encode()


def parquet(table: pa.Table, **how) -> bytes:
    out = io.BytesIO()
    pq.write_table(table, out, **how)
    return out.getvalue()


FORMATS = {
    "rows.csv": separated(","),
    "semicolons.csv": separated(";"),
    "rows.tsv": separated("\t"),
    "unnamed": separated("\t"),
    "rows.jsonl": "\n".join(json.dumps(r, ensure_ascii=False) for r in ROWS).encode(),
    "windows.jsonl": "\r\n".join(map(json.dumps, ROWS)).encode(),
    "rows.json": json.dumps(ROWS, indent=1).encode(),
    "nested.json": json.dumps({"data": ROWS}).encode(),
    "columns.json": json.dumps({key: [row[key] for row in ROWS] for key in ROWS[0]}).encode(),
    "bom.csv": b"\xef\xbb\xbf" + separated(","),
    "utf16.csv": separated(",").decode().encode("utf-16"),
    "rows.parquet": parquet(pa.Table.from_pylist(ROWS)),
    "misnamed.csv": parquet(pa.Table.from_pylist(ROWS), compression="zstd"),
    "pasted": json.dumps(ROWS).encode(),
}


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_gives_the_same_rows_and_the_same_name(name):
    found = reading.read(FORMATS[name], name)
    assert found.columns == ("question", "answer") and found.notes == ()
    assert found.rows == tuple((r["question"], r["answer"]) for r in ROWS)
    assert tables.parse(found.canonical()) == found
    assert tables.digest(found.canonical()) == tables.digest(reading.read(FORMATS["rows.json"], "x.json").canonical())


def test_alpaca_sharegpt_messages_and_text():
    alpaca = reading.read(json.dumps([{"instruction": "a", "input": "", "output": "b"}]).encode(), "a.json")
    assert alpaca.columns == ("instruction", "input", "output") and alpaca.rows == (("a", "", "b"),)
    turns = (("system", "s"), ("user", "q"), ("assistant", "a"))
    shared = [{"from": "system", "value": "s"}, {"from": "human", "value": "q"}, {"from": "gpt", "value": "a"}]
    messages = [{"role": r, "content": [{"type": "text", "text": t}]} for r, t in turns]
    for data in ([{"conversations": shared}], [{"messages": messages}], [messages]):
        assert reading.read(json.dumps(data).encode(), "a.json").rows == ((turns,),)
        assert (
            reading.read(parquet(pa.Table.from_pylist([{"m": data[0]}])), "").rows
            if isinstance(data[0], list)
            else True
        )
    assert reading.read(b"one\ntwo\n\nthree", "t.txt").rows == (("one\ntwo",), ("three",))
    assert reading.read_pasted("one\ntwo\nthree").rows == (("one",), ("two",), ("three",))


def test_a_cell_is_text_whatever_it_looks_like():
    hostile = [
        "=cmd|' /C calc'!A0",
        "+1+1",
        "<script>alert(1)</script>",
        "{{7*7}}",
        "${7*7}",
        "1e999",
        "NaN",
        "../../etc/passwd",
    ]
    out = io.StringIO()
    csv.writer(out).writerows([["a", "b"], *([h, h] for h in hostile)])
    found = reading.read(out.getvalue().encode(), "x.csv")
    assert [row[0] for row in found.rows] == hostile
    data = json.dumps([{"a": 1, "b": None, "c": [1, {"x": 2}], "d": True, "e": 1.5, "f": "\ud800"}]).encode()
    assert reading.read(data, "x.json").rows == (("1", "", '[1, {"x": 2}]', "true", "1.5", "\ufffd"),)


def test_an_encoding_that_was_guessed_is_told():
    found = reading.read("frage,antwort\nwo?,Köln\n".encode("cp1252"), "x.csv")
    assert found.rows == (("wo?", "Köln"),)
    (note,) = found.notes
    assert "Windows-1252" in note


def test_a_file_of_one_column_is_text_of_one_column():
    for name, data in {
        "x.csv": b"answer\none\ntwo\n",
        "x.tsv": b"answer\none\ntwo\n",
        "x.jsonl": b'{"answer": "one"}\n{"answer": "two"}',
    }.items():
        found = reading.read(data, name)
        assert (found.columns, found.rows) == (("answer",), (("one",), ("two",)))


def zipped(name: str) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as bundle:
        bundle.writestr(name, "x")
    return out.getvalue()


def png() -> bytes:
    head = struct.pack(">IIBBBBB", 1, 1, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + b"IHDR" + head + struct.pack(">I", zlib.crc32(b"IHDR" + head))


def ragged(good: int) -> bytes:
    return b"a,b\n" + b"1,2\n" * good + b"1,2,3\n"


def packed(text: str, rows: int) -> pa.Table:
    """The same text in so many rows, kept once."""
    return pa.table({"a": pa.DictionaryArray.from_arrays(pa.array([0] * rows, pa.int32()), [text])})


BAD = {
    "nothing": (b"", "empty"),
    "blanks": (b" \n\n\t ", "empty"),
    "only a mark": (b"\xef\xbb\xbf", "empty"),
    "binary": (bytes(range(256)) * 40, "binary"),
    "controls": (bytes(range(1, 9)) * 100, "binary"),
    "excel": (zipped("xl/workbook.xml"), "Excel"),
    "image": (png(), "image"),
    "gzip": (b"\x1f\x8b\x08\x00", "gzip"),
    "pickle": (b"\x80\x04\x95\x00", "pickle"),
    "not utf-16": (b"\xff\xfea", "UTF-16"),
    "ragged.csv": (ragged(5), "Line 7 has 3 cells and the header has 2 columns."),
    "short.csv": (b"a,b,c\n1,2,3\n1,2\n", "Line 3 has 2 cells"),
    "quote.csv": (b'a,b\n1,"2\n3,4\n', "quotes"),
    "header.csv": (b"a,b\n", "no row"),
    "twice.csv": (b"a,a\n1,2\n", "Two columns"),
    "wide.csv": (b",".join(b"c%d" % i for i in range(70)) + b"\n" + b",".join([b"1"] * 70), "70 columns"),
    "long name.csv": (b"a" * 300 + b",b\n1,2\n", "header"),
    "broken.json": (b'[{"a": 1},', "not JSON"),
    "deep.json": (b"[" * 200_000 + b"]" * 200_000, "nested"),
    "deepish.json": (b'[{"a":' + b"[" * 100 + b"]" * 100 + b"}]", "nested"),
    "deep.jsonl": (b'{"a": 1}\n' + b'{"a":' * 50_000, "nested"),
    "many lists.json": (b"[" + b"[]," * 2_100_000 + b"1]", "lists"),
    "number.json": (b"[1, 2, 3]", "no row"),
    "text.json": (b'"hello"', "no list"),
    "line.jsonl": (b'{"a": 1}\n{"a": }\n', "Line 2 is not JSON"),
    "huge number.json": (b'[{"a": ' + b"9" * 10_000 + b"}]", "not JSON"),
    "cell.csv": (b"a,b\n1," + b"x" * 10_000_000 + b"\n", "far too long"),
    "cell.json": (json.dumps([{"a": "x" * 10_000_000}]).encode(), "10,000,000 characters"),
    "rows.txt": (b"x\n" * 50_001, "50,000 rows"),
    "100 MB": (bytes(100_000_000), "100.0 MB"),
    "damaged.parquet": (FORMATS["rows.parquet"][:-40] + b"\0" * 36 + b"PAR1", "Parquet"),
    "cut.parquet": (FORMATS["rows.parquet"][:200], "Parquet"),
    "bomb.parquet": (parquet(packed("0" * 90_000, 45_000)), "million characters"),
    "rows.parquet": (
        parquet(pa.table({"a": pa.array([1], pa.int8()).take(pa.array([0] * 3_000_000))})),
        "3,000,000 rows",
    ),
    "cell.parquet": (parquet(pa.table({"a": ["x" * 10_000_000]}), compression="zstd"), "10,000,000 bytes"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_file_is_one_sentence(name):
    data, part = BAD[name]
    with pytest.raises(Unreadable) as caught:
        reading.read(data, name)
    sentence = str(caught.value)
    assert part in sentence and len(sentence) < 300 and "\n" not in sentence and sentence.endswith(".")


def test_a_file_that_is_not_there_or_too_large_is_not_opened(tmp_path):
    with pytest.raises(Unreadable, match="no file"):
        reading.read_file(tmp_path / "x.csv")
    with (tmp_path / "x.csv").open("wb") as file:
        file.truncate(10**11)
    with pytest.raises(Unreadable, match="100,000.0 MB"):
        reading.read_file(tmp_path / "x.csv")


def test_what_a_child_cannot_hold_or_finish_is_one_sentence(monkeypatch):
    monkeypatch.setattr(child, "PARQUET_S", 0.01)
    with pytest.raises(Unreadable, match="within"):
        reading.read(FORMATS["rows.parquet"])
    monkeypatch.setattr(child, "PARQUET_S", 30)
    monkeypatch.setattr(sys, "executable", "/bin/false")
    with pytest.raises(Unreadable, match="more memory"):
        reading.read(FORMATS["rows.parquet"])


def test_the_memory_of_a_child_is_limited():
    """A real allocation beyond the limit, in a child that has set it."""
    import subprocess

    code = "from experiments.catalog.own_data import child; child.limit_memory(); bytearray(5 << 30)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert "MemoryError" in done.stderr


def test_packed_text_is_measured_before_it_is_unpacked():
    """Four gigabytes of text in a few kilobytes: refused while packed."""
    data = parquet(packed("é" * 45_000, 45_000), compression="zstd")
    assert len(data) < 20_000
    with pytest.raises(Unreadable, match="million"):
        parquet_file.read(data)


def test_what_a_parquet_file_says_of_itself_is_believed_before_it_is_opened(monkeypatch):
    data = parquet(pa.table({"a": [str(i) * 50 for i in range(2000)]}), compression="zstd", use_dictionary=False)
    monkeypatch.setattr(parquet_file, "MAX_UNPACKED", 100_000)
    with pytest.raises(Unreadable, match="unpacks to"):
        parquet_file.read(data)


VALUES = st.one_of(st.text(), st.none(), st.booleans(), st.integers(), st.floats(), st.lists(st.text(), max_size=2))


@settings(deadline=None, max_examples=150)
@given(
    st.one_of(
        st.binary(max_size=400),
        st.text(max_size=400).map(lambda t: t.encode("utf-8", "replace")),
        st.lists(st.dictionaries(st.text(max_size=8), VALUES, max_size=4), max_size=6).map(
            lambda r: json.dumps(r).encode()
        ),
        st.lists(st.lists(st.text(max_size=6), min_size=1, max_size=3), max_size=6).map(
            lambda rows: "\n".join(",".join(row) for row in rows).encode("utf-8", "replace")
        ),
    ),
    st.sampled_from(["", "x.csv", "x.tsv", "x.json", "x.jsonl", "x.txt", "x.parquet"]),
)
def test_any_bytes_are_a_table_or_one_sentence(data, name):
    try:
        found = reading.read(data, name)
    except Unreadable as error:
        assert str(error).endswith(".") and str(error).isprintable()
    else:
        assert isinstance(found, Table) and found.rows and all(len(r) == len(found.columns) for r in found.rows)
        assert tables.parse(found.canonical()).rows == found.rows
