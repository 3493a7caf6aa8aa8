"""Freed memory goes back to the system: the C library keeps it for the process otherwise. Free of torch."""

from __future__ import annotations

import ctypes
import gc


def give_back() -> None:
    """Collect what nothing refers to, and return what glibc holds free; elsewhere only the first."""
    gc.collect()
    try:
        ctypes.CDLL("libc.so.6").malloc_trim(0)
    except (OSError, AttributeError):  # not glibc
        return
