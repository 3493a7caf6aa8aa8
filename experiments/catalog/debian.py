"""Debian's archive as a source, for the one text that no other has: members of a package, brought by apt's own client.

`apt-get download` as the user (its settings and mirrors apply); nothing is installed and no script of the package is
run. Members are held against their recorded sha256 by `packages.py`, which calls this. Where there is no apt, or its
lists do not know the version, a ResourceError says so.
"""

import shutil
import subprocess
from pathlib import Path

from experiments.catalog.cache import Progress, ResourceError

PATIENCE_S = 120


def apt_download(requirement: str, work: Path, progress: Progress | None) -> Path:
    """The files of a package (`name=version`) as one tar archive in `work`. Raises ResourceError."""
    if not (shutil.which("apt-get") and shutil.which("dpkg-deb")):
        raise ResourceError(f"{requirement} is a Debian package, and this machine has no apt")
    if progress:
        progress("downloading", 0, None)
    work.mkdir(parents=True, exist_ok=True)
    _run(["apt-get", "download", "-q", requirement], work, requirement)
    found = sorted(work.glob("*.deb"))
    if len(found) != 1:
        raise ResourceError(f"apt brought {len(found)} packages for {requirement}; the lab expects one")
    archive = work / "files.tar"
    with archive.open("wb") as file:
        _run(["dpkg-deb", "--fsys-tarfile", found[0].name], work, requirement, file)
    return archive


def _run(command: list[str], work: Path, requirement: str, output: object = subprocess.DEVNULL) -> None:
    try:
        done = subprocess.run(command, cwd=work, stdout=output, stderr=subprocess.PIPE, text=True, timeout=PATIENCE_S)  # type: ignore[call-overload]
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ResourceError(f"{command[0]} did not bring {requirement}") from error
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
        raise ResourceError(f"apt gave no {requirement} ({last[:120]}); “apt-get update” may help")
