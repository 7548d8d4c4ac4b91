"""Vectors in Parquet, from which an index is built again."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from cluster.documents import Chunk, Document, EmbedderIdentity
from cluster.errors import Unavailable
from cluster.stores import vector_files
from cluster.stores.ledger import Record
from cluster.stores.vector_files import VectorFiles

IDENTITY = EmbedderIdentity(model="embed", revision="r1", dimensions=4)


def chunk(document: str, ordinal: int, cut: str = "c1") -> Chunk:
    return Chunk(
        id=f"{document}-{cut}-{ordinal}",
        document_id=document,
        source=f"{document}.txt",
        ordinal=ordinal,
        start=0,
        end=4,
        text=f"{document} {ordinal} é",
        tokens=2,
        page=ordinal or None,
        heading="A > B" if ordinal else None,
    )


def vectors(count: int) -> np.ndarray:
    return np.random.default_rng(count).standard_normal((count, 4)).astype(np.float32)


def record(document: str, **fields: object) -> Record:
    told = Document(id=document, source=f"{document}.txt", media_type="text/plain", chunks=1, **fields)
    return Record(document=told, sources=(told.source,), chunker="c1")


@pytest.fixture
def files(tmp_path: Path) -> VectorFiles:
    return VectorFiles(tmp_path / "vectors")


def save(files: VectorFiles, *documents: str, collection: str = "docs", cut: str = "c1", each: int = 2) -> None:
    chunks = [chunk(document, ordinal, cut) for document in documents for ordinal in range(each)]
    files.save(collection, chunks, vectors(len(chunks)), chunker=cut, identity=IDENTITY)


def ids(files: VectorFiles, collection: str = "docs") -> list[str]:
    return sorted(chunk.id for part in files.read(collection) for chunk in part.chunks)


def test_what_is_saved_is_read_with_its_vectors_to_the_bit(files: VectorFiles, tmp_path: Path) -> None:
    save(files, "d1", "d2")
    (part,) = VectorFiles(tmp_path / "vectors").read("docs")
    assert part.chunks == [chunk("d1", 0), chunk("d1", 1), chunk("d2", 0), chunk("d2", 1)]
    assert (part.vectors == vectors(4)).all()
    assert (part.chunker, part.identity) == ("c1", IDENTITY)


def test_the_same_part_twice_is_there_once(files: VectorFiles) -> None:
    save(files, "d1")
    save(files, "d1")
    assert ids(files) == ["d1-c1-0", "d1-c1-1"]


def test_a_forgotten_document_leaves_those_beside_it(files: VectorFiles, tmp_path: Path) -> None:
    save(files, "d1", "d2")
    save(files, "d3")
    VectorFiles(tmp_path / "vectors").forget("docs", "d1", "d3")
    (part,) = VectorFiles(tmp_path / "vectors").read("docs")
    assert [chunk.id for chunk in part.chunks] == ["d2-c1-0", "d2-c1-1"]
    assert (part.vectors == vectors(4)[2:]).all()


def test_a_forgotten_document_that_comes_again_is_there_again(files: VectorFiles) -> None:
    save(files, "d1", "d2")
    files.forget("docs", "d1")
    save(files, "d1", "d2")
    assert len(ids(files)) == 4


def test_the_chunks_of_one_chunker_may_stay(files: VectorFiles) -> None:
    save(files, "d1")
    save(files, "d1", cut="c2")
    files.forget("docs", "d1", kept_chunker="c2")
    assert ids(files) == ["d1-c2-0", "d1-c2-1"]


def test_collections_are_apart_and_dropped_whole(files: VectorFiles) -> None:
    save(files, "d1")
    save(files, "d2", collection="other")
    files.save_records("other", [record("d2")])
    assert files.collections() == ("docs", "other")
    files.drop("other")
    assert (files.collections(), ids(files, "other"), files.read_records("other")) == (("docs",), [], ())
    assert len(ids(files)) == 2


def test_a_collection_with_a_name_longer_than_a_folders_keeps_its_name(files: VectorFiles) -> None:
    long = "c" * 512
    save(files, "d1", collection=long)
    assert files.collections() == (long,)
    assert len(ids(files, long)) == 2


@pytest.fixture
def join_at_4(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vector_files, "JOIN_AT", 4)
    monkeypatch.setattr(vector_files, "SMALL", 8)


@pytest.mark.usefixtures("join_at_4")
def test_many_small_parts_become_one(files: VectorFiles) -> None:
    for number in range(4):
        save(files, f"d{number}")
    (part,) = files.read("docs")
    assert len(part.chunks) == 8
    files.forget("docs", "d0")
    assert len(ids(files)) == 6


@pytest.mark.usefixtures("join_at_4")
def test_parts_of_two_embedders_are_never_joined(files: VectorFiles) -> None:
    for number in range(4):
        identity = IDENTITY if number % 2 else replace(IDENTITY, revision="r2")
        files.save("docs", [chunk(f"d{number}", 0)], vectors(1), chunker="c1", identity=identity)
    assert len(list(files.read("docs"))) == 4


def test_records_say_what_is_published_and_survive_the_process(files: VectorFiles, tmp_path: Path) -> None:
    told = replace(record("d1", tags=("a", "b"), metadata={"year": 2024}, pages=3), sources=("x.txt", "d1.txt"))
    files.save_records("docs", [record("d1"), record("d2")])
    files.save_records("docs", [told], removed=["d2"])
    assert VectorFiles(tmp_path / "vectors").read_records("docs") == (told,)


def test_a_record_cut_off_by_a_kill_is_skipped_and_the_next_one_is_whole(files: VectorFiles) -> None:
    files.save_records("docs", [record("d1")])
    log = files._of("docs") / "records.jsonl"
    log.write_text(log.read_text() + '{"saved": {"docu')
    files.save_records("docs", [record("d2")])
    assert [each.document.id for each in files.read_records("docs")] == ["d1", "d2"]


def test_a_log_that_mostly_says_what_is_past_is_written_anew(
    files: VectorFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(vector_files, "SPARE_LINES", 10)
    lengths = []
    for number in range(40):
        files.save_records("docs", [record("d1", created=number), record("d2")])
        lengths.append(len((files._of("docs") / "records.jsonl").read_text().splitlines()))
    assert max(lengths) <= 16
    assert {each.document.created for each in files.read_records("docs")} == {39, 0}


def test_a_damaged_part_keeps_nobody_from_storing_and_is_named_when_read(
    files: VectorFiles, tmp_path: Path
) -> None:
    save(files, "d1")
    (part,) = (files._of("docs") / "parts").glob("*.parquet")
    part.write_bytes(part.read_bytes()[:100])
    again = VectorFiles(tmp_path / "vectors")
    save(again, "d2")
    with pytest.raises(Unavailable, match=part.name):
        list(again.read("docs"))


def test_what_a_killed_owner_left_half_written_is_removed(files: VectorFiles, tmp_path: Path) -> None:
    save(files, "d1")
    half = files._of("docs") / "parts" / "x.parquet.abc.tmp"
    half.write_bytes(b"half")
    save(VectorFiles(tmp_path / "vectors"), "d2")
    assert not half.exists()


def test_an_unknown_collection_is_empty(files: VectorFiles) -> None:
    assert (list(files.read("none")), files.read_records("none"), files.collections()) == ([], (), ())
    files.forget("none", "d1")
