"""Files: whole or not there, their owner's alone, gone when they expire."""

import hashlib
import os
import time
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import Engine, update

from cluster.errors import UploadNotFound
from cluster.stores import files as store
from cluster.stores.database import now
from cluster.stores.files import Files, StoredFile, files, new_id


@pytest.fixture
def kept(database: Engine, tmp_path: Path) -> Files:
    return Files(database, tmp_path)


def put(kept: Files, content: bytes = b"abc", *, owner: str = "ann", purpose: str = "batch") -> StoredFile:
    with kept.draft(new_id()) as draft:
        draft.write(content)
        return kept.keep(draft, owner=owner, filename="a.jsonl", purpose=purpose)


def names(folder: Path) -> set[str]:
    return {path.name for path in (folder / "files").iterdir()}


def test_a_file_has_its_bytes_size_and_digest(kept: Files) -> None:
    found = put(kept, b"abc")
    assert kept.get(found.id, owner="ann") == found
    assert (found.bytes, found.sha256) == (3, hashlib.sha256(b"abc").hexdigest())
    assert kept.path(found.id).read_bytes() == b"abc"


def test_a_draft_that_is_not_kept_leaves_nothing(kept: Files, tmp_path: Path) -> None:
    with kept.draft(new_id()) as draft:
        draft.write(b"half")
        assert len(names(tmp_path)) == 1
    assert names(tmp_path) == set()


def test_another_owner_finds_nothing(kept: Files) -> None:
    found = put(kept)
    for work in (kept.get, kept.remove):
        with pytest.raises(UploadNotFound):
            work(found.id, owner="bob")
    assert kept.page(owner="bob", limit=9).files == []
    with pytest.raises(UploadNotFound):
        kept.page(owner="bob", limit=9, after=found.id)
    assert kept.used("bob") == 0
    assert kept.get(found.id, owner="ann")


def test_pages_go_through_all_files_in_either_order(kept: Files) -> None:
    made = [put(kept, purpose="batch" if number % 2 else "user_data").id for number in range(5)]
    first = kept.page(owner="ann", limit=2)
    assert ([file.id for file in first.files], first.more) == ([made[4], made[3]], True)
    last = kept.page(owner="ann", limit=3, after=made[3])
    assert ([file.id for file in last.files], last.more) == ([made[2], made[1], made[0]], False)
    up = kept.page(owner="ann", limit=9, newest_first=False, after=made[1])
    assert [file.id for file in up.files] == made[2:]
    assert [file.id for file in kept.page(owner="ann", limit=9, purpose="batch").files] == [made[3], made[1]]


def test_a_removed_file_is_gone_with_its_bytes(kept: Files, tmp_path: Path) -> None:
    found = put(kept)
    kept.remove(found.id, owner="ann")
    assert names(tmp_path) == set()
    with pytest.raises(UploadNotFound):
        kept.remove(found.id, owner="ann")


def test_an_expired_file_is_not_found_and_swept(kept: Files, tmp_path: Path) -> None:
    gone, stays = put(kept), put(kept)
    with kept._engine.begin() as connection:
        connection.execute(
            update(files).where(files.c.id == gone.id).values(expires_at=now() - timedelta(seconds=1))
        )
        connection.execute(update(files).where(files.c.id == stays.id).values(expires_at=now() + timedelta(days=1)))
    with pytest.raises(UploadNotFound):
        kept.get(gone.id, owner="ann")
    assert [file.id for file in kept.page(owner="ann", limit=9).files] == [stays.id]
    assert kept.sweep() == 1
    assert names(tmp_path) == {stays.id}


def test_bytes_that_a_crash_left_are_swept_once_they_are_old(kept: Files, tmp_path: Path) -> None:
    stays = put(kept)
    orphan, draft = kept.path("file-orphan"), kept.path("file-x.0.tmp")
    for path in (orphan, draft):
        path.write_bytes(b"x")
    assert kept.sweep() == 0  # an upload under way looks like that
    old = time.time() - store.LEFTOVER_S - 1
    for path in (orphan, draft, kept.path(stays.id)):
        os.utime(path, (old, old))
    assert kept.sweep() == 2
    assert names(tmp_path) == {stays.id}


def test_what_is_kept_again_takes_the_place_of_the_first(kept: Files) -> None:
    for content in (b"one", b"two!"):
        with kept.draft("file-same") as draft:
            draft.write(content)
            kept.keep(draft, owner="ann", filename="x", purpose="batch_output")
    assert [file.bytes for file in kept.page(owner="ann", limit=9).files] == [4]
    assert kept.used("ann") == 4
