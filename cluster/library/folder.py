"""A folder full of models as a registry: for sites without a network, for shared disks, and for tests.

`ROOT/owner/name/` or `ROOT/name/` holds a model's files. A `SHA256SUMS` beside them, as `sha256sum *` writes it,
says what they must be; without one the files are hashed before they are copied.
"""

import hashlib
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cluster.errors import BrokenModel, InvalidModelName, ModelNotFound, RegistryAway, RevisionNotFound
from cluster.library.manifest import DEFAULT_REVISION, Content, Manifest, RemoteFile
from cluster.library.reference import check_name, inside

SUMS = "SHA256SUMS"
SUM = re.compile(r"([0-9a-f]{64}) [ *](.+)")
CHUNK = 1024**2


class FolderRegistry:
    """One such folder."""

    kind = "folder"

    def __init__(self, root: Path) -> None:
        self._root = root

    def names(self) -> list[str]:
        """The models in it, by what is a folder with files, one or two levels down."""
        found = []
        for folder in sorted([*self._root.glob("*/"), *self._root.glob("*/*/")]):
            name = folder.relative_to(self._root).as_posix()
            if not name.startswith(".") and any(path.is_file() for path in folder.iterdir()):
                found.append(name)
        return found

    def has(self, name: str) -> bool:
        """Whether there is such a model. Raises InvalidModelName."""
        return (self._root / check_name(name)).is_dir()

    def manifest(self, name: str, revision: str | None) -> Manifest:
        """The files and their hashes. A folder has one revision, the hash of all of them."""
        folder = self._folder(name)
        sums = _sums(folder)
        try:
            files = tuple(_file(path, folder, sums) for path in _paths(name, folder))
        except OSError as error:
            raise RegistryAway(f"the registry folder {folder} cannot be read: {error.strerror}") from error
        missing = sorted(set(sums) - {file.path for file in files})
        if missing:
            raise BrokenModel(f"{folder / SUMS} lists {missing[0]}, which is not there")
        commit = hashlib.sha1(usedforsecurity=False)
        for file in sorted(files, key=lambda one: one.path):
            commit.update(f"{file.sha256} {file.path}\n".encode())
        found = commit.hexdigest()
        if revision not in {None, DEFAULT_REVISION, found}:
            raise RevisionNotFound(f"{name} in {self._root} has no revision {revision}", hint=f"it has {found}")
        return Manifest(
            name=name, revision=revision or DEFAULT_REVISION, commit=found, registry=self.kind, files=files
        )

    @contextmanager
    def read(self, manifest: Manifest, file: RemoteFile, start: int) -> Iterator[Content]:
        """A file's content from `start` on."""
        try:
            with (self._folder(manifest.name) / file.path).open("rb") as stream:
                stream.seek(start)
                yield Content(start=start, chunks=iter(lambda: stream.read(CHUNK), b""))
        except OSError as error:
            if error.filename is None:  # of the caller's own writing
                raise
            raise RegistryAway(f"{file.path} of {manifest.name} cannot be read: {error.strerror}") from error

    def _folder(self, name: str) -> Path:
        folder = self._root / check_name(name)
        if not folder.is_dir():
            raise ModelNotFound(f"{name} is not in the registry folder {self._root}")
        if not inside(folder, self._root):
            raise InvalidModelName(f"{name} in {self._root} is a link that leaves that folder")
        return folder


def _paths(name: str, folder: Path) -> Iterator[Path]:
    for place, folders, files in os.walk(folder):
        folders[:] = sorted(one for one in folders if not one.startswith("."))
        for file in sorted(files):
            path = Path(place) / file
            if file.startswith(".") or file == SUMS:
                continue
            if not inside(path, folder):
                raise InvalidModelName(f"{path} of {name} is a link that leaves its folder")
            yield path


def _file(path: Path, folder: Path, sums: dict[str, str]) -> RemoteFile:
    relative = path.relative_to(folder).as_posix()
    return RemoteFile(path=relative, size=path.stat().st_size, sha256=sums.get(relative) or _hash(path))


def _hash(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _sums(folder: Path) -> dict[str, str]:
    """What SHA256SUMS says; nothing where there is none."""
    file = folder / SUMS
    if not file.is_file():
        return {}
    found = {}
    for line in file.read_text(encoding="utf-8", errors="replace").splitlines():
        match = SUM.fullmatch(line.strip())
        if line.strip() and match is None:
            raise BrokenModel(f"{file} has a line that is no hash and name: {line[:80]!r}")
        if match is not None:
            found[match[2].removeprefix("./")] = match[1]
    return found
