"""What files are before they are read."""

import hashlib
import os
from pathlib import Path

import pytest

from cluster.stores.document_states import DocumentState
from pipelines.documents import scan as module
from pipelines.documents.scan import Scanned, scan
from pipelines.documents.selection import Selected
from pipelines.documents.stamp import SETTLED_S

LATER = 1e12  # of the clock: every file is old by then


def file(folder: Path, name: str, content: bytes = b"words") -> Selected:
    (folder / name).write_bytes(content)
    return Selected(path=str(folder / name), source=name)


def known(scanned: Scanned) -> dict[str, DocumentState]:
    state = DocumentState(
        collection="c",
        source=scanned.file.source,
        path=scanned.file.path,
        stamp=scanned.stamp,
        document_id=scanned.document_id,
    )
    return {state.source: state}


def look(*files: Selected, states: dict[str, DocumentState] | None = None, now: float = LATER) -> list[Scanned]:
    return scan(files, states or {}, max_bytes=100, clock=lambda: now)


def test_files_are_hashed_in_their_order(tmp_path: Path) -> None:
    files = [file(tmp_path, f"{number}.txt", b"%d" % number) for number in range(20)]
    found = look(*files)
    assert [each.file for each in found] == files
    assert [each.document_id for each in found] == [hashlib.sha256(b"%d" % n).hexdigest() for n in range(20)]


def test_a_file_that_looks_as_before_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (first,) = look(file(tmp_path, "a.txt"))
    monkeypatch.setattr(module, "_hash", lambda path: pytest.fail(f"{path} was read"))
    assert look(first.file, states=known(first)) == [first]


@pytest.mark.parametrize("change", ["content", "time", "replaced"])
def test_a_file_that_looks_otherwise_is_read(tmp_path: Path, change: str) -> None:
    (first,) = look(file(tmp_path, "a.txt"))
    if change == "content":
        (tmp_path / "a.txt").write_bytes(b"other")  # of the same length
    elif change == "time":
        os.utime(tmp_path / "a.txt", (1, 1))
    else:
        file(tmp_path, "b.txt", b"other")
        (tmp_path / "b.txt").replace(tmp_path / "a.txt")
    (again,) = look(first.file, states=known(first))
    expected = b"words" if change == "time" else b"other"
    assert again.document_id == hashlib.sha256(expected).hexdigest()


def test_a_file_of_a_moment_ago_is_not_believed_next_time(tmp_path: Path) -> None:
    fresh = file(tmp_path, "a.txt")
    now = (tmp_path / "a.txt").stat().st_mtime + SETTLED_S / 2
    (found,) = look(fresh, now=now)
    assert (found.stamp, bool(found.document_id)) == ("", True)


def test_a_file_that_is_gone_or_too_large_has_no_hash(tmp_path: Path) -> None:
    gone = Selected(path=str(tmp_path / "gone.txt"), source="gone.txt")
    found = look(gone, file(tmp_path, "large.txt", b"x" * 101))
    assert [each.document_id for each in found] == ["", ""]
    assert found[1].size == 101
