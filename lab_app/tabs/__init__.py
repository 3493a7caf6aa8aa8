"""The tabs of the page, in display order. A new one is a file with TITLE and build(lab, page), and one line here."""

from __future__ import annotations

from types import ModuleType

from lab_app.tabs import align, calculate, compare, generate, runs, sweep, tokenize, train

TABS: tuple[ModuleType, ...] = (train, generate, sweep, compare, align, tokenize, calculate, runs)
