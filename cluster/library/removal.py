"""Being rid of a model: the Hub's cache by its own strategy, and nothing that is not ours."""

import shutil
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from cluster.errors import BadRequest, ModelInUse, ModelNotFound
from cluster.library.cached import partial_bytes, scan
from cluster.library.library import Library
from cluster.library.reference import inside, is_commit
from cluster.library.shelf import Shelf


@dataclass(frozen=True, slots=True, kw_only=True)
class Removal:
    """What would go. name: on the Hub. freed: bytes. commits: the revisions. partial: bytes of unfinished files."""

    id: str
    name: str
    commits: tuple[str, ...]
    freed: int
    partial: int


def plan(library: Library, text: str, serving: Collection[str]) -> Removal:
    """What `rm NAME[@REVISION]` would remove. serving: ids and sources that the running cluster serves.

    Raises ModelInUse; BadRequest for a model whose files are not in the Hub's cache; ModelNotFound.
    """
    wanted = library.wanted(text)
    name = wanted.orders[0].name if wanted.orders else wanted.reference.name
    named = wanted.entry.id if wanted.entry else wanted.reference.name
    if not wanted.orders:
        whose = (
            "comes with Heliostat and stays"
            if wanted.entry and wanted.entry.built_in
            else "is yours, and left alone"
        )
        raise BadRequest(f"{named} {whose}", hint="a model that was pulled", param="model")
    used = {one.casefold() for one in serving} & {one.casefold() for one in (text, named, name)}
    if used:
        raise ModelInUse(f"{named} is loaded in the running cluster", hint="unload it first, or heliostat down")
    commits, freed = _revisions(library.shelf, name, wanted.reference.revision)
    partial = partial_bytes(library.shelf, name) if wanted.reference.revision is None else 0
    if not commits and not partial:
        raise _nothing(library, name)
    return Removal(id=named, name=name, commits=commits, freed=freed + partial, partial=partial)


def remove(library: Library, removal: Removal) -> None:
    """Do it. Raises ModelInUse while somebody pulls the model."""
    shelf = library.shelf
    repository = shelf.repository(removal.name)
    if not inside(repository, shelf.root):
        raise BadRequest(f"{repository} is a link that leaves {shelf.root}: nothing was removed")
    with shelf.lock(removal.name) as lock:
        if not lock.taken():
            raise ModelInUse(f"{removal.id} is being pulled", hint="stop that first")
        cache = scan(shelf)
        if removal.commits and cache is not None:
            cache.delete_revisions(*removal.commits).execute()
        for file in (repository / "blobs").glob("*.incomplete") if removal.partial else ():
            file.unlink(missing_ok=True)
        for commit in removal.commits:
            (repository / "heliostat" / f"{commit}.json").unlink(missing_ok=True)
        if not any((repository / "snapshots").glob("*")):
            shutil.rmtree(repository, ignore_errors=True)  # refs, and folders of nothing


def _revisions(shelf: Shelf, name: str, revision: str | None) -> tuple[tuple[str, ...], int]:
    """The commits to remove, all of them where no revision is named, and the bytes that frees."""
    cache = scan(shelf)
    repo = (
        next((one for one in cache.repos if one.repo_type == "model" and one.repo_id == name), None)
        if cache
        else None
    )
    if cache is None or repo is None:
        return (), 0
    commits = tuple(
        sorted(
            one.commit_hash
            for one in repo.revisions
            if revision is None or revision in one.refs or (is_commit(revision) and one.commit_hash == revision)
        )
    )
    return commits, cache.delete_revisions(*commits).expected_freed_size if commits else 0


def _nothing(library: Library, name: str) -> Exception:
    """Why there is nothing to remove."""
    for entry in library.entries():
        if name.casefold() in {one.casefold() for one in entry.names}:
            if entry.folder and not Path(entry.folder).is_relative_to(library.shelf.root):
                return BadRequest(f"{name} is yours, {entry.folder}, and is left alone", hint="remove it there")
            whole = entry.engine.get("source")
            if entry.folder and whole != name:
                return BadRequest(f"{name} is a file of {whole}", hint=f"heliostat models rm {whole}")
            return ModelNotFound(f"{entry.id} is not on this machine", param="model")
    return library.unknown(name)
