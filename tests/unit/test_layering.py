"""Rule 1: the science runs without a page, and the page runs without torch. Read from the source, then tried in a child."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TENSORS = {"torch", "transformers", "peft", "trl"}
PAGE = {"gradio", "plotly", "lab_app"}


def imported(source: str, everywhere: bool = True) -> Iterator[str]:
    """Dotted names that a file imports: everywhere in it, or only when it is loaded (`if TYPE_CHECKING` is not)."""
    waiting: list[ast.AST] = [ast.parse(source)]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        only_types = isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
        later = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        if everywhere or not (only_types or later):
            waiting += ast.iter_child_nodes(node)


def packages(file: Path, everywhere: bool = True) -> set[str]:
    return {name.split(".")[0] for name in imported(file.read_text("utf8"), everywhere)}


def files(*places: str) -> list[Path]:
    found = [f for place in places for f in sorted(ROOT.glob(place))]
    assert found
    return found


def test_the_walk_sees_every_kind_of_import():
    hidden = "def f():\n    if 1:\n        from torch.nn import Module\n    import gradio as g\nclass C:\n    import plotly.io"
    assert set(imported(hidden)) == {"torch.nn.Module", "gradio", "plotly.io"}
    assert set(imported(hidden, everywhere=False)) == {"plotly.io"}
    assert set(imported("if TYPE_CHECKING:\n    import torch\ntry:\n    import peft\nfinally: pass", False)) == {"peft"}


@pytest.mark.parametrize("file", files("experiments/**/*.py"), ids=lambda f: f.relative_to(ROOT).as_posix())
def test_the_science_knows_of_no_page(file):
    assert not packages(file) & PAGE


@pytest.mark.parametrize("file", files("lab_app/**/*.py", "app.py"), ids=lambda f: f.relative_to(ROOT).as_posix())
def test_the_page_knows_of_no_tensor(file):
    assert not packages(file) & TENSORS
    assert not [name for name in imported(file.read_text("utf8")) if name.startswith("experiments.engine")]


@pytest.mark.parametrize("file", files("experiments/**/*.py"), ids=lambda f: f.relative_to(ROOT).as_posix())
def test_only_the_engine_loads_torch(file):
    if ROOT / "experiments/engine" in file.parents:
        return
    assert not packages(file, everywhere=False) & TENSORS
    assert not [n for n in imported(file.read_text("utf8"), everywhere=False) if n.startswith("experiments.engine")]


SCIENCE = "specs events store jobs analysis estimates accounting workers methods __main__ catalog.cache catalog.hub"
SCIENCE += " catalog.models catalog.packages catalog.resources catalog.tasks catalog.tokenizers"
SCIENCE += " tokenization.report tokenization.steps tokenization.training tokenization.vocabulary"


def loaded_by(modules: str) -> list[str]:
    """Which heavy packages a fresh Python has loaded after importing these."""
    heavy = sorted(TENSORS | PAGE | {"pandas"})
    code = f"import sys, importlib\nfor m in {modules!r}.split(): importlib.import_module(m)\n"
    code += f"print([m for m in {heavy} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert not done.returncode, done.stderr
    return ast.literal_eval(done.stdout)


def test_importing_the_science_loads_nothing_heavy():
    assert loaded_by(" ".join("experiments." + name for name in SCIENCE.split())) == []


def test_importing_the_engine_does_load_torch():
    assert "torch" in loaded_by("experiments.engine.loss")


def test_importing_the_page_does_not_load_torch():
    assert not set(loaded_by("lab_app.layout lab_app.lab")) & TENSORS
