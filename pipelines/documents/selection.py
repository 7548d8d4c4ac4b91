"""Which files an ingest reads: named files and folders, inside the allowed folders only."""

import os
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from cluster.errors import BadRequest, PathNotAllowed
from pipelines.documents.media import READABLE, is_readable, require_readable

UNSEEN = re.compile("[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]")  # controls, line ends, turns of direction


@dataclass(frozen=True, slots=True, kw_only=True)
class Selected:
    """A file to read. path: real and absolute. source: what documents and citations call it."""

    path: str
    source: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """What was found. left_out: files in folders of a kind that is not read, counted by ending, such as `.png`.

    closed: folders that could not be looked into, and why: what is in them is not known.
    """

    files: tuple[Selected, ...]
    left_out: Mapping[str, int] = field(default_factory=dict)
    closed: Mapping[str, str] = field(default_factory=dict)


def select(paths: Sequence[Path], folders: Sequence[str], *, allow_empty: bool = False) -> Selection:
    """The files, each once, in the order of the paths and then by name.

    A file's source is its path below the allowed folder; below their common parent, where several are
    allowed. A folder is searched to its bottom, and what is hidden or of another type there is left out.
    Raises BadRequest for a path that does not exist or, unless allow_empty, a folder with nothing to read;
    PathNotAllowed, UnsupportedDocument for a file of another type that was named itself.
    """
    roots = [Path(folder).expanduser().resolve() for folder in folders]
    base = Path(os.path.commonpath(roots))
    found: dict[str, Selected] = {}
    others: set[str] = set()
    closed: dict[str, str] = {}
    for path in paths:
        real = _allowed(path, roots)
        if not real.is_dir():
            require_readable(real.name)
            found.setdefault(str(real), _selected(real, base))
            continue
        readable = []
        for file in files_below(real, closed):
            target = file.resolve() if file.is_symlink() else file
            if not _is_inside(target, roots):
                continue
            if is_readable(file.name):  # by the link's name, where it is one
                readable.append(target)
            else:
                others.add(str(file))
        if not readable and not allow_empty and not closed:
            raise BadRequest(f"{path}: no file to read in this folder", hint=READABLE)
        for file in readable:
            found.setdefault(str(file), _selected(file, base))
    return Selection(files=tuple(found.values()), left_out=by_ending(others), closed=closed)


def by_ending(files: Iterable[str]) -> dict[str, int]:
    """How many files have which ending, the most frequent first."""
    return dict(Counter(Path(file).suffix.lower() or "no ending" for file in files).most_common())


def _allowed(path: Path, roots: Sequence[Path]) -> Path:
    try:
        real = path.expanduser().resolve()  # links are followed first: one that leads outside is outside
        if not _is_inside(real, roots):
            allowed = ", ".join(str(root) for root in roots)
            raise PathNotAllowed(
                f"{path} is outside the folders that may be read", hint=f"documents.folders allows {allowed}"
            )
        is_there, is_either = real.exists(), real.is_dir() or real.is_file()
    except (OSError, RuntimeError) as error:  # links in a circle, a name too long, a home that nobody has
        reason = error.strerror if isinstance(error, OSError) else error
        raise BadRequest(f"{path}: {reason}", hint="name files or folders that can be read") from None
    if not is_there:
        raise BadRequest(f"{path}: no such file or folder", hint="name files or folders that exist")
    if not is_either:
        raise BadRequest(f"{path} is neither a file nor a folder", hint="name files or folders")
    return real


def _is_inside(real: Path, roots: Sequence[Path]) -> bool:
    return any(real.is_relative_to(root) for root in roots)


def files_below(folder: Path, closed: dict[str, str] | None = None) -> Iterator[Path]:
    """All files of a folder to its bottom, by name, without what is hidden.

    No link to a folder is followed; a file that is a link has the link's name. closed: takes the folders that could
    not be looked into, and why; None passes them over.
    """

    def note(error: OSError) -> None:
        if closed is not None:
            closed[os.fspath(error.filename)] = error.strerror or str(error)

    for parent, folders, files in os.walk(folder, onerror=note):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(files):
            file = Path(parent, name)
            if not name.startswith(".") and _is_file(file):
                yield file


def _is_file(path: Path) -> bool:
    """Whether it is one, or may be: who reads it says what keeps it from being read."""
    try:
        return path.is_file()
    except OSError:
        return True


def _selected(real: Path, base: Path) -> Selected:
    return Selected(path=str(real), source=readable(real.relative_to(base).as_posix()))


def readable(path: str) -> str:
    """A path to show: bytes that are no UTF-8, and what would rule a terminal or break a line, as `\\xff`.

    So two files are never called the same, and each path opens its file all the same.
    """
    told = os.fsencode(path).decode("utf-8", "backslashreplace")
    return UNSEEN.sub(lambda found: found[0].encode("unicode_escape").decode(), told)
