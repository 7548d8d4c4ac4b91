"""What the Hub's cache holds, whoever put it there: a pull, `hf download`, or a library that loaded a model."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cluster.errors import BrokenModel
from cluster.library.inspection import FolderFacts, look
from cluster.library.manifest import Order
from cluster.library.selection import needed
from cluster.library.shelf import PARTIAL, Record, Shelf


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """A revision that is here, whole. record: None where another tool fetched it."""

    name: str
    commit: str
    folder: Path
    record: Record | None


def said_of(here: Held | None) -> str:
    """Who says which revision it is."""
    if here is None:
        return "what a pull takes"
    if here.record is None:
        return "the Hub's cache, where another tool put it"
    registry = "the Hub" if here.record.manifest.registry == "hub" else "the registry folder"
    return f"pulled from {registry} as {here.record.manifest.revision}, every hash compared"


def held(shelf: Shelf, order: Order) -> Held | None:
    """The model as ordered, if all of it is here; no network is asked. Raises InvalidModelName."""
    commit = shelf.commit_of(order.name, order.revision)
    if commit is None:
        return None
    folder, record = shelf.snapshot(order.name, commit), shelf.record(order.name, commit)
    if not folder.is_dir():
        return None
    if record is not None:
        wanted = {file.path for file in needed(order.name, record.manifest.files, order)}
        return (
            Held(name=order.name, commit=commit, folder=folder, record=record)
            if wanted <= set(record.here)
            else None
        )
    return Held(name=order.name, commit=commit, folder=folder, record=None) if _fits(folder, order) else None


def _fits(folder: Path, order: Order) -> bool:
    """Whether what another tool left is the whole of what is ordered, as far as the files themselves can say."""
    if order.only:
        return all(any(folder.glob(pattern)) for pattern in order.only)
    if not order.weights:
        return any(folder.iterdir())
    try:
        facts = look(folder)
    except BrokenModel:
        return False
    return order.allow_pickle or not facts.pickled


def partial_bytes(shelf: Shelf, name: str) -> int:
    """What has arrived of a model's unfinished files."""
    return sum(file.stat().st_size for file in (shelf.repository(name) / "blobs").glob(f"*{PARTIAL}"))


def scan(shelf: Shelf) -> Any:
    """The Hub library's own look at its cache; None where there is none."""
    from huggingface_hub import CacheNotFound, scan_cache_dir

    try:
        return scan_cache_dir(shelf.root)
    except (CacheNotFound, ValueError):  # ValueError: a file is where the folder should be
        return None


def found(shelf: Shelf) -> list[tuple[Held, FolderFacts | BrokenModel]]:
    """The newest revision of each model in the cache, with what its files say, or what is wrong with them."""
    cache = scan(shelf)
    models = [repo for repo in cache.repos if repo.repo_type == "model" and repo.revisions] if cache else []
    listed: list[tuple[Held, FolderFacts | BrokenModel]] = []
    for repo in sorted(models, key=lambda one: one.repo_id):
        newest = max(repo.revisions, key=lambda one: ("main" in one.refs, one.last_modified))
        one = Held(
            name=repo.repo_id,
            commit=newest.commit_hash,
            folder=Path(newest.snapshot_path),
            record=shelf.record(repo.repo_id, newest.commit_hash),
        )
        try:
            listed.append((one, look(one.folder)))
        except BrokenModel as error:
            listed.append((one, error))
    return listed
