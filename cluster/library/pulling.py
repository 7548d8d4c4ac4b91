"""Pulling a model: the one way by which files come to this machine, whoever wants them.

A pull is a generator of how far it is, so that it runs in whoever waits for it, and stops with them. It can be
killed at any moment: what arrived is found again, and the model appears only when all of it is there.
"""

import shutil
import time
from collections.abc import Callable, Generator
from dataclasses import dataclass, field, replace
from pathlib import Path

from cluster.catalog import GIB
from cluster.errors import BrokenModel, DiskFull, HashMismatch, RegistryAway
from cluster.library.arriving import Arriving, no_room
from cluster.library.manifest import Manifest, Order, PullProgress, Registry, RemoteFile
from cluster.library.reference import is_commit
from cluster.library.selection import needed
from cluster.library.shelf import Shelf
from cluster.stores.draft import NO_ROOM

REPORT_S = 0.1  # between two reports of one file
LOOK_BYTES = 64 * 1024**2  # after so many the free room is looked at again

Pulling = Generator[PullProgress, None, None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How long a registry is waited for. tries: without a new byte. Waits double, up to longest_s, in seconds.

    longest_s: a registry that asks for more time is an error. look_s: how often another's pull is looked at.
    """

    tries: int = 5
    first_s: float = 1.0
    longest_s: float = 120.0
    look_s: float = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """What a pull needs of its surroundings. free: bytes free at a folder. keep_free: bytes never to be taken."""

    keep_free: int = GIB
    free: Callable[[Path], int] = field(default=lambda folder: shutil.disk_usage(folder).free)
    sleep: Callable[[float], None] = time.sleep


def pull(
    order: Order, registry: Registry, shelf: Shelf, *, patience: Patience = Patience(), machine: Machine = Machine()
) -> Pulling:
    """Get a model. The last report is `done` and names its folder.

    Raises ModelNotFound, RevisionNotFound, GatedModel, NoWeights, PickledWeights, BrokenModel, RegistryAway,
    HashMismatch and DiskFull.
    """
    try:
        yield from _Pull(order, registry, shelf, patience, machine).run()
    except OSError as error:  # of a folder or a link: those of files are told where they are written
        if error.errno in NO_ROOM:
            raise no_room(shelf.root) from error
        raise


class _Pull:
    def __init__(
        self, order: Order, registry: Registry, shelf: Shelf, patience: Patience, machine: Machine
    ) -> None:
        self._order = order
        self._registry = registry
        self._shelf = shelf
        self._patience = patience
        self._machine = machine
        self._said = PullProgress(status="resolving", model=order.name)
        self._since_look = 0

    def run(self) -> Pulling:
        yield self._said
        manifest = yield from self._manifest()
        if not is_commit(manifest.commit):  # it becomes part of paths
            raise BrokenModel(f"the registry gives {manifest.name} the commit {manifest.commit[:80]!r}")
        files = needed(manifest.name, manifest.files, self._order)
        self._said = replace(self._said, commit=manifest.commit, total=sum(file.size for file in files))
        with self._shelf.lock(manifest.name) as lock:
            while not lock.taken():  # another one pulls it: to see how far that is costs a look at the disk
                arrived = self._shelf.arrived(manifest.name, files)
                yield replace(self._said, status="waiting", done=arrived, note="another process pulls it")
                self._machine.sleep(self._patience.look_s)
            self._shelf.sweep(manifest.name)
            if self._has(manifest, files):
                self._shelf.remember(manifest.name, manifest.revision, manifest.commit)
                folder = self._shelf.snapshot(manifest.name, manifest.commit)
            else:
                self._check_room(manifest, files)
                for file in files:
                    yield from self._file(manifest, file)
                folder = self._shelf.place(manifest, files)
        yield PullProgress(
            status="done",
            model=manifest.name,
            commit=manifest.commit,
            done=self._said.total,
            total=self._said.total,
            folder=str(folder),
        )

    def _manifest(self) -> Generator[PullProgress, None, Manifest]:
        tries = 0
        while True:
            try:
                return self._registry.manifest(self._order.name, self._order.revision)
            except RegistryAway as error:
                if error.retry_after_s is None:  # no network, most likely: to know that at once is worth more
                    raise
                tries += 1
                yield from self._wait(tries, error)

    def _has(self, manifest: Manifest, files: tuple[RemoteFile, ...]) -> bool:
        record = self._shelf.record(manifest.name, manifest.commit)
        return record is not None and {file.path for file in files} <= set(record.here)

    def _check_room(self, manifest: Manifest, files: tuple[RemoteFile, ...]) -> None:
        self._shelf.root.mkdir(parents=True, exist_ok=True)
        contents = {file.digest: file for file in files}  # the same content under two names takes room once
        wanted = sum(file.size for file in contents.values())
        wanted -= self._shelf.arrived(manifest.name, tuple(contents.values()))
        free = self._machine.free(self._shelf.root)
        if wanted + self._machine.keep_free > free:
            raise DiskFull(
                f"{manifest.name} needs {wanted / GIB:.2f} GiB; {self._shelf.root} has {free / GIB:.2f} GiB free",
                hint=f"{self._machine.keep_free / GIB:g} GiB stay free (hub.keep_free_gib); nothing was begun",
            )

    def _file(self, manifest: Manifest, file: RemoteFile) -> Pulling:
        """Get one file, over as many tries as it takes."""
        before = self._said.done
        self._said = replace(self._said, file=file.path, digest=file.digest, file_done=0, file_total=file.size)
        tries = 0
        while not self._shelf.has_blob(manifest.name, file):
            with Arriving(self._shelf.partial(manifest.name, file), file) as arriving:
                had, resumed = arriving.size, arriving.resumed
                try:
                    yield from self._content(manifest, file, arriving, before)
                    yield self._at(before, file.size, "verifying")
                    arriving.finish(self._shelf.blob(manifest.name, file))
                except RegistryAway as error:
                    tries = 1 if arriving.size > had else tries + 1
                    yield from self._wait(tries, error)
                except HashMismatch:
                    if not resumed:
                        raise
                    # Its first part may be of a time when the file was another, or of a disk that lost power.
        yield self._at(before, file.size, "downloading")

    def _content(self, manifest: Manifest, file: RemoteFile, arriving: Arriving, before: int) -> Pulling:
        if arriving.size == file.size:
            return
        said_at = time.monotonic()
        yield self._at(before, arriving.size, "downloading")
        with self._registry.read(manifest, file, arriving.size) as content:
            if content.start != arriving.size:
                arriving.restart()
            for chunk in content.chunks:
                arriving.write(chunk)
                self._look_at_room(len(chunk))
                if time.monotonic() - said_at >= REPORT_S:
                    said_at = time.monotonic()
                    yield self._at(before, arriving.size, "downloading")
        if arriving.size < file.size:
            raise RegistryAway(f"{file.path} ended after {arriving.size} of {file.size} bytes", hint="pull again")

    def _at(self, before: int, arrived: int, status: str) -> PullProgress:
        """A report: this file is so far, those before it are whole."""
        self._said = replace(self._said, status=status, done=before + arrived, file_done=arrived)  # type: ignore[arg-type]  # of two
        return self._said

    def _look_at_room(self, arrived: int) -> None:
        self._since_look += arrived
        if self._since_look < LOOK_BYTES:
            return
        self._since_look = 0
        free = self._machine.free(self._shelf.root)
        if free < self._machine.keep_free:  # before the disk is full: databases and logs may live there too
            raise DiskFull(
                f"only {free / GIB:.2f} GiB are free at {self._shelf.root}; what has arrived is kept",
                hint="make room and pull again to go on; hub.keep_free_gib says how much stays free",
            )

    def _wait(self, tries: int, error: RegistryAway) -> Pulling:
        """Before another try. Raises the error where there is no point in one."""
        asked = error.retry_after_s
        if tries >= self._patience.tries or (asked is not None and asked > self._patience.longest_s):
            raise error
        seconds = (
            min(self._patience.first_s * 2 ** (tries - 1), self._patience.longest_s) if asked is None else asked
        )
        while seconds > 0:  # in pieces, so that whoever reads the reports can leave
            yield replace(self._said, status="waiting", note=f"{error.message}; again in {seconds:g} s")
            self._machine.sleep(min(seconds, self._patience.look_s))
            seconds -= self._patience.look_s
