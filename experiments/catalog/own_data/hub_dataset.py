"""The child that brings the first rows of a data set of the model hub, through the `datasets` library.

No code of a data set is run: that library has stopped to, and a repository that has nothing but code is refused in a sentence.
"""

from __future__ import annotations

import re
import sys
from typing import Any

from experiments.catalog.own_data import child
from experiments.catalog.own_data.table import Unreadable

MOST_ROWS = 10_000
MOST_BYTES = 40_000_000
ANSWER_S = 8
NAME = re.compile(r"([\w.-]{1,96}(?:/[\w.-]{1,96})?)(?::([\w.-]{1,96}))?")


def main(name: str) -> None:
    child.limit_memory()
    try:
        child.answer(*bring(name))
    except Unreadable as error:
        child.refuse(str(error))
    except Exception as error:  # transport, formats, anything that the library lets through
        child.refuse(_sentence(name, error))


def bring(name: str) -> tuple[list[str], list[list[Any]], list[str]]:
    """Columns, rows and notes. Raises `Unreadable`, or what the libraries raise."""
    found = NAME.fullmatch(name)
    if not found or ".." in name:
        raise Unreadable(f"“{name[:60]}” is no hub id; one looks like owner/name, or owner/name:configuration.")
    repo_id, config = found.groups()
    commit = _look(repo_id)
    from datasets import load_dataset

    parts = load_dataset(repo_id, config, revision=commit, streaming=True)
    split = "train" if "train" in parts else next(iter(parts))
    rows: list[dict[str, Any]] = []
    size = 0
    for row in parts[split]:
        rows.append({key: value for key, value in row.items() if _is_text(value)})
        size += sum(len(str(value)) for value in rows[-1].values())
        if len(rows) == MOST_ROWS or size > MOST_BYTES:
            break
    columns = list(dict.fromkeys(key for row in rows for key in row))
    if not any(isinstance(value, str | list) for row in rows for value in row.values()):
        raise Unreadable(f"{repo_id} has no column of text.")
    notes = [f"The first {len(rows):,} rows of “{split}” of {repo_id}."]
    return columns, [[row.get(c) for c in columns] for row in rows], notes


def _is_text(value: Any) -> bool:
    """Text, numbers, and lists of them: what can be learnt. Images and sound are left out."""
    return value is None or isinstance(value, str | int | float) or (isinstance(value, list) and _plain(value))


def _plain(values: list[Any]) -> bool:
    return all(isinstance(v, str | int | float | dict) for v in values)


def _look(repo_id: str) -> str:
    """The commit of the data set. Raises `Unreadable`: not there, private, gated, wants to run code of its own."""
    from huggingface_hub import HfApi
    from huggingface_hub.errors import GatedRepoError, HFValidationError, RepositoryNotFoundError

    try:
        about = HfApi().dataset_info(repo_id, timeout=ANSWER_S)
    except HFValidationError:
        raise Unreadable(f"“{repo_id[:60]}” is no hub id; one looks like owner/name.") from None
    except GatedRepoError:
        raise Unreadable(
            f"{repo_id} is gated: its terms must be accepted on the hub, which a visitor cannot do here."
        ) from None
    except RepositoryNotFoundError:
        raise Unreadable(f"The model hub has no data set {repo_id}, or it is private.") from None
    files = [s.rfilename for s in about.siblings or ()]
    data = [
        f
        for f in files
        if f.endswith((".parquet", ".csv", ".tsv", ".json", ".jsonl", ".txt", ".gz", ".zst", ".zip", ".arrow"))
    ]
    if not data and any(f.endswith(".py") for f in files):
        raise Unreadable(f"{repo_id} wants to run code of its own, which the lab never does.")
    if not data:
        raise Unreadable(f"{repo_id} holds no file of rows.")
    return about.sha or "main"


def _sentence(name: str, error: Exception) -> str:
    text = f"{type(error).__name__}: {error}"
    if isinstance(error, MemoryError):
        return f"{name} takes more memory than the lab gives."
    if "Config name is missing" in text or "BuilderConfig" in text:
        configs = re.findall(r"'([\w.-]+)'", str(error).split("]")[0])
        return f"{name} has several configurations; write one behind the name: {', '.join(f'{name}:{c}' for c in configs[:4])}."
    if "trust_remote_code" in text or "scripts are no longer supported" in text:
        return f"{name} wants to run code of its own, which the lab never does."
    if re.search("onnect|timed? ?out|unreachable|resolve|Offline|Max retries", text):
        return f"The model hub cannot be reached, so {name} cannot be brought; upload the rows as a file instead."
    return f"{name} cannot be read: {re.sub(r'https?://[^ ]+', '…', text)[:160]}."


if __name__ == "__main__":
    main(sys.argv[1])
