"""A run that has nothing to do knows it from its receipt; whatever changed makes it look."""

import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from cluster.config import resolve
from cluster.documents import Document
from cluster.stores.document_states import DocumentState, State
from cluster.stores.ledger import Record
from pipelines.documents.labels import Labels
from pipelines.documents.receipt import Receipt
from pipelines.documents.running import Driver, Running
from pipelines.documents.selection import Selected
from pipelines.documents.stamp import SETTLED_S, stamp_of

NAMES = ("a.txt", "b.md")


@dataclass
class Done:
    """A home in which a run has stored two files."""

    home: Path
    receipt: Receipt
    files: tuple[Selected, ...]
    states: dict[str, DocumentState]

    @property
    def now(self) -> float:
        """When all files are old enough."""
        return max(os.stat(each.path).st_ctime for each in self.files) + SETTLED_S + 1  # noqa: PTH116

    def holds(self) -> bool:
        return self.receipt.holds(self.files, self.now)

    def publish(self, *records: Record) -> None:
        self.receipt.cluster.files().save_records("documents", records)


def cluster(home: Path, **documents: object) -> Running:
    args = {
        "home": str(home),
        "models": [{"id": "hash", "engine": {"kind": "hash"}}],
        "documents": {"chunk_tokens": 64, **documents},
    }
    return Running(home=home, application="app", settings=resolve(args, {}), connect=Driver(home))


def record(source: str, chunker: str, **fields: object) -> Record:
    document = Document(id=f"id of {source}", source=source, media_type="text/plain", chunks=1, **fields)
    return Record(document=document, sources=(source,), chunker=chunker)


@pytest.fixture
def done(tmp_path: Path) -> Done:
    (tmp_path / "heliostat.db").touch()
    receipt = Receipt(
        cluster=cluster(tmp_path), command="ingest", paths=(tmp_path,), collection=None, labels=Labels()
    )
    files, states = [], {}
    for name in NAMES:
        path = tmp_path / name
        path.write_text(name)
        files.append(Selected(path=str(path), source=name))
        states[name] = DocumentState(
            collection="documents",
            source=name,
            path=str(path),
            stamp=stamp_of(path.stat()),
            state=State.STORED,
            document_id=f"id of {name}",
            stored_id=f"id of {name}",
        )
    made = Done(home=tmp_path, receipt=receipt, files=tuple(files), states=states)
    made.publish(*(record(name, receipt._chunker()) for name in NAMES))
    return made


def test_nothing_changed_is_known_from_the_receipt(done: Done) -> None:
    assert not done.holds()
    done.receipt.leave(done.files, done.states)
    assert done.holds()
    assert replace(done.receipt).holds(done.files, done.now)


CHANGES: dict[str, Callable[[Done], object]] = {
    "a file's content": lambda done: (done.home / "a.txt").write_text("A.TXT"),
    "a file's time": lambda done: os.utime(done.home / "a.txt", (1, 1)),
    "a file made anew": lambda done: (
        (done.home / "n").write_text("a.txt"),
        (done.home / "n").replace(done.home / "a.txt"),
    ),
    "a file that is gone": lambda done: (done.home / "a.txt").unlink(),
    "what is published": lambda done: done.publish(record("c.txt", "other")),
    "a collection that is gone": lambda done: done.receipt.cluster.files().drop("documents"),
    "the database": lambda done: (
        (done.home / "new").touch(),
        (done.home / "new").replace(done.home / "heliostat.db"),
    ),
    "a damaged receipt": lambda done: done.receipt.file.write_bytes(b"\xff"),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_whatever_changed_makes_a_run_look(done: Done, change: Callable[[Done], object]) -> None:
    done.receipt.leave(done.files, done.states)
    now = done.now + 3600
    assert done.receipt.holds(done.files, now)
    change(done)
    assert not done.receipt.holds(done.files, now)


def test_another_question_or_other_settings_have_no_receipt(done: Done) -> None:
    done.receipt.leave(done.files, done.states)
    assert not done.receipt.holds(done.files[:1], done.now)
    others = (
        replace(done.receipt, command="sync"),
        replace(done.receipt, collection="others"),
        replace(done.receipt, labels=Labels(tags=("t",))),
        replace(done.receipt, cluster=cluster(done.home, chunk_tokens=32)),
        replace(done.receipt, cluster=cluster(done.home, max_pages=7)),
    )
    assert not any(other.holds(done.files, done.now) for other in others)


def test_a_file_changed_a_moment_ago_is_looked_at(done: Done) -> None:
    done.receipt.leave(done.files, done.states)
    assert not done.receipt.holds(done.files, done.now - SETTLED_S)


@pytest.mark.parametrize(
    "fields",
    [
        {"stamp": ""},
        {"path": "/elsewhere"},
        {"document_id": "newer", "state": State.FAILED},
        {"stored_id": "older"},
    ],
)
def test_no_receipt_is_left_where_a_file_is_not_stored_as_it_looks(done: Done, fields: dict[str, object]) -> None:
    done.states["a.txt"] = replace(done.states["a.txt"], **fields)  # type: ignore[arg-type]
    done.receipt.leave(done.files, done.states)
    assert not done.receipt.file.exists()


def test_no_receipt_is_left_where_it_is_not_published_as_asked(done: Done) -> None:
    tagged = replace(done.receipt, labels=Labels(tags=("t",)))
    tagged.leave(done.files, done.states)
    assert not tagged.file.exists()
    done.publish(record("a.txt", "another chunker"))
    done.receipt.leave(done.files, done.states)
    assert not done.receipt.file.exists()


def test_a_file_that_changed_while_it_was_read_is_read_again(done: Done) -> None:
    (done.home / "a.txt").write_text("changed since it was looked at")
    done.receipt.leave(done.files, done.states)
    assert not done.holds()
