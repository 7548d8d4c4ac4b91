"""The ingest's logic: its stages in a loop instead of Ray Data, the fake store, the fake embedder."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from cluster.config import resolve
from cluster.errors import EngineFailure
from cluster.settings.tree import Settings
from cluster.stores.vectors_memory import MemoryVectors
from cluster.types import EmbedderIdentity
from pipelines.documents.job_progress import JobProgress
from pipelines.documents.pipeline import Ingest
from pipelines.documents.selection import Selected
from pipelines.documents.stages import EMBED_AT_ONCE, Embed, Place, ReadAndCut
from tests.unit.documents.pdfs import pdf


class Loop:
    """Runs stages here; dies after `die_after` rows of embedding, as a killed process would."""

    def __init__(self, place: Place, vectors: MemoryVectors, die_after: int | None = None) -> None:
        self.place = place
        self.vectors = vectors
        self.die_after = die_after
        self.embedded = 0

    def run(self, stage: type[ReadAndCut | Embed], rows: Sequence[dict[str, Any]]) -> Iterator[dict[str, Any]]:
        worker = stage(self.place, lambda application: self.vectors)
        for number, row in enumerate(rows):
            if stage is Embed and number == self.die_after:
                raise KeyboardInterrupt
            columns = worker({name: [value] for name, value in row.items()})
            answer = {name: values[0] for name, values in columns.items()}
            if stage is Embed:
                self.embedded += answer["embedded"]
            yield answer


class House:
    """A home with documents, and ingests over it."""

    def __init__(self, folder: Path, **documents: Any) -> None:
        self.home = folder
        self.vectors = MemoryVectors()
        args = {
            "models": [{"id": "hash", "engine": {"kind": "hash", "dimensions": 16}}],
            "documents": {"chunk_tokens": 16, "chunk_overlap": 0, **documents},
        }
        self.settings: Settings = resolve(args, {})
        self.seen: list[JobProgress] = []
        self.embedded = 0

    def write(self, name: str, content: str | bytes) -> Selected:
        file = self.home / name
        file.write_bytes(content.encode() if isinstance(content, str) else content)
        return Selected(path=str(file), source=name)

    def ingest(self, *files: Selected, die_after: int | None = None) -> JobProgress:
        place = Place(settings=self.settings, application="app", folder=str(self.home / "runs" / "run"))
        pool = Loop(place, self.vectors, die_after)
        try:
            run = Ingest(place, pool, self.vectors, self.seen.append, job_id="run", clock=lambda: 1_000_000.0)
            return run.run(files)
        finally:
            self.embedded = pool.embedded

    def sources(self) -> set[str]:
        return {document.source for document in self.vectors.documents()}


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path)


def long_text(words: int = 16 * EMBED_AT_ONCE * 3) -> str:
    return " ".join(f"w{number}" for number in range(words))


def test_stores_each_kind_of_document_with_what_is_known_of_it(house: House) -> None:
    report = house.ingest(
        house.write("a.txt", "plain words"),
        house.write("b.md", "# Title\n\nmarked words"),
        house.write("c.pdf", pdf("first page", "second page")),
    )
    assert (report.state, len(report.documents), report.chunks_done, report.failed) == ("done", 3, 4, ())
    pages = {document.source: (document.pages, document.chunks) for document in house.vectors.documents()}
    assert pages == {"a.txt": (None, 1), "b.md": (None, 1), "c.pdf": (2, 2)}
    assert not (house.home / "runs" / "run").exists()


def test_an_unchanged_document_is_skipped_and_nothing_is_embedded_again(house: House) -> None:
    file = house.write("a.txt", "plain words")
    house.ingest(file)
    report = house.ingest(file)
    assert (report.unchanged, report.documents, house.embedded) == (1, (), 0)
    assert house.vectors.count() == 1


def test_a_changed_document_replaces_its_old_version(house: House) -> None:
    old = house.ingest(house.write("a.txt", "old words")).documents
    new = house.ingest(house.write("a.txt", "new words")).documents
    assert [document.id for document in house.vectors.documents()] == list(new)
    assert old != new
    assert house.vectors.count() == 1


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


def test_a_killed_ingest_that_is_run_again_ends_exact(house: House) -> None:
    file = house.write("long.txt", long_text())
    with pytest.raises(KeyboardInterrupt):
        house.ingest(file, die_after=2)
    assert house.vectors.count() == 2 * EMBED_AT_ONCE
    assert house.vectors.documents() == ()
    assert house.seen[-1].state == "failed"
    report = house.ingest(file)
    assert report.chunks_done == house.vectors.count() == 3 * EMBED_AT_ONCE
    assert house.embedded == EMBED_AT_ONCE
    assert house.sources() == {"long.txt"}


def test_the_same_bytes_under_two_names_are_embedded_once(house: House) -> None:
    report = house.ingest(house.write("a.txt", "same"), house.write("b.txt", "same"))
    assert report.failed == ()
    assert house.embedded == 1
    house.ingest(house.write("b.txt", "other"))
    assert house.sources() == {"a.txt", "b.txt"}


def test_another_embedder_fails_each_document_with_a_mismatch(house: House) -> None:
    house.ingest(house.write("a.txt", "words"))
    house.vectors._identity = EmbedderIdentity(model="hash", revision="other", dimensions=16)
    report = house.ingest(house.write("b.txt", "more words"))
    assert [failure.code for failure in report.failed] == ["embedder_mismatch"]
    assert house.sources() == {"a.txt"}


def test_a_document_whose_slice_fails_is_not_published(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = iter([None, EngineFailure("the model failed")])
    real = MemoryVectors.missing

    def missing(self: MemoryVectors, ids: Sequence[str]) -> list[str]:
        if (error := next(calls, None)) is not None:
            raise error
        return real(self, ids)

    monkeypatch.setattr(MemoryVectors, "missing", missing)
    report = house.ingest(house.write("long.txt", long_text()), house.write("short.txt", "words"))
    assert [failure.message for failure in report.failed] == ["long.txt: the model failed"]
    assert house.sources() == {"short.txt"}


def test_progress_only_grows_and_ends_whole(house: House) -> None:
    house.ingest(house.write("long.txt", long_text()), house.write("short.txt", "words"))
    done = [(step.files_done, step.chunks_done) for step in house.seen]
    assert done == sorted(done)
    last = house.seen[-1]
    assert (
        (last.files_done, last.chunks_done) == (last.files_total, last.chunks_total) == (2, 3 * EMBED_AT_ONCE + 1)
    )


def test_chunk_files_of_runs_killed_long_ago_are_removed(house: House) -> None:
    old = house.home / "runs" / "old"
    old.mkdir(parents=True)
    import os

    os.utime(old, (1, 1))
    house.ingest(house.write("a.txt", "words"))
    assert not old.exists()
