"""What pyproject.toml says of the packages is what there is."""

from pathlib import Path

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
