"""What a killed ingest stored and nobody published goes, once it is old; nothing else does."""

import os
from pathlib import Path

import numpy as np
import pytest

from cluster.documents import Chunk, Document, EmbedderIdentity
from cluster.stores.vector_files import VectorFiles
from cluster.stores.vectors import VectorStore
from cluster.stores.vectors_memory import MemoryIndexes

IDENTITY = EmbedderIdentity(model="embed", revision="r1", dimensions=4)
INTO = "docs"
LATER = 10_000.0  # of what tests call old, which is of the second 1


def chunk(document: str, cut: str, ordinal: int = 0) -> Chunk:
    return Chunk(
        id=f"{document}-{cut}-{ordinal}",
        document_id=document,
        source=f"{document}.txt",
        ordinal=ordinal,
        start=0,
        end=4,
        text="text",
        tokens=1,
    )


class House:
    """A store with vector files, over what a killed owner's successor finds."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.indexes = MemoryIndexes()
        self.store = self.opened()

    def opened(self) -> VectorStore:
        return VectorStore(self.indexes, VectorFiles(self.folder), in_memory=100)

    def add(self, document: str, *, cut: str = "c1", published: bool, old: bool = True, ordinal: int = 0) -> None:
        before = set(self.parts())
        self.store.upsert(
            INTO, [chunk(document, cut, ordinal)], np.eye(1, 4, dtype=np.float32), chunker=cut, identity=IDENTITY
        )
        for part in set(self.parts()) - before if old else ():
            os.utime(part, (1, 1))
        if published:
            told = Document(id=document, source=f"{document}.txt", media_type="text/plain", chunks=1)
            self.store.publish(INTO, told, chunker=cut)

    def parts(self) -> list[Path]:
        return list((self.folder / INTO / "parts").glob("*.parquet"))

    def filed(self) -> list[str]:
        return sorted(each.id for part in VectorFiles(self.folder).read(INTO) for each in part.chunks)

    def reclaim(self, *spared: str) -> int:
        return self.store.reclaim(INTO, before=LATER, spared=spared)


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path / "vectors")


def test_what_nobody_published_leaves_index_and_files(house: House) -> None:
    house.add("kept", published=True)
    house.add("lost", published=False)
    assert house.reclaim() == 1
    assert house.store.missing(INTO, ["lost-c1-0", "kept-c1-0"]) == ["lost-c1-0"]
    assert house.filed() == ["kept-c1-0"]
    assert house.reclaim() == 0


def test_an_owner_that_was_started_since_finds_it(house: House) -> None:
    house.add("lost", published=False)
    house.store = house.opened()
    assert house.reclaim() == 1
    assert (house.filed(), house.store.count(INTO)) == ([], 0)


def test_what_is_young_or_being_worked_on_stays(house: House) -> None:
    house.add("young", published=False, old=False)
    house.add("working", published=False)
    assert house.reclaim("working") == 0
    assert house.store.count(INTO) == 2


def test_a_document_of_which_some_is_young_stays_whole(house: House) -> None:
    house.add("growing", published=False)
    house.add("growing", published=False, old=False, ordinal=1)
    assert house.reclaim() == 0
    assert house.store.count(INTO) == 2


def test_an_unpublished_cut_of_a_published_document_leaves_it_as_it_is(house: House) -> None:
    house.add("kept", cut="c1", published=True)
    house.add("kept", cut="c2", published=False)
    assert house.reclaim() == 1
    assert house.filed() == ["kept-c1-0"]
    assert [each.id for each in house.store.chunks(INTO, "kept")] == ["kept-c1-0"]


def test_without_files_and_without_a_collection_there_is_nothing_to_reclaim(house: House) -> None:
    assert VectorStore(MemoryIndexes(), in_memory=100).reclaim(INTO, before=LATER) == 0
    assert house.reclaim() == 0
