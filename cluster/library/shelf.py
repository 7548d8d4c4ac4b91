"""Where pulled models stand: the Hugging Face Hub's own cache layout, so that every other tool finds them too.

models--owner--name/
    blobs/DIGEST               a file's content; DIGEST.incomplete is what has arrived of one
    snapshots/COMMIT/PATH      links into blobs; it appears in one step, when all of them are there
    refs/REVISION              the commit that a branch or tag meant when it was pulled
    heliostat/COMMIT.json      what the registry said: every file's size and hash, and which are here
.locks/models--owner--name/    one puller at a time
"""

import fcntl
import json
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from cluster.library.manifest import DEFAULT_REVISION, Manifest, RemoteFile
from cluster.library.reference import check_name, check_revision, is_commit

PARTIAL = ".incomplete"  # as the Hub's library ends its own, so that `hf cache` sees ours
RECORDS = "heliostat"


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """A finished pull. here: paths of the files that were fetched. pulled_at: Unix seconds."""

    manifest: Manifest
    here: tuple[str, ...]
    pulled_at: float

    @property
    def size(self) -> int:
        """Bytes of the files that are here."""
        wanted = set(self.here)
        return sum(file.size for file in self.manifest.files if file.path in wanted)


class Shelf:
    """One such folder. It need not exist yet."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def repository(self, name: str) -> Path:
        """A model's folder. Raises InvalidModelName."""
        return self.root / f"models--{check_name(name).replace('/', '--')}"

    def snapshot(self, name: str, commit: str) -> Path:
        """Where a revision's files are, if they are."""
        return self.repository(name) / "snapshots" / commit

    def blob(self, name: str, file: RemoteFile) -> Path:
        """Where a file's content goes."""
        return self.repository(name) / "blobs" / file.digest

    def partial(self, name: str, file: RemoteFile) -> Path:
        """Where it is while it arrives."""
        return self.repository(name) / "blobs" / (file.digest + PARTIAL)

    def arrived(self, name: str, files: tuple[RemoteFile, ...]) -> int:
        """Bytes of the files that are on disk, the halves of unfinished ones too."""
        return sum(min(file.size, self._size_of(name, file)) for file in files)

    def has_blob(self, name: str, file: RemoteFile) -> bool:
        """Whether the whole content is here."""
        blob = self.blob(name, file)
        return blob.is_file() and blob.stat().st_size == file.size

    def commit_of(self, name: str, revision: str | None) -> str | None:
        """The commit that a revision meant when it was last pulled; None is unknown here."""
        if revision is not None and is_commit(revision):
            return revision
        file = self.repository(name) / "refs" / check_revision(revision or DEFAULT_REVISION)
        with suppress(OSError):
            return file.read_text(encoding="utf-8").strip() or None
        return None

    def record(self, name: str, commit: str) -> Record | None:
        """What was pulled of a revision; None where nobody here pulled it, or some of its files are gone."""
        try:
            stored = json.loads(self._record_file(name, commit).read_text(encoding="utf-8"))
            files = tuple(RemoteFile(**file) for file in stored["manifest"].pop("files"))
            record = Record(
                manifest=Manifest(**stored["manifest"], files=files),
                here=tuple(stored["here"]),
                pulled_at=float(stored["pulled_at"]),
            )
        except (OSError, ValueError, TypeError, KeyError):
            return None
        folder, sizes = self.snapshot(name, commit), {file.path: file.size for file in files}
        return record if all(_size(folder / path) == sizes.get(path) for path in record.here) else None

    def records(self) -> Iterator[Record]:
        """All finished pulls, the newest revision of a model first."""
        found = []
        for file in sorted(self.root.glob(f"models--*/{RECORDS}/*.json")):
            name = file.parents[1].name.removeprefix("models--").replace("--", "/")
            record = self.record(name, file.stem)
            if record is not None:
                found.append(record)
        yield from sorted(found, key=lambda record: (record.manifest.name, -record.pulled_at))

    def place(self, manifest: Manifest, files: tuple[RemoteFile, ...]) -> Path:
        """Make a revision visible whose blobs are all here; returns its folder. The record and the ref come last.

        What another tool put into the same revision before stays in it.
        """
        repository, folder = self.repository(manifest.name), self.snapshot(manifest.name, manifest.commit)
        draft = repository / RECORDS / f"draft-{os.getpid()}-{time.monotonic_ns()}"
        old = self.record(manifest.name, manifest.commit)
        for file in files:
            link = draft / file.path
            link.parent.mkdir(parents=True, exist_ok=True)
            link.symlink_to(os.path.relpath(self.blob(manifest.name, file), folder / Path(file.path).parent))
        folder.parent.mkdir(parents=True, exist_ok=True)
        if folder.is_dir():
            _keep_others(folder, draft)
            replaced = draft.with_name(draft.name + "-old")
            folder.rename(replaced)
            draft.rename(folder)
            shutil.rmtree(replaced, ignore_errors=True)
        else:
            draft.rename(folder)
        here = sorted({file.path for file in files} | set(old.here if old else ()))
        record = {"manifest": asdict(manifest), "here": here, "pulled_at": time.time()}
        _write(self._record_file(manifest.name, manifest.commit), json.dumps(record, indent=1))
        self.remember(manifest.name, manifest.revision, manifest.commit)
        return folder

    def remember(self, name: str, revision: str, commit: str) -> None:
        """That a revision means a commit."""
        if not is_commit(revision):  # which needs no name
            _write(self.repository(name) / "refs" / check_revision(revision), commit)

    @contextmanager
    def lock(self, name: str) -> Iterator["Lock"]:
        """The right to pull a model, which the kernel takes back when its holder dies, however it dies."""
        folder = self.root / ".locks" / self.repository(name).name
        folder.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(folder / "heliostat.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            yield Lock(descriptor)
        finally:
            os.close(descriptor)

    def sweep(self, name: str) -> None:
        """Remove what a killed pull left beside its files. Only for who holds the lock."""
        for left in (self.repository(name) / RECORDS).glob("draft-*"):
            shutil.rmtree(left, ignore_errors=True)

    def _record_file(self, name: str, commit: str) -> Path:
        return self.repository(name) / RECORDS / f"{commit}.json"

    def _size_of(self, name: str, file: RemoteFile) -> int:
        whole = _size(self.blob(name, file))
        return whole if whole is not None else _size(self.partial(name, file)) or 0


class Lock:
    """An open lock file. Closing it gives the lock back."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def taken(self) -> bool:
        """Take it if nobody has it."""
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True


def _size(file: Path) -> int | None:
    try:
        return file.stat().st_size
    except OSError:
        return None


def _keep_others(folder: Path, draft: Path) -> None:
    """Copy into the draft what the folder has and the draft lacks: links as links, files as hard links."""
    for path in folder.rglob("*"):
        target = draft / path.relative_to(folder)
        if path.is_dir() and not path.is_symlink():
            target.mkdir(parents=True, exist_ok=True)
        elif not target.exists() and not target.is_symlink():
            target.parent.mkdir(parents=True, exist_ok=True)
            if path.is_symlink():
                target.symlink_to(path.readlink())
            else:
                target.hardlink_to(path)


def _write(file: Path, text: str) -> None:
    """Replace a file in one step."""
    file.parent.mkdir(parents=True, exist_ok=True)
    draft = file.with_name(f".{file.name}.{os.getpid()}.tmp")
    draft.write_text(text, encoding="utf-8")
    draft.replace(file)
