"""What a registry holds of a model, what is wanted of it, and how far a pull is."""

from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Literal, Protocol

DEFAULT_REVISION = "main"


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoteFile:
    """One file. path: below the model's folder, with `/`. size: bytes. sha256 or git_sha1: of its content.

    git_sha1 is git's hash of the content as a blob, which the Hub gives for files that it keeps in git itself.
    """

    path: str
    size: int
    sha256: str | None = None
    git_sha1: str | None = None

    @property
    def digest(self) -> str:
        """The hash that names the file's content, as the Hub's own cache does."""
        return self.sha256 or self.git_sha1 or ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """All files of one revision. commit: 40 hex digits that never mean other files. registry: `hub` or `folder`."""

    name: str
    revision: str
    commit: str
    registry: str
    files: tuple[RemoteFile, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What is wanted. only: file patterns, in place of all that an engine reads. weights: False for a tokenizer."""

    name: str
    revision: str | None = None
    allow_pickle: bool = False
    remote_code: bool = False
    only: tuple[str, ...] = ()
    weights: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Content:
    """A file's bytes from `start` on, which is 0 where a server cannot begin elsewhere."""

    start: int
    chunks: Iterator[bytes]


class Registry(Protocol):
    """Where models come from."""

    @property
    def kind(self) -> str:
        """`hub` or `folder`."""

    def manifest(self, name: str, revision: str | None) -> Manifest:
        """What it has. Raises ModelNotFound, RevisionNotFound, GatedModel, RegistryAway."""

    def read(self, manifest: Manifest, file: RemoteFile, start: int) -> AbstractContextManager[Content]:
        """A file's content. Raises RegistryAway, also in the middle, where another try may go on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PullProgress:
    """How far a pull is. done, total: bytes of the whole model; file_done, file_total: of `file`, hashed to digest.

    `waiting`: another process pulls the same model, or the registry asked for time; note says which. `done` is
    the last one, and only it has a folder, where the model is.
    """

    status: Literal["resolving", "waiting", "downloading", "verifying", "done"]
    model: str
    commit: str | None = None
    file: str | None = None
    digest: str | None = None
    done: int = 0
    total: int = 0
    file_done: int = 0
    file_total: int = 0
    note: str = ""
    folder: str | None = None
