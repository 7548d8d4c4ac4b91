"""Which files an ingest reads: named files and folders, inside the allowed folders only."""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from cluster.errors import BadRequest, PathNotAllowed
from pipelines.documents.media import READABLE, is_readable, require_readable


@dataclass(frozen=True, slots=True, kw_only=True)
class Selected:
    """A file to read. path: real and absolute. source: what documents and citations call it."""

    path: str
    source: str


def select(paths: Sequence[Path], folders: Sequence[str], *, allow_empty: bool = False) -> tuple[Selected, ...]:
    """The files, each once, in the order of the paths and then by name.

    A file's source is its path below the allowed folder; below their common parent, where several are
    allowed. A folder is searched to its bottom, and what is hidden or of another type there is left out.
    Raises BadRequest for a path that does not exist or, unless allow_empty, a folder with nothing to read;
    PathNotAllowed, UnsupportedDocument for a file of another type that was named itself.
    """
    roots = [Path(folder).expanduser().resolve() for folder in folders]
    base = Path(os.path.commonpath(roots))
    found: dict[str, Selected] = {}
    for path in paths:
        real = _allowed(path, roots)
        if not real.is_dir():
            require_readable(real.name)
            found.setdefault(str(real), _selected(real, base))
            continue
        inside = [file for file in _readable(real) if _is_inside(file, roots)]
        if not inside and not allow_empty:
            raise BadRequest(f"{path}: no file to read in this folder", hint=READABLE)
        for file in inside:
            found.setdefault(str(file), _selected(file, base))
    return tuple(found.values())


def _allowed(path: Path, roots: Sequence[Path]) -> Path:
    real = path.expanduser().resolve()  # links are followed first: one that leads outside is outside
    if not _is_inside(real, roots):
        allowed = ", ".join(str(root) for root in roots)
        raise PathNotAllowed(
            f"{path} is outside the folders that may be read", hint=f"documents.folders allows {allowed}"
        )
    if not real.exists():
        raise BadRequest(f"{path}: no such file or folder", hint="name files or folders that exist")
    if not (real.is_dir() or real.is_file()):
        raise BadRequest(f"{path} is neither a file nor a folder", hint="name files or folders")
    return real


def _is_inside(real: Path, roots: Sequence[Path]) -> bool:
    return any(real.is_relative_to(root) for root in roots)


def _readable(folder: Path) -> Iterator[Path]:
    """Real paths below a real one. No link to a folder is followed, so only a file itself may be a link."""
    for parent, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(files):
            file = Path(parent, name)
            if not name.startswith(".") and is_readable(name) and file.is_file():
                yield file.resolve() if file.is_symlink() else file


def _selected(real: Path, base: Path) -> Selected:
    # A name that is no UTF-8 is shown as nearly as can be; its path opens the file all the same.
    shown = os.fsencode(real.relative_to(base).as_posix()).decode("utf-8", "replace")
    return Selected(path=str(real), source=shown)
