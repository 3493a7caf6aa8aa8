"""The model hub as a source: which commit and which files, then the files.

Through huggingface_hub's own client, so HF_ENDPOINT, HF_TOKEN, HF_HUB_OFFLINE and its cache on this machine are
honoured. Only text and safetensors files are brought, never pickles; every file is held against the content hash that
the hub announces. Knows nothing of the lab's cache or of other sources (`resources.py`). Every failure is a
ResourceError that says why in one clause.
"""

import fnmatch
import hashlib
import os
import queue
import re
import shutil
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from experiments.catalog.cache import Progress, ResourceError, remove, require_space, sha256_of

ANSWER_S = 5  # a hub that has not answered by then is passed over
SAFE_SUFFIXES = (".json", ".txt", ".safetensors", ".model", ".jinja", ".jsonl")  # never .bin or .pt: those are pickles


@dataclass(frozen=True)
class Hub:
    """A repository of the model hub: the files at its top level whose names match one of `files`; refused where they are
    together larger than `most_bytes`."""

    repo_id: str
    files: tuple[str, ...]
    revision: str = "main"
    repo_type: str = "model"
    most_bytes: int | None = None


class Refused(ResourceError):
    """The hub has answered, and the answer is no: trying again, or connecting, will not help."""


@dataclass(frozen=True)
class HubFiles:
    """What a repository holds at one commit: file name → (bytes, content hash as the hub gives it)."""

    commit: str
    files: Mapping[str, tuple[int, str]]
    # set where the hub itself is out of reach and its own cache on this machine has the commit
    kept_in: Path | None = None


def look_at_hub(hub: Hub) -> HubFiles:
    """The commit that `hub.revision` names now and the files wanted from it; answers within ANSWER_S. Honours
    HF_ENDPOINT, HF_TOKEN, HF_HUB_OFFLINE. Raises ResourceError: offline, no answer, no such model, gated, no
    safetensors.
    """
    if os.environ.get("HF_HUB_OFFLINE", "").upper() in {"1", "ON", "YES", "TRUE"}:
        return _hub_cache(hub, "HF_HUB_OFFLINE is set")
    try:
        import huggingface_hub.hf_api  # noqa: F401 (before the clock starts: on a busy machine it takes seconds)
    except ImportError:
        raise ResourceError("huggingface_hub is not installed") from None
    answers: queue.Queue[Any] = queue.Queue()
    # in a thread, because name look-ups ignore timeouts
    threading.Thread(target=lambda: answers.put(_ask_hub(hub)), daemon=True).start()
    try:
        answer = answers.get(timeout=ANSWER_S)
    except queue.Empty:
        answer = ConnectionError(f"did not answer within {ANSWER_S} s")
    if isinstance(answer, ResourceError):
        raise answer
    if isinstance(answer, Exception):
        return _hub_cache(hub, _in_short(answer))
    found = {s.rfilename: (s.size or 0, s.lfs.sha256 if s.lfs else s.blob_id or "") for s in answer.siblings or ()}
    return HubFiles(answer.sha, {name: found[name] for name in _wanted(hub, list(found))})


def bring_from_hub(hub: Hub, seen: HubFiles, folder: Path, progress: Progress | None) -> None:
    """Write the files of `seen` into `folder`; those already there and right are kept. Raises ResourceError."""
    folder.mkdir(parents=True, exist_ok=True)
    if seen.kept_in:
        for name in seen.files:
            shutil.copyfile(seen.kept_in / name, folder / name)
        return
    from huggingface_hub import hf_hub_download

    total = sum(size for size, _ in seen.files.values())
    if hub.most_bytes is not None and total > hub.most_bytes:
        raise Refused(f"{hub.repo_id} sends {total / 1e6:,.0f} MB, and at most {hub.most_bytes / 1e6:,.0f} are taken")
    require_space(folder, total)
    done = 0
    for name, (size, content_hash) in seen.files.items():
        if not _has_hash(folder / name, content_hash):
            try:
                hf_hub_download(
                    hub.repo_id,
                    name,
                    revision=seen.commit,
                    repo_type=hub.repo_type,
                    local_dir=folder,
                    etag_timeout=ANSWER_S,
                    endpoint=os.environ.get("HF_ENDPOINT"),
                    tqdm_class=_bar(progress, done, total),
                )
            except ResourceError:
                raise
            except Exception as error:  # the client raises its own, the transport's and the system's
                raise ResourceError(f"the model hub broke off while sending {name} ({_in_short(error)})") from error
        if not _has_hash(folder / name, content_hash):
            remove(folder / name)
            raise ResourceError(
                f"{name} from the model hub is damaged: its content hash is not the one the hub announced"
            )
        done += size
        if progress:
            progress("downloading", done, total)
    remove(folder / ".cache")  # the client's own notes


