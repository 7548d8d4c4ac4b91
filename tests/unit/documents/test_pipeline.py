"""The ingest's logic, whatever runs its stages."""

import os
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from cluster.documents import Chunk, Document, EmbedderIdentity
from cluster.errors import EngineFailure, Unavailable
from cluster.stores.document_states import State
from pipelines.documents import pipeline, stages
from pipelines.documents import scan as scanning
from pipelines.documents.chunk_files import write_chunks
from pipelines.documents.labels import Labels
from pipelines.documents.run_folders import ABANDONED_S
from pipelines.documents.selection import Selected
from tests.unit.documents.house import House, Store
from tests.unit.documents.pdfs import pdf

SLICES = 3
SLICE_CHUNKS = 16  # here, so that a document of three slices is a small one


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path)


@pytest.fixture(autouse=True)
def small_slices(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stages, "SLICE_CHUNKS", SLICE_CHUNKS)


def long_text(words: int = 16 * SLICE_CHUNKS * SLICES) -> str:
    return " ".join(f"w{number}" for number in range(words))


def chunk(document: str) -> Chunk:
    return Chunk(
        id=f"{document}-0", document_id=document, source="x", ordinal=0, start=0, end=1, text="x", tokens=1
    )


def test_stores_each_kind_of_document_with_what_is_known_of_it(house: House) -> None:
    report = house.ingest(
        house.write("a.txt", "plain words"),
        house.write("b.md", "# Title\n\nmarked words"),
        house.write("c.pdf", pdf("first page", "second page")),
    )
    assert (report.state, len(report.documents), report.chunks_done, report.failed) == ("done", 3, 4, ())
    pages = {document.source: (document.pages, document.chunks) for document in house.store.documents()}
    assert pages == {"a.txt": (None, 1), "b.md": (None, 1), "c.pdf": (2, 2)}
    assert not (house.home / "runs" / "run").exists()


def test_documents_that_are_small_share_a_slice(house: House) -> None:
    house.ingest(*(house.write(f"{number}.txt", f"words {number}") for number in range(10)))
    assert [each["count"] for each in house.near.slices] == [10]
    assert house.store.asked["upsert"] == house.store.asked["publish"] == 1


def test_an_unchanged_document_is_skipped_and_nothing_is_embedded_again(house: House) -> None:
    file = house.write("a.txt", "plain words")
    house.ingest(file)
    report = house.ingest(file)
    assert (report.unchanged, report.documents, report.embedded, house.embedded) == (1, (), 0, 0)
    assert house.store.count() == 1


def test_what_the_owners_notes_say_is_stored_needs_no_question_to_the_owner(house: House) -> None:
    files = [house.write(f"{number}.txt", f"words {number}") for number in range(3)]
    house.ingest(*files)
    house.store.asked.clear()
    report = house.ingest(*files, records=house.store.records())
    assert (report.unchanged, report.files_done, house.store.asked) == (3, 3, {})


