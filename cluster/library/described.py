"""Entries of a catalog as they are listed, and what a pull of one takes."""

from pathlib import Path

from cluster.catalog import GIB, CatalogModel
from cluster.engines.source import project_root
from cluster.library.cached import Held, said_of
from cluster.library.entry import Figure, ModelEntry
from cluster.library.manifest import DEFAULT_REVISION, Order
from cluster.library.selection import with_shards


def orders_of(entry: CatalogModel, revision: str | None) -> tuple[Order, ...]:
    """The model itself, then what its own code reads beside it; nothing for one that comes with this project."""
    if not entry.from_hub:
        return ()
    engine = entry.engine
    file = engine.get("file")
    itself = Order(
        name=entry.source,
        revision=revision or engine.get("revision"),
        allow_pickle=bool(engine.get("allow_pickle")),
        remote_code=bool(engine.get("trust_remote_code")),
        only=(with_shards(str(file)),) if file else (),
    )
    return (itself, *(Order(name=str(other), weights=False) for other in engine.get("also", ())))


def described(entry: CatalogModel, said_by: str, here: Held | None = None) -> ModelEntry:
    """What a catalog says of a model, and what is here of it. said_by: the catalog's name."""
    place = None if entry.source == "builtin" else project_root() / entry.source
    built_in = entry.built_in
    folder = (str(place) if place else "its PyPI package") if built_in else str(here.folder) if here else None
    size = _size(place) if built_in and place else _size(here.folder) if here else None
    revision = (
        here.commit if here else entry.engine.get("revision") or (DEFAULT_REVISION if entry.from_hub else None)
    )
    reserved = entry.engine.get("kv_cache_gib", 1 if entry.kind == "vllm" else None)
    memory = round(entry.memory_gib(reserved) * GIB)
    if reserved is None:
        cache = f"{entry.context_length} tokens of KV cache" if entry.kv else "no KV cache"
    else:
        cache = f"{reserved} GiB that its engine reserves for the KV cache"
    return ModelEntry(
        id=entry.id,
        aliases=entry.names[1:],
        origin="built in" if built_in else "catalog",
        engine=entry.engine,
        about=entry.about,
        task=entry.shown_task,
        capabilities=tuple(entry.capabilities),
        context_length=entry.context_length,
        memory=memory,
        on_disk=built_in or here is not None,
        size=size,
        revision=revision,
        folder=folder,
        licence=entry.licence,
        generation=entry.engine.get("generation", {}),
        figures=(
            Figure(name="context_length", value=entry.context_length, said_by=said_by),
            Figure(name="longest", value=entry.longest, said_by=said_by),
            Figure(name="parameters", value=entry.parameters, said_by=said_by),
            Figure(
                name="memory",
                value=memory,
                said_by=f"{entry.parameters:,} parameters of {entry.bytes_per_parameter} bytes, and {cache}",
            ),
            *([Figure(name="size", value=size, said_by="the sizes of its files")] if size is not None else []),
            *([Figure(name="revision", value=revision, said_by=said_of(here))] if revision else []),
            Figure(name="generation", value=entry.engine.get("generation", {}), said_by=said_by),
        ),
    )


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