def _ask_hub(hub: Hub) -> Any:
    """The hub's answer about a repository, or the exception to report (returned: this runs in a thread)."""
    from huggingface_hub import HfApi
    from huggingface_hub.errors import GatedRepoError, HFValidationError, RepositoryNotFoundError, RevisionNotFoundError

    try:
        api = HfApi(endpoint=os.environ.get("HF_ENDPOINT"))
        info = api.repo_info(
            hub.repo_id, revision=hub.revision, repo_type=hub.repo_type, files_metadata=True, timeout=ANSWER_S
        )
        return info if info.sha else ResourceError("the model hub gave no commit")
    except HFValidationError:
        return Refused(f"“{hub.repo_id}” is not a hub id (owner/name)")
    except GatedRepoError:
        return Refused(f"{hub.repo_id} is gated: accept its terms on its hub page and set HF_TOKEN to your token")
    except RepositoryNotFoundError:
        return Refused(
            f"the model hub has no {hub.repo_type} {hub.repo_id}, or it is private and HF_TOKEN does not open it"
        )
    except RevisionNotFoundError:
        return Refused(f"{hub.repo_id} has no revision “{hub.revision}”")
    except Exception as error:  # transport, proxy, certificate, odd answers
        return error


def _hub_cache(hub: Hub, why: str) -> HubFiles:
    """The same from the hub client's own cache on this machine, for a hub that is out of reach because of `why`."""
    from huggingface_hub import snapshot_download

    try:
        kept = snapshot_download(
            hub.repo_id,
            revision=hub.revision,
            repo_type=hub.repo_type,
            local_files_only=True,
            allow_patterns=list(hub.files),
        )
    except Exception as error:
        raise ResourceError(f"the model hub is out of reach ({why})") from error
    names = [p.name for p in Path(kept).iterdir() if p.is_file()]
    return HubFiles(Path(kept).name, {name: (0, "") for name in _wanted(hub, names)}, Path(kept))


def _wanted(hub: Hub, names: list[str]) -> list[str]:
    """The names that match a pattern and have a safe suffix, in the hub's order."""
    hits = [
        n
        for n in names
        if "/" not in n and n.endswith(SAFE_SUFFIXES) and any(fnmatch.fnmatchcase(n, p) for p in hub.files)
    ]
    if any(p.endswith(".safetensors") for p in hub.files) and not any(n.endswith(".safetensors") for n in hits):
        raise Refused(f"{hub.repo_id} holds no safetensors weights, and the lab opens no pickled ones (.bin, .pt)")
    if not hits:
        raise Refused(f"{hub.repo_id} holds none of the files wanted ({', '.join(hub.files)})")
    return hits


def _has_hash(path: Path, content_hash: str) -> bool:
    """Whether a file has the hub's content hash: sha256 for large files, git's blob sha1 for small ones, nothing to
    hold it against.
    """
    if not path.is_file():
        return False
    if len(content_hash) == 64:
        return sha256_of(path) == content_hash
    data = path.read_bytes()
    return (
        not content_hash
        or hashlib.sha1(b"blob %d\0" % len(data) + data, usedforsecurity=False).hexdigest() == content_hash
    )


def _bar(progress: Progress | None, before: int, total: int) -> Any:
    """A stand-in for the hub client's progress bar that reports bytes of the whole download and draws nothing."""
    from tqdm.auto import tqdm

    class Silent(tqdm):
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            kwargs.pop("name", None)
            self.bytes_done = kwargs.get("initial") or 0
            super().__init__(*args, **{**kwargs, "disable": True})

        def update(self, n: float | None = 1) -> None:
            self.bytes_done += int(n or 0)
            if progress:
                progress("downloading", min(before + self.bytes_done, total), total)

        def update_transfer(self, n: float | None = 1) -> None:
            """Bytes on the wire, which the client counts beside those written; its being here keeps the two apart."""

        def set_transfer_postfix_str(self, *args: Any, **kwargs: Any) -> None:
            """A rate to be drawn: not here."""

    return Silent


def _in_short(error: Exception) -> str:
    """An exception as one short clause."""
    return re.sub(
        r"\s+", " ", f"{type(error).__name__}: {error}" if not isinstance(error, ConnectionError) else str(error)
    )[:160]
