"""What pyproject.toml and the README say of the packages is what there is."""

import re
from itertools import takewhile
from pathlib import Path

import pytest
from setuptools.config.pyprojecttoml import read_configuration

ROOT = Path(__file__).parents[2]
PACKAGES = ("experiments", "lab_app")


def test_every_room_and_every_file_in_it_is_packed():
    settings = read_configuration(ROOT / "pyproject.toml")["tool"]["setuptools"]
    found = (file for package in PACKAGES for file in (ROOT / package).rglob("*") if file.is_file())
    files = [file.relative_to(ROOT) for file in found if file.parent.name != "__pycache__"]
    assert set(settings["packages"]) == {".".join(file.parent.parts) for file in files}
    packed = {
        file.relative_to(ROOT)
        for package, patterns in settings["package-data"].items()
        for pattern in patterns
        for file in (ROOT / package.replace(".", "/")).glob(pattern)
    }
    assert packed == {file for file in files if file.suffix != ".py"}


@pytest.mark.parametrize("package", PACKAGES)
def test_the_tree_of_the_readme_names_every_file_and_room(package):
    tree = (ROOT / "README.md").read_text("utf8").partition("\n## The tree\n")[2].partition(f"\n{package}/")[2]
    lines = [line.split() for line in re.match(r".*\n((?:  .*\n)*)", tree)[1].splitlines() if line[2] != " "]
    named = [name for words in lines for name in takewhile(lambda word: word.endswith((".py", "/")), words)]
    rooms = (file.name + "/" * file.is_dir() for file in (ROOT / package).iterdir())
    assert sorted(named) == sorted(name for name in rooms if not name.startswith("__"))
