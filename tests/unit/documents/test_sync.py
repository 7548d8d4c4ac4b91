"""What a sync takes out of a collection."""

import os
from dataclasses import replace
from pathlib import Path

import pytest

from cluster.errors import BadRequest
from cluster.stores.database import open_database
from cluster.stores.document_states import DocumentStates
from pipelines.documents.selection import Selected, select
from pipelines.documents.sync import refuse_empty, take_out, vanished
from tests.unit.documents.house import INTO, House


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path)


def sync(house: House, folder: str, *files: Selected, noted: bool = True) -> int:
    house.ingest(*files)
    journal = house.journal()
    gone = vanished(journal.known, house.home / folder, files)
    return take_out(gone, house.store, house.store.records() if noted else None, journal)


@pytest.mark.parametrize("noted", [True, False])
def test_what_vanished_from_the_folder_leaves_and_only_that(house: House, noted: bool) -> None:
    kept, gone, other = (house.write(name, name) for name in ("docs/a.txt", "docs/b.txt", "more/c.txt"))
    house.ingest(kept, gone, other)
    assert sync(house, "docs", kept, noted=noted) == 1
    assert house.sources() == {"docs/a.txt", "more/c.txt"}
    assert house.store.count() == 2
    assert set(house.states.of(INTO)) == {"docs/a.txt", "more/c.txt"}


def test_a_moved_file_keeps_its_document(house: House) -> None:
    house.ingest(house.write("docs/a.txt", "words"))
    moved = house.write("docs/b.txt", "words")
    assert sync(house, "docs", moved) == 1
    assert house.sources() == {"docs/b.txt"}
    assert house.embedded == 0


def test_a_name_that_was_uploaded_over_since_is_left_alone(house: House) -> None:
    kept, gone = house.write("docs/a.txt", "a"), house.write("docs/b.txt", "b")
    house.ingest(kept, gone)
    upload = House(house.home / "elsewhere")
    upload.store = house.store
    upload.home.mkdir()
    uploaded = upload.write("b.txt", "uploaded")
    upload.ingest(Selected(path=uploaded.path, source="docs/b.txt"))
    assert sync(house, "docs", kept) == 0
    assert house.sources() == {"docs/a.txt", "docs/b.txt"}


def test_the_old_version_of_a_file_that_broke_leaves_with_it(house: House) -> None:
    kept, broken = house.write("docs/a.txt", "a"), house.write("docs/b.txt", "b")
    house.ingest(kept, broken)
    house.write("docs/b.txt", b"\x00")
    house.ingest(kept, broken)
    assert house.sources() == {"docs/a.txt", "docs/b.txt"}
    assert sync(house, "docs", kept) == 1
    assert house.sources() == {"docs/a.txt"}


def test_what_a_killed_run_published_and_did_not_note_leaves_too(house: House) -> None:
    kept, gone = house.write("docs/a.txt", "a"), house.write("docs/b.txt", "b")
    notes = house.states.save
    house.states.save = lambda states: None  # type: ignore[method-assign]
    house.ingest(kept, gone)
    house.states.save = notes  # type: ignore[method-assign]
    house.ingest(kept, gone)
    assert sync(house, "docs", kept) == 1


def test_what_was_in_a_folder_that_cannot_be_looked_into_stays(house: House) -> None:
    """It was taken for empty, and all of it left the collection."""
    kept, closed = house.write("docs/a.txt", "a"), house.write("docs/locked/b.txt", "b")
    house.ingest(kept, closed)
    journal = house.journal()
    assert vanished(journal.known, house.home / "docs", [kept], [str(house.home / "docs/locked")]) == {}
    assert set(vanished(journal.known, house.home / "docs", [kept], ["/elsewhere"])) == {"docs/locked/b.txt"}


def test_a_file_whose_name_is_no_utf8_stays_as_long_as_it_is_there(tmp_path: Path) -> None:
    """The database keeps no such path: read back it was another's, and each second sync took the document out."""
    house = House(tmp_path)
    states = DocumentStates(open_database("sqlite://"))
    path = os.fsdecode(os.fsencode(tmp_path) + b"/docs/no_utf8_\xff.txt")
    (tmp_path / "docs").mkdir()
    Path(path).write_text("words")
    (file,) = select([tmp_path / "docs"], [str(tmp_path)]).files
    for _ in range(2):
        house.ingest(file)
        states.save([replace(state, collection=INTO) for state in house.states.of(INTO).values()])
        assert vanished(states.of(INTO), tmp_path / "docs", [file]) == {}
    assert set(vanished(states.of(INTO), tmp_path / "docs", [])) == {file.source}


def test_a_folder_that_became_empty_is_refused(house: House) -> None:
    with pytest.raises(BadRequest, match="1 came from it"):
        refuse_empty(Path("docs"), (), ["a.txt"])
    refuse_empty(Path("docs"), (), [])
    refuse_empty(Path("docs"), (Selected(path="/a", source="a"),), ["b"])
