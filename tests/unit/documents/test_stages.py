"""The two stages by themselves, and the threads that run them."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cluster.documents import Chunk, EmbedderIdentity
from cluster.errors import Unavailable
from pipelines.documents.chunk_files import read_chunks, write_chunks
from pipelines.documents.embedders import LocalEmbedder, TooLargeToSend
from pipelines.documents.parsed import ParsedDocument
from pipelines.documents.pool import NearPool
from pipelines.documents.stages import SLICE_CHUNKS, SLICE_TOKENS, Embed, Place, ReadAndCut, sliced
from tests.unit.documents.house import House, Store


def chunk(ordinal: int, *, document: str = "d1", tokens: int = 3, text: str = "some words") -> Chunk:
    return Chunk(
        id=f"{document}-{ordinal}",
        document_id=document,
        source="a.txt",
        ordinal=ordinal,
        start=0,
        end=9,
        text=text,
        tokens=tokens,
    )


class Counting(LocalEmbedder):
    """The fake embedder, which notes what it is given."""

    def __init__(self, house: House) -> None:
        super().__init__(house.settings)
        self.texts: list[Sequence[str]] = []
        self.too_large = ""

    def cut(self, parsed: ParsedDocument, *, document_id: str, source: str) -> tuple[Chunk, ...]:
        if source == self.too_large:
            raise TooLargeToSend
        return super().cut(parsed, document_id=document_id, source=source)

    def embed(self, texts: Sequence[str]) -> np.ndarray:
        self.texts.append(texts)
        return super().embed(texts)


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path)


def place(house: House) -> Place:
    return Place(settings=house.settings, application="app", folder=str(house.home / "run"))


def files(*selected: Any) -> dict[str, Any]:
    return {"files": [{"path": file.path, "source": file.source} for file in selected]}


def test_a_slice_has_as_many_chunks_as_a_message_takes() -> None:
    found = list(sliced("f", [chunk(number) for number in range(SLICE_CHUNKS * 2 + 1)]))
    assert [(each.first, each.count) for each in found] == [(0, 256), (256, 256), (512, 1)]


def test_a_slice_has_as_many_tokens_as_a_batch_takes_and_at_least_one_chunk() -> None:
    tokens = [SLICE_TOKENS // 2, SLICE_TOKENS // 2, 1, SLICE_TOKENS * 2, 1]
    found = list(sliced("f", [chunk(at, tokens=count) for at, count in enumerate(tokens)]))
    assert [(each.first, each.count) for each in found] == [(0, 2), (2, 1), (3, 1), (4, 1)]


def test_a_slice_tells_whose_its_chunks_are() -> None:
    (found,) = sliced("f", [chunk(0), chunk(1), chunk(0, document="d2")])
    assert found.documents == {"d1": 2, "d2": 1}


def test_chunks_wait_in_a_file_that_is_the_same_for_the_same_chunks(tmp_path: Path) -> None:
    chunks = [chunk(number, text=f"text {number} é\n") for number in range(5)]
    first, again = write_chunks(tmp_path, chunks), write_chunks(tmp_path, chunks)
    assert first == again
    assert read_chunks(str(first), first=1, count=3) == chunks[1:4]
    assert list(tmp_path.iterdir()) == [first]


def test_the_files_of_a_group_share_a_chunk_file(house: House) -> None:
    stage = ReadAndCut(place(house), house.store, Counting(house))
    answer = stage.one(files(house.write("a.txt", "one"), house.write("b.txt", "two"), house.write("c.txt", b"")))
    assert [(row["source"], row["status"], row["chunks"]) for row in answer["rows"]] == [
        ("a.txt", "cut", 1),
        ("b.txt", "cut", 1),
        ("c.txt", "failed", 0),
    ]
    assert [each["count"] for each in answer["slices"]] == [2]


def test_a_document_that_is_too_large_to_be_sent_is_left_to_others(house: House) -> None:
    embedder = Counting(house)
    embedder.too_large = "b.txt"
    stage = ReadAndCut(place(house), house.store, embedder)
    answer = stage.one(files(house.write("a.txt", "one"), house.write("b.txt", "two")))
    assert [row["status"] for row in answer["rows"]] == ["cut", "large"]


def slice_of(house: House, chunks: Sequence[Chunk]) -> dict[str, Any]:
    (found,) = sliced(str(write_chunks(house.home / "run", chunks)), chunks)
    return {"file": found.file, "first": found.first, "count": found.count, "documents": found.documents}


def test_what_is_stored_is_not_embedded_and_the_rest_is_by_length_and_once(house: House) -> None:
    embedder = Counting(house)
    stage = Embed(place(house), house.store, embedder)
    texts = ["five words are in here", "two words", "one", "two words"]
    chunks = [chunk(at, text=text, tokens=len(text.split())) for at, text in enumerate(texts)]
    stage.one(slice_of(house, chunks[2:3]))
    answer = stage.one(slice_of(house, chunks))
    assert [list(each) for each in embedder.texts] == [["one"], ["two words", "five words are in here"]]
    assert (answer["embedded"], answer["failed"], house.store.count()) == (2, {}, 4)


def test_a_store_that_is_away_is_no_documents_fault(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(self: Store, ids: Sequence[str]) -> list[str]:
        raise Unavailable("away")

    monkeypatch.setattr(Store, "missing", missing)
    with pytest.raises(Unavailable):
        Embed(place(house), house.store, Counting(house)).one(slice_of(house, [chunk(0)]))


def test_an_embedder_of_another_length_of_vectors_fails_its_documents(house: House) -> None:
    class Wrong(Counting):
        @property
        def identity(self) -> EmbedderIdentity:
            return EmbedderIdentity(model="hash", revision="r", dimensions=5)

    answer = Embed(place(house), house.store, Wrong(house)).one(slice_of(house, [chunk(0)]))
    assert answer["failed"]["d1"]["code"] == "invalid_request"
    assert house.store.count() == 0


def test_threads_take_no_more_work_than_they_do(house: House) -> None:
    pool = NearPool(place(house), house.store, Counting(house))
    taken = 0

    def work() -> Any:
        nonlocal taken
        for number in range(20):
            taken += 1
            yield files(house.write(f"{number}.txt", f"words {number}"))

    answers = pool.run(ReadAndCut, work())
    next(answers)
    assert taken <= 4
    assert 1 + len(list(answers)) == 20


def test_an_error_of_a_thread_is_the_pools(house: House) -> None:
    class Broken(Counting):
        def cut(self, parsed: ParsedDocument, *, document_id: str, source: str) -> tuple[Chunk, ...]:
            raise Unavailable("away")

    pool = NearPool(place(house), house.store, Broken(house))
    with pytest.raises(Unavailable):
        list(pool.run(ReadAndCut, [files(house.write("a.txt", "words"))]))
