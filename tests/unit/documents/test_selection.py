import os
from pathlib import Path

import pytest

from cluster.errors import BadRequest, PathNotAllowed, UnsupportedDocument
from pipelines.documents.selection import select


@pytest.fixture
def library(tmp_path: Path) -> Path:
    for name in ("docs/a.txt", "docs/deep/b.md", "docs/c.png", "docs/.hidden.txt", "docs/.git/d.md", "other/e.txt"):
        file = tmp_path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("text")
    return tmp_path


def sources(*paths: Path, folders: list[Path]) -> list[str]:
    return [file.source for file in select(paths, [str(folder) for folder in folders]).files]


def test_a_folder_is_searched_and_what_is_hidden_or_of_another_type_is_left_out(library: Path) -> None:
    assert sources(library / "docs", folders=[library]) == ["docs/a.txt", "docs/deep/b.md"]


def test_files_of_other_kinds_in_folders_are_counted_by_their_ending(library: Path) -> None:
    for name in ("docs/d.PNG", "docs/deep/Makefile"):
        (library / name).write_text("text")
    chosen = select([library / "docs", library / "docs/deep"], [str(library)])
    assert chosen.left_out == {".png": 2, "no ending": 1}


def test_sources_are_below_the_common_parent_of_the_allowed_folders(library: Path) -> None:
    assert sources(library / "docs/a.txt", folders=[library / "docs"]) == ["a.txt"]
    assert sources(library / "docs/a.txt", folders=[library / "docs", library / "other"]) == ["docs/a.txt"]


def test_a_file_named_twice_is_read_once(library: Path) -> None:
    assert sources(library / "docs/a.txt", library / "docs", folders=[library]) == ["docs/a.txt", "docs/deep/b.md"]


def test_a_named_file_of_another_type_is_refused(library: Path) -> None:
    with pytest.raises(UnsupportedDocument, match=r"c\.png: \.png files are not read"):
        sources(library / "docs/c.png", folders=[library])


@pytest.mark.parametrize("path", ["other/e.txt", "docs/../other/e.txt", "docs/link.txt", "missing.txt"])
def test_a_path_outside_the_allowed_folders_is_refused_however_it_is_written(library: Path, path: str) -> None:
    (library / "docs/link.txt").symlink_to(library / "other/e.txt")
    with pytest.raises(PathNotAllowed) as caught:
        sources(library / path, folders=[library / "docs"])
    assert str(library / "docs") in str(caught.value.hint)


def test_a_link_inside_a_folder_that_leads_outside_is_left_out(library: Path) -> None:
    (library / "docs/link.txt").symlink_to(library / "other/e.txt")
    assert sources(library / "docs", folders=[library / "docs"]) == ["a.txt", "deep/b.md"]


def test_a_missing_path_and_a_folder_with_nothing_to_read_are_named(library: Path) -> None:
    with pytest.raises(BadRequest, match="no such file"):
        sources(library / "nowhere.txt", folders=[library])
    (library / "empty").mkdir()
    with pytest.raises(BadRequest, match="no file to read"):
        sources(library / "empty", folders=[library])


def test_a_folder_with_nothing_to_read_may_be_what_is_wanted(library: Path) -> None:
    (library / "empty").mkdir()
    assert select([library / "empty"], [str(library)], allow_empty=True).files == ()


@pytest.mark.parametrize(
    ("names", "shown"),
    [
        ([b"caf\xe8.txt", b"caf\xe9.txt"], ["docs/caf\\xe8.txt", "docs/caf\\xe9.txt"]),
        ([b"a\nb.txt", b"\x1b[2J.txt"], ["docs/\\x1b[2J.txt", "docs/a\\nb.txt"]),
        (["\u202egpj.txt".encode(), "é \u200d🎉.txt".encode()], ["docs/é \u200d🎉.txt", "docs/\\u202egpj.txt"]),
        ([b"-rf.txt", b"A.txt"], ["docs/-rf.txt", "docs/A.txt"]),
    ],
)
def test_a_name_is_shown_as_nearly_as_can_be_and_opens(library: Path, names: list[bytes], shown: list[str]) -> None:
    """Two names that are no UTF-8 were one: of their files one took the other out."""
    for name in names:
        with open(os.fsencode(library / "docs") + b"/" + name, "wb") as file:  # noqa: PTH123 - a Path takes no bytes
            file.write(name)
    found = {file.source: file for file in select([library / "docs"], [str(library)]).files}
    assert set(found) == {*shown, "docs/a.txt", "docs/deep/b.md"}
    assert sorted(Path(found[each].path).read_bytes() for each in shown) == sorted(names)


def test_a_link_is_read_by_its_own_name(library: Path) -> None:
    (library / "docs/blob").write_text("text")
    (library / "docs/linked.txt").symlink_to(library / "docs/blob")
    chosen = select([library / "docs"], [str(library)])
    assert "docs/blob" in [file.source for file in chosen.files]
    assert chosen.left_out == {".png": 1, "no ending": 1}


def too_deep(folder: Path) -> Path:
    """A folder below it that cannot be looked into, for root neither: its path is longer than any may be."""
    before, deep = Path.cwd(), folder
    try:
        os.chdir(folder)
        for _ in range(20):
            deep /= "d" * 250
            Path("d" * 250).mkdir()
            os.chdir("d" * 250)
        Path("lost.txt").write_text("text")
    finally:
        os.chdir(before)
    return deep


def test_a_folder_that_cannot_be_looked_into_is_told(library: Path) -> None:
    deep = too_deep(library / "docs/deep")
    chosen = select([library / "docs"], [str(library)])
    assert [file.source for file in chosen.files] == ["docs/a.txt", "docs/deep/b.md"]
    (closed,) = chosen.closed.items()
    assert deep.is_relative_to(closed[0])
    assert closed[1] == "File name too long"


@pytest.mark.parametrize("name", ["a" * 300 + ".txt", "~nobody-of-that-name/a.txt", "docs/circle.txt"])
def test_a_path_that_cannot_be_asked_for_is_refused(library: Path, name: str) -> None:
    """Each ended with a traceback."""
    (library / "docs/circle.txt").symlink_to(library / "docs/circle.txt")
    path = Path(name) if name.startswith("~") else library / name
    with pytest.raises(BadRequest) as caught:
        select([path], [str(library)])
    assert str(path) in caught.value.message
    assert caught.value.hint


@pytest.mark.parametrize("make", ["fifo", "dangling", "circle", "folder"])
def test_what_is_no_file_is_passed_over_in_a_folder(library: Path, make: str) -> None:
    odd = library / "docs/odd.txt"
    match make:
        case "fifo":
            os.mkfifo(odd)
        case "dangling":
            odd.symlink_to(library / "nowhere.txt")
        case "circle":
            odd.symlink_to(odd)
        case _:
            odd.mkdir()
    assert sources(library / "docs", folders=[library]) == ["docs/a.txt", "docs/deep/b.md"]
