import asyncio
import hashlib
from pathlib import Path

import pytest

from cluster.documents import SearchCall, SearchMode
from cluster.errors import BadRequest, CollectionNotFound, DocumentNotFound, EmptyDocument
from tests.unit.retrieval.library_parts import library

WEATHER = b"Rain falls in Spain. " * 3
SNOW = b"Snow covers the Alps in winter."


def asked(query: str, limit: int = 3, **more: object) -> SearchCall:
    return SearchCall(query=query, limit=limit, **{"collection": "documents", **more})  # type: ignore[arg-type]


async def test_a_stored_document_is_described_and_found(tmp_path: Path) -> None:
    shelf = library(tmp_path)
    document = await shelf.add(source="weather.txt", content=WEATHER)
    assert document.id == hashlib.sha256(WEATHER).hexdigest()
    assert (document.source, document.chunks, document.characters, document.created) == (
        "weather.txt",
        1,
        len(WEATHER),
        1234,
    )
    assert await shelf.documents() == (document,)
    assert await shelf.document(document.id) == document
    for mode in SearchMode:
        best = (await shelf.search(asked("Rain in Spain", mode=mode)))[0]
        assert best.chunk.source == "weather.txt"
        assert best.chunk.text == WEATHER.decode()[best.chunk.start : best.chunk.end]
    assert await shelf.chunks(document.id) == (best.chunk,)


async def test_the_same_bytes_again_change_nothing(tmp_path: Path) -> None:
    shelf = library(tmp_path)
    first = await shelf.add(source="weather.txt", content=WEATHER)
    assert await shelf.add(source="weather.txt", content=WEATHER) == first
    assert (await shelf.health()).figures == {"collections": 1, "documents": 1, "chunks": 1}


async def test_the_same_bytes_at_once_are_embedded_once(tmp_path: Path) -> None:
    shelf = library(tmp_path, embedding_cache_mib=0)
    documents = await asyncio.gather(*(shelf.add(source=f"{name}.txt", content=WEATHER) for name in "abc"))
    assert len({document.id for document in documents}) == 1
    assert len(await shelf.documents()) == 1
    assert shelf._embedder.embedded == 1  # type: ignore[attr-defined]


async def test_a_text_is_embedded_once_for_all_collections(tmp_path: Path) -> None:
    shelf = library(tmp_path)
    await shelf.add(source="weather.txt", content=WEATHER * 20)
    embedded = shelf._embedder.embedded  # type: ignore[attr-defined]
    assert embedded == 1
    await shelf.add(source="weather.txt", content=WEATHER * 20, collection="other")
    assert shelf._embedder.embedded == embedded  # type: ignore[attr-defined]
    call = asked("Rain in Spain", limit=9)
    first, second = (
        await shelf.search(call),
        await shelf.search(asked("Rain in Spain", limit=9, collection="other")),
    )
    assert first
    assert first == second


async def test_a_new_version_takes_the_place_of_the_old(tmp_path: Path) -> None:
    shelf = library(tmp_path)
    await shelf.add(source="a.txt", content=WEATHER)
    new = await shelf.add(source="a.txt", content=SNOW)
    assert await shelf.documents() == (new,)


async def test_tags_and_metadata_are_kept_added_to_and_set(tmp_path: Path) -> None:
    shelf = library(tmp_path)
    first = await shelf.add(source="a.txt", content=SNOW, tags=("alps",), metadata={"year": 2024})
    assert (first.tags, first.metadata) == (("alps",), {"year": 2024})
    again = await shelf.add(source="b.txt", content=SNOW, tags=("snow",))
    assert (again.source, again.tags, again.metadata) == ("b.txt", ("alps", "snow"), {"year": 2024})
    changed = await shelf.annotate(first.id, tags=(), metadata=None)
    assert (changed.tags, changed.metadata) == ((), {"year": 2024})
    where = {"type": "eq", "key": "year", "value": 2024}
    assert await shelf.search(asked("snow", where=where))
    assert await shelf.search(asked("snow", where={**where, "value": 2025})) == ()


async def test_collections_are_listed_and_forgotten(tmp_path: Path) -> None:
    shelf = library(tmp_path)
    await shelf.add(source="snow.txt", content=SNOW)
    kept = await shelf.add(source="snow.txt", content=SNOW, collection="other")
    assert [card.name for card in await shelf.collections()] == ["documents", "other"]
    await shelf.remove_collection("documents")
    assert (await shelf.documents(), await shelf.documents("other")) == ((), (kept,))
    with pytest.raises(CollectionNotFound):
        await shelf.remove_collection("documents")


async def test_removing_and_removing_again(tmp_path: Path) -> None:
    shelf = library(tmp_path)
    document = await shelf.add(source="snow.txt", content=SNOW)
    assert await shelf.remove(document.id) == document
    assert await shelf.documents() == ()
    with pytest.raises(DocumentNotFound):
        await shelf.remove(document.id)


@pytest.mark.parametrize("mode", list(SearchMode))
async def test_an_empty_query_is_refused(tmp_path: Path, mode: SearchMode) -> None:
    with pytest.raises(BadRequest, match="query is empty"):
        await library(tmp_path).search(asked("  ", mode=mode))


async def test_an_empty_document_is_refused(tmp_path: Path) -> None:
    with pytest.raises(EmptyDocument):
        await library(tmp_path).add(source="a.txt", content=b" ")


async def test_a_very_long_query_is_answered(tmp_path: Path) -> None:
    shelf = library(tmp_path)
    await shelf.add(source="snow.txt", content=SNOW)
    assert await shelf.search(asked("snow " * 2_000))


async def test_another_cut_replaces_the_chunks(tmp_path: Path) -> None:
    shelf = library(tmp_path)
    await shelf.add(source="a.txt", content=WEATHER * 20)
    wider = library(tmp_path, shelf._vectors, chunk_tokens=64)
    document = await wider.add(source="a.txt", content=WEATHER * 20)
    assert (await wider.health()).figures == {"collections": 1, "documents": 1, "chunks": document.chunks}