def test_a_file_that_nothing_touched_is_not_even_read(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    file = house.write("a.txt", "plain words")
    house.ingest(file)
    monkeypatch.setattr(scanning, "_hash", lambda path: pytest.fail(f"{path} was read"))
    assert house.ingest(file).unchanged == 1


def test_a_file_written_a_moment_ago_is_read_again_next_time(house: House) -> None:
    file = house.write("a.txt", "plain words")
    house.now = Path(file.path).stat().st_mtime + 0.5
    house.ingest(file)
    assert house.states.rows["a.txt"].stamp == ""


def test_a_changed_document_replaces_its_old_version(house: House) -> None:
    old = house.ingest(house.write("a.txt", "old words")).documents
    new = house.ingest(house.write("a.txt", "new words")).documents
    assert [document.id for document in house.store.documents()] == list(new)
    assert old != new
    assert house.store.count() == 1


def test_a_wrong_document_fails_alone_and_says_why(house: House) -> None:
    report = house.ingest(
        house.write("good.txt", "words"),
        house.write("bad.pdf", b"<html>"),
        house.write("empty.md", b""),
        Selected(path=str(house.home / "gone.txt"), source="gone.txt"),
    )
    assert house.sources() == {"good.txt"}
    assert {(failure.source, failure.code) for failure in report.failed} == {
        ("bad.pdf", "broken_document"),
        ("empty.md", "empty_document"),
        ("gone.txt", "unreadable"),
    }
    states = {source: (row.state, row.code) for source, row in house.states.rows.items()}
    assert states == {
        "good.txt": (State.STORED, ""),
        "bad.pdf": (State.FAILED, "broken_document"),
        "empty.md": (State.FAILED, "empty_document"),
        "gone.txt": (State.FAILED, "unreadable"),
    }
    assert report.files_done == report.files_total == 4


def test_what_failed_before_is_read_again_without_asking_whether_it_is_stored(house: House) -> None:
    bad = house.write("bad.txt", b"\x00\x01")
    house.ingest(bad)
    house.store.asked.clear()
    assert len(house.ingest(bad).failed) == 1
    assert house.store.asked == {}


@pytest.mark.parametrize("served_bytes", [0, 10**9])
def test_a_killed_ingest_that_is_run_again_ends_exact(tmp_path: Path, served_bytes: int) -> None:
    """A checkpoint behind the fan-out of a document to its chunks once took 70 of 80 chunks for the whole."""
    house = House(tmp_path, served_bytes=served_bytes)
    files = [house.write("long.txt", long_text()), house.write("short.txt", "words")]
    expected = SLICE_CHUNKS * SLICES + 1
    with pytest.raises(KeyboardInterrupt):
        house.ingest(*files, die_after=2)
    assert house.store.count() == 2 * SLICE_CHUNKS
    assert house.store.documents() == ()
    assert house.seen[-1].state == "failed"
    assert house.states.rows["long.txt"].state is State.EMBEDDING
    report = house.ingest(*files)
    assert report.chunks_done == house.store.count() == expected
    assert house.embedded == expected - 2 * SLICE_CHUNKS
    assert house.sources() == {"long.txt", "short.txt"}
    assert {row.state for row in house.states.rows.values()} == {State.STORED}


def test_a_text_that_was_embedded_in_another_document_is_not_embedded_again(tmp_path: Path) -> None:
    house = House(tmp_path, embedding_cache_mib=8)
    house.ingest(house.write("a.md", "# One\n\nshared words"))
    report = house.ingest(house.write("b.md", "# Two\n\nother words\n\n# One\n\nshared words"))
    assert (report.chunks_done, house.embedded, report.embedded) == (2, 1, 1)


def test_the_same_text_in_one_slice_is_embedded_once(house: House) -> None:
    house.ingest(house.write("a.md", "# A\n\nsame"), house.write("b.md", "# A\n\nsame\n\n# B\n\nother"))
    assert house.embedded == 2


def test_the_same_bytes_under_two_names_are_embedded_once(house: House) -> None:
    report = house.ingest(house.write("a.txt", "same"), house.write("b.txt", "same"))
    assert (report.failed, len(report.documents), report.files_done) == ((), 2, 2)
    assert house.embedded == 1
    house.ingest(house.write("b.txt", "other"))
    assert house.sources() == {"a.txt", "b.txt"}


def test_the_same_broken_bytes_under_two_names_fail_twice(house: House) -> None:
    report = house.ingest(house.write("a.txt", b"\x00"), house.write("b.txt", b"\x00"))
    assert [failure.message.split(":")[0] for failure in report.failed] == ["a.txt", "b.txt"]
    assert report.files_done == 2


@pytest.mark.parametrize("names", [("a.pdf", "b.txt", "c.pdf"), ("a.txt", "b.pdf", "c.txt")])
def test_bytes_that_one_name_belies_are_read_by_another(house: House, names: tuple[str, ...]) -> None:
    report = house.ingest(*(house.write(name, "plain words") for name in names))
    told = {source: row.state for source, row in house.states.rows.items()}
    if names[0] == "a.pdf":
        assert told == {"a.pdf": State.FAILED, "b.txt": State.STORED, "c.pdf": State.FAILED}
    else:
        assert set(told.values()) == {State.STORED}
    assert (report.files_done, house.embedded) == (3, 1)


def test_a_file_that_is_moved_is_given_its_new_name_without_being_read(house: House) -> None:
    house.ingest(house.write("a.txt", "words"))
    report = house.ingest(house.write("b.txt", "words"))
    assert (report.unchanged, house.embedded) == (1, 0)
    assert house.sources() == {"b.txt"}


def test_a_file_that_changes_while_it_is_read_is_stored_as_it_was_read(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = [house.write("a.txt", "first"), house.write("b.txt", "first")]
    scan = pipeline.scan

    def scan_and_change(*args: object, **options: object) -> object:
        scanned = scan(*args, **options)
        house.write("a.txt", "second")
        return scanned

    monkeypatch.setattr(pipeline, "scan", scan_and_change)
    report = house.ingest(*files)
    assert [(failure.source, failure.code) for failure in report.failed] == [("b.txt", "changed")]
    monkeypatch.undo()
    assert house.ingest(*files).failed == ()
    assert house.sources() == {"a.txt", "b.txt"}
    assert house.store.count() == 2


def test_tags_and_metadata_are_put_on_every_document_and_added_to_those_stored(house: House) -> None:
    file = house.write("a.txt", "words")
    house.ingest(file, labels=Labels(tags=("one",), metadata={"year": 2024}))
    house.ingest(file, labels=Labels(tags=("two",), metadata={"good": True}), records=house.store.records())
    (document,) = house.store.documents()
    assert (document.tags, document.metadata) == (("one", "two"), {"year": 2024, "good": True})
    assert house.embedded == 0


def test_another_embedder_fails_each_document_with_a_mismatch(house: House) -> None:
    house.ingest(house.write("a.txt", "words"))
    index = house.store.vectors._collections["documents"]._index
    index._identity = EmbedderIdentity(model="hash", revision="other", dimensions=16)
    report = house.ingest(house.write("b.txt", "more words"), house.write("c.txt", "even more"))
    assert [failure.code for failure in report.failed] == ["embedder_mismatch", "embedder_mismatch"]
    assert house.sources() == {"a.txt"}


def test_a_document_whose_text_the_embedder_refuses_fails_alone(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = Store.upsert

    def upsert(self: Store, chunks: Sequence[object], *args: object, **options: object) -> None:
        if any("poison" in chunk.text for chunk in chunks):
            raise EngineFailure("the model failed")
        real(self, chunks, *args, **options)

    monkeypatch.setattr(Store, "upsert", upsert)
    report = house.ingest(house.write("bad.txt", "poison"), house.write("good.txt", "words"))
    assert [failure.message for failure in report.failed] == ["bad.txt: the model failed"]
    assert house.sources() == {"good.txt"}


def test_a_document_whose_chunks_somebody_deletes_meanwhile_fails_alone(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = Store.publish

    def publish(self: Store, documents: Sequence[Document], *, chunker: str) -> None:
        for document in documents:
            if document.source == "bad.txt":
                index = self.vectors._collections["documents"]._index
                index.drop_document(document.id)
        real(self, documents, chunker=chunker)

    monkeypatch.setattr(Store, "publish", publish)
    report = house.ingest(house.write("bad.txt", "some words"), house.write("good.txt", "other words"))
    assert [(failure.source, failure.code) for failure in report.failed] == [("bad.txt", "conflict")]
    assert house.sources() == {"good.txt"}
    monkeypatch.undo()
    assert house.ingest(Selected(path=str(house.home / "bad.txt"), source="bad.txt")).failed == ()
    assert house.sources() == {"good.txt", "bad.txt"}


def test_a_store_that_stays_away_ends_the_run_and_blames_no_document(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing(self: Store, ids: Sequence[str]) -> list[str]:
        raise Unavailable("away")

    monkeypatch.setattr(Store, "missing", missing)
    with pytest.raises(Unavailable):
        house.ingest(house.write("a.txt", "words"))
    assert (house.seen[-1].state, house.seen[-1].failed) == ("failed", ())
    assert house.states.rows["a.txt"].state is State.EMBEDDING


def test_much_is_run_far_away_and_a_little_near(tmp_path: Path) -> None:
    house = House(tmp_path, served_bytes=10)
    house.ingest(house.write("a.txt", "words"))
    assert (len(house.near.slices), len(house.far.slices)) == (1, 0)
    house.ingest(house.write("b.txt", "more than ten bytes"))
    assert (len(house.near.slices), len(house.far.slices)) == (0, 1)


def test_progress_only_grows_and_ends_whole(house: House) -> None:
    house.ingest(house.write("long.txt", long_text()), house.write("short.txt", "words"))
    done = [(step.files_done, step.chunks_done) for step in house.seen]
    assert done == sorted(done)
    last = house.seen[-1]
    expected = SLICE_CHUNKS * SLICES + 1
    assert (last.files_done, last.chunks_done) == (last.files_total, last.chunks_total) == (2, expected)
    assert last.embedded == expected


def test_chunk_files_of_runs_killed_long_ago_are_removed(house: House) -> None:
    old = house.home / "runs" / "old"
    old.mkdir(parents=True)
    os.utime(old, (1, 1))
    house.ingest(house.write("a.txt", "words"))
    assert not old.exists()


def test_a_run_reclaims_what_no_living_run_is_working_on(house: House) -> None:
    other, killed = (house.home / "runs" / name for name in ("other", "killed"))
    for number, run in enumerate((other, killed)):
        write_chunks(run, [chunk(f"document {number}")])
    house.now = time.time() + 10
    os.utime(killed, (house.now - ABANDONED_S - 1,) * 2)
    house.ingest(house.write("a.txt", "words"))
    assert house.store.reclaimed == (house.now - ABANDONED_S, ("document 0",))
    house.ingest(house.write("a.txt", "words"))
    assert house.store.asked["reclaim"] == 1
