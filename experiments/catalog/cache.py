"""The lab's folder of fetched and derived files: made once, whole or not at all.

`make_once` is the one way in: a target is written under a temporary name while a lock file is held and renamed when it
is complete, so two processes that ask at once share one making, and a process killed half-way leaves nothing under the
target's own name. This module knows nothing of hubs, packages or tasks.
"""

import contextlib
import errno
import hashlib
import json
import os
import shutil
import threading
from collections.abc import Callable
from pathlib import Path

Progress = Callable[[str, int, "int | None"], None]  # (stage, bytes done, bytes in all or None)


class ResourceError(RuntimeError):
    """A resource cannot be brought; the message is one sentence for the person at the page."""


def lab_home() -> Path:
    """The lab's own folder: the environment variable LAB_HOME, else the platform's user data folder. Not created here."""
    named = os.environ.get("LAB_HOME")
    if named:
        return Path(named).expanduser().resolve()
    from platformdirs import user_data_dir

    return Path(user_data_dir("fine-tuning-lab", appauthor=False))


def cache_folder() -> Path:
    """`lab_home()/cache`: everything in it can be deleted and will be fetched or made again."""
    return lab_home() / "cache"


def make_once(
    target: Path,
    make: Callable[[Path], None],
    *,
    good: Callable[[Path], bool] = Path.exists,
    resume: bool = False,
    progress: Progress | None = None,
) -> Path:
    """`target` (a file or a folder), made by `make(partial_path)` unless a good one is there already.

    `good` decides whether what is there is whole; what is not is made again. With `resume` the partial folder of an
    attempt that failed is kept for the next one. Several processes may call this at once: one makes, the others wait
    for it. Raises ResourceError where the disk is full or the folder cannot be written, and whatever `make` raises.
    """
    if good(target):
        return target
    make_folder(target.parent)
    with plain_os_errors(target.parent):
        partial = target.with_name(target.name + ".part")
        with _locked(target.with_name(target.name + ".lock"), progress):
            if good(target):
                return target
            if not resume:
                remove(partial)
            try:
                make(partial)
            except BaseException:
                if not resume:
                    remove(partial)
                raise
            remove(target)
            partial.rename(target)
    return target


def make_folder(folder: Path) -> None:
    """A folder, and those above it, made where they are not there. Raises ResourceError where they cannot be."""
    with plain_os_errors(folder):
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except FileNotFoundError as error:  # below /proc, say
            raise ResourceError(
                f"Cannot write to {folder}: no folder can be made there; set LAB_HOME to another folder."
            ) from error


def remove(path: Path) -> None:
    """Delete a file or a folder, if there is one."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def require_space(folder: Path, needed: int) -> None:
    """Raise ResourceError unless the disk under `folder` has `needed` bytes free (and a tenth more)."""
    free = shutil.disk_usage(folder).free
    if free < needed * 1.1:
        raise ResourceError(
            f"the disk is full: {needed / 1e6:,.0f} MB are needed and {free / 1e6:,.0f} MB are free in {folder}"
        )


def sha256_of(path: Path) -> str:
    """Hex sha256 of a file's bytes."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def folder_digest(folder: Path) -> str:
    """Twelve hex digits that stand for the content of all files in `folder` (hidden ones and the README left out).

    The bytes are read once; after that, names, sizes and modification times vouch for them.
    """
    files = sorted(
        p
        for p in folder.rglob("*")
        if p.is_file() and not any(q.startswith(".") or q == "README.md" for q in p.relative_to(folder).parts)
    )
    stamp = [[p.relative_to(folder).as_posix(), p.stat().st_size, p.stat().st_mtime_ns] for p in files]
    memo = cache_folder() / "digests" / (hashlib.sha256(str(folder.resolve()).encode()).hexdigest()[:24] + ".json")
    try:
        known = json.loads(memo.read_text(encoding="utf8"))
        if known["stamp"] == stamp:
            return known["digest"]
    except (OSError, ValueError, KeyError, TypeError):
        pass  # never seen, or the note is damaged: read the bytes
    whole = hashlib.sha256(
        json.dumps([[p.relative_to(folder).as_posix(), sha256_of(p)] for p in files]).encode()
    ).hexdigest()[:12]
    with contextlib.suppress(OSError):  # only a shortcut is lost
        write_text(memo, json.dumps({"stamp": stamp, "digest": whole}))
    return whole


def write_text(path: Path, text: str) -> None:
    """Write a small text file so that no reader ever sees half of it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f"{path.name}.{os.getpid()}.{threading.get_ident()}.part")
    partial.write_text(text, encoding="utf8")
    partial.replace(path)


MANIFEST = "lab-manifest.json"


def write_manifest(folder: Path, **notes: str) -> None:
    """Note beside the files of a fetched folder what they are: `notes`, and each file's bytes and sha256."""
    files = sorted(p for p in folder.iterdir() if p.is_file() and p.name != MANIFEST)
    known = {p.name: {"bytes": p.stat().st_size, "sha256": sha256_of(p)} for p in files}
    (folder / MANIFEST).write_text(json.dumps({**notes, "files": known}, indent=1), encoding="utf8")


def is_whole(folder: Path) -> bool:
    """Whether a fetched folder has its manifest and every file of it in full length."""
    try:
        files = json.loads((folder / MANIFEST).read_text(encoding="utf8"))["files"]
        return all((folder / name).stat().st_size == known["bytes"] for name, known in files.items())
    except (OSError, ValueError, KeyError, TypeError):
        return False


class plain_os_errors:  # noqa: N801 (reads as a phrase: with plain_os_errors(folder))
    """Turns a full disk or a forbidden folder, met inside the block, into a ResourceError sentence."""

    REASONS = {
        errno.ENOSPC: "the disk is full",
        errno.EDQUOT: "the disk quota is used up",
        errno.EACCES: "it may not be written",
        errno.EPERM: "it may not be written",
        errno.EROFS: "it is on a read-only disk",
        errno.ENOTDIR: "a file is where a folder should be",
        errno.EEXIST: "a file is where a folder should be",
    }

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, OSError) and error.errno in self.REASONS:
            is_full = error.errno in (errno.ENOSPC, errno.EDQUOT)
            raise ResourceError(
                f"Cannot write to {self.folder}: {self.REASONS[error.errno]}; {'free some space, or ' if is_full else ''}"
                "set LAB_HOME to another folder."
            ) from error


class _locked:  # noqa: N801
    """A file lock that tells the caller when it has to wait for another process."""

    def __init__(self, path: Path, progress: Progress | None) -> None:
        from filelock import FileLock

        self.lock, self.progress = FileLock(path), progress

    def __enter__(self) -> None:
        from filelock import Timeout

        try:
            self.lock.acquire(timeout=0)
        except Timeout:
            if self.progress:
                self.progress("waiting for another process", 0, None)
            self.lock.acquire()

    def __exit__(self, *_: object) -> None:
        self.lock.release()
