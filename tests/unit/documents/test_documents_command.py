"""What `heliostat documents` shows."""

from pathlib import Path

import pytest

from cluster.documents import Document
from cluster.errors import BadRequest, DocumentNotFound
from cluster.stores.document_states import DocumentState, State
from cluster.stores.ledger import Record
from deployments.__main__ import main
from pipelines.documents.documents_command import find, listed, shown


def record(name: str, *sources: str) -> Record:
    document = Document(
        id=name * 16, source=sources[-1], media_type="text/plain", chunks=3, pages=2, created=7, tags=("t",)
    )
    return Record(document=document, sources=sources, chunker="c1")


def state(source: str, kind: State = State.STORED, **fields: object) -> DocumentState:
    return DocumentState(collection="docs", source=source, state=kind, updated=9.0, **fields)


RECORDS = {each.document.id: each for each in (record("abcd", "a.txt", "b.txt"), record("abce", "up.pdf"))}


def test_a_row_a_name_with_uploads_and_failures() -> None:
    states = {
        "a.txt": state("a.txt", State.EMBEDDING),  # a run was killed after it had published
        "bad.pdf": state("bad.pdf", State.FAILED, code="broken_document", message="bad.pdf: broken"),
        "removed.txt": state("removed.txt"),
    }
    rows = {row["source"]: row for row in listed(states, RECORDS)}
    assert list(rows) == ["a.txt", "b.txt", "bad.pdf", "up.pdf"]
    assert {source: row["state"] for source, row in rows.items()} == {
        "a.txt": "stored",
        "b.txt": "stored",
        "bad.pdf": "failed",
        "up.pdf": "stored",
    }
    assert (rows["up.pdf"]["chunks"], rows["up.pdf"]["pages"], rows["up.pdf"]["tags"]) == (3, 2, ["t"])
    assert rows["bad.pdf"]["code"] == "broken_document"


def test_a_file_that_failed_after_it_was_stored_is_shown_as_failed() -> None:
    (row, *_) = listed({"a.txt": state("a.txt", State.FAILED, code="x", message="m")}, RECORDS)
    assert (row["state"], row["code"], row["chunks"]) == ("failed", "x", 3)


def test_without_the_owners_notes_the_readings_are_shown() -> None:
    assert [row["source"] for row in listed({"a.txt": state("a.txt")}, None)] == ["a.txt"]


def test_a_document_is_found_by_its_id_its_beginning_or_a_name() -> None:
    by = {name: find(name, RECORDS) for name in ("abcd" * 16, "abcda", "b.txt", "up.pdf", "none", "ab")}
    ids = {name: found.document.id[:4] if found else None for name, found in by.items()}
    assert ids == {
        "abcd" * 16: "abcd",
        "abcda": "abcd",
        "b.txt": "abcd",
        "up.pdf": "abce",
        "none": None,
        "ab": None,
    }


def test_a_beginning_that_two_ids_have_is_refused() -> None:
    one, other = record("abcd", "a.txt"), record("abcd", "b.txt")
    with pytest.raises(BadRequest, match="2 documents"):
        find("abcd", {"abcd1": one, "abcd2": other})


def test_a_document_is_shown_with_how_it_was_read() -> None:
    read = state("a.txt", chunker="c1", embedder="embed@r1", path="/x/a.txt")
    told = shown("a.txt", {"a.txt": read}, find("a.txt", RECORDS))
    assert (told["state"], told["sources"], told["embedder"]) == ("stored", ["a.txt", "b.txt"], "embed@r1")
    assert (told["path"], told["tags"]) == ("/x/a.txt", ("t",))


def test_a_file_that_never_became_a_document_says_why() -> None:
    told = shown("bad.pdf", {"bad.pdf": state("bad.pdf", State.FAILED, code="x", message="bad.pdf: no")}, None)
    assert (told["state"], told["failed"]) == ("failed", "bad.pdf: no [x]")


def test_what_nobody_knows_is_not_found() -> None:
    with pytest.raises(DocumentNotFound):
        shown("none", {}, None)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("ingest", "a.txt", "--metadata", "[1]"), "--metadata"),
        (("ingest", "a.txt", "--metadata", "{"), "--metadata"),
        (("ingest", "a.txt", "--metadata", '{"a": [1]}'), "--metadata"),
        (("ingest", "a.txt", "--tag", " "), "--tag"),
        (("ingest", "a.txt", "--job", "../x"), "--job"),
        (("sync", "docs"), "[not_running]"),
        (("reindex",), "[not_running]"),
        (("documents", "ls"), "[not_running]"),
        (("documents", "ls", "--state", "lost"), "--state"),
    ],
)
def test_a_command_that_cannot_be_carried_out_says_why(
    words: tuple[str, ...],
    told: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("HELIOSTAT_HOME", str(tmp_path))
    with pytest.raises(SystemExit) as caught:
        main(list(words))
    assert caught.value.code not in {0, None}
    error = capsys.readouterr().err
    assert told in error
