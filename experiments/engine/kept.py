"""What entered a block of a frozen model, by block and row: kept in memory, and on disk where workers of one machine share it.

A file holds one row, under a name that stands for all that its bits depend on: the weights, the device, the number of threads and
PyTorch's version beside the block and the tokens. Written under another name and renamed; one that cannot be read is not there, and
one that cannot be written is not missed. Both places are bounded, the longest unused goes first.

Shapes: L tokens of a row, D width.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections import OrderedDict
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from experiments.catalog.cache import cache_folder

MOST_MB = float(os.environ.get("LAB_PREFIX_MB", "512"))
MOST_DISK_MB = float(os.environ.get("LAB_PREFIX_DISK_MB", "1024"))
Name = tuple[int, tuple[int, ...], str]
"""The lowest block that trains, the tokens of a row, and which others it was read with ("" alone)."""


def shared(weights: str) -> Kept:
    """What all processes of this machine know of these weights."""
    return Kept(folder=cache_folder() / "frozen" / hashlib.sha256(weights.encode()).hexdigest()[:16])


class Kept:
    """At most `most_mb` in memory (0 keeps nothing) and, with a folder, `most_disk_mb` there."""

    def __init__(self, most_mb: float = MOST_MB, folder: Path | None = None, most_disk_mb: float = MOST_DISK_MB):
        self.most_mb, self.mb = most_mb, 0.0
        self.folder = folder if most_mb and most_disk_mb else None
        self.most_disk_mb = self._disk_mb = most_disk_mb  # so that what is there is weighed at the first write
        self._rows: OrderedDict[Name, Tensor] = OrderedDict()

    def get(self, name: Name, on_disk: bool = True) -> Tensor | None:
        """(L, D), None where nobody has read this row yet. `on_disk`: whether to look there, too."""
        found = self._rows.get(name)
        if found is not None:
            self._rows.move_to_end(name)
        elif self.folder and on_disk and (found := self._read(self._file(name))) is not None:
            self._remember(name, found)
        return found

    def put(self, name: Name, hidden_LD: Tensor, on_disk: bool = True) -> None:
        self._remember(name, hidden_LD)
        if self.folder and on_disk:
            with contextlib.suppress(OSError, SafetensorError):
                self._write(self._file(name), hidden_LD)

    def _remember(self, name: Name, hidden_LD: Tensor) -> None:
        self._rows[name] = hidden_LD
        self.mb += _mb(hidden_LD)
        while self.mb > self.most_mb and len(self._rows) > 1:
            self.mb -= _mb(self._rows.popitem(last=False)[1])

    def _file(self, name: Name) -> Path:
        assert self.folder
        device = torch.cuda.get_device_name() if torch.cuda.is_available() else torch.backends.cpu.get_cpu_capability()
        said = repr((name, device, torch.get_num_threads(), torch.__version__))
        return self.folder / f"{hashlib.sha256(said.encode()).hexdigest()[:32]}.safetensors"

    def _read(self, file: Path) -> Tensor | None:
        try:
            found = load_file(file, "cuda" if torch.cuda.is_available() else "cpu")["hidden"]
            os.utime(file)  # used now
        except (OSError, SafetensorError, KeyError):
            return None
        return found

    def _write(self, file: Path, hidden_LD: Tensor) -> None:
        file.parent.mkdir(parents=True, exist_ok=True)
        partial = file.with_suffix(f".{os.getpid()}")
        save_file({"hidden": hidden_LD.contiguous()}, partial)
        partial.replace(file)
        self._disk_mb += _mb(hidden_LD)
        if self._disk_mb > self.most_disk_mb:
            self._disk_mb = _shrink(file.parent, 0.9 * self.most_disk_mb)


def _shrink(folder: Path, most_mb: float) -> float:
    """Drop the files longest unused until so many MB are left; how many are. Another process may do the same."""
    files = []
    for file in folder.iterdir():
        with contextlib.suppress(OSError):
            seen = file.stat()
            files.append((seen.st_mtime, seen.st_size / 1e6, file))
    left = sum(mb for _, mb, _ in files)
    for _, mb, file in sorted(files):
        if left <= most_mb:
            break
        file.unlink(missing_ok=True)
        left -= mb
    return left


def _mb(tensor: Tensor) -> float:
    return tensor.numel() * tensor.element_size() / 1e6
