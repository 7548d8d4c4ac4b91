"""Stored sweeps: `HOME/sweeps/<run id>/` with spec.json, manifest.json and parts/*.parquet.

Parquet is the truth. Each part is one file that appears whole or not at all: written under a temporary name
that no reader looks at, flushed to disk, renamed. A cell that failed and ran again has two rows until the
run is compacted; the reader shows one row a cell at every instant: a success before a failure, then the newest.

One driver at a time holds a run, by a lock that the kernel drops when it dies. Its workers outlive a killed
driver by moments: what they write carries its session, and a session that is not the current one is refused.

A part that cannot be read any more is named and set aside when the run goes on: its cells run again.
"""

import contextlib
import json
import os
import re
import shutil
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from io import FileIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cluster.errors import Conflict, DamagedRun, ExperimentNotFound
from cluster.stores import run_light
from cluster.stores.draft import Draft, sync_folder
from cluster.stores.file_lock import lock_within
from cluster.stores.run_disk import room_for
from cluster.stores.run_manifest import LOCAL_OWNER, Manifest, manifest_of
from cluster.stores.run_parts import DUCKDB, GROUP, Prepare, by_prompt, distinct, ids_in, readable, rows_of, settled
from cluster.stores.run_rows import schema
from cluster.stores.run_state import INTERRUPTED, RUNNING, RunState, State

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = [
    "DUCKDB",
    "LOCAL_OWNER",
    "MANY",
    "Manifest",
    "Run",
    "Superseded",
    "find",
    "ids_in",
    "rows_of",
    "runs",
    "schema",
]

RUN_ID = re.compile(r"[0-9a-f]{12}")
GLANCE_S = 0.3  # whoever asks whether a run is running holds its lock for a moment
MANY = 128  # parts that are made one at once, so that no reader has to open thousands of files


class Superseded(Exception):
    """The writer's session is over: another driver holds the run now."""


class Run:
    """One run's folder. Opening it touches nothing."""

    def __init__(self, home: Path, run_id: str) -> None:
        self.id = run_id
        self.folder = home / "sweeps" / run_id
        self.parts = self.folder / "parts"
        self.damaged = self.folder / "damaged"
        self.state = RunState(self.folder)

    @contextlib.contextmanager
    def held(self) -> Iterator[str]:
        """Hold the run as its only driver; gives the session. Raises Conflict while another one does, DiskFull."""
        with room_for(self.id):
            self.parts.mkdir(parents=True, exist_ok=True)
        with self._locked() as lock:
            self._sweep_up()  # first, as it makes room
            session = f"{time.time_ns():020d}"
            with room_for(self.id):
                lock.truncate(0)
                lock.write(str(os.getpid()).encode())
            self._replace("session", session.encode())
            yield session

    @property
    def running(self) -> bool:
        """Whether a driver holds it at this moment."""
        try:
            with (self.folder / "lock").open("r+") as lock:
                return not lock_within(lock.fileno(), 0)
        except FileNotFoundError:
            return False

    @property
    def begun(self) -> float | None:
        """When its last session began, Unix seconds; None before the first."""
        try:
            return int((self.folder / "session").read_text(encoding="utf-8")) / 1e9
        except (FileNotFoundError, ValueError):
            return None

    def standing(self) -> State:
        """How it stands; `interrupted` where its driver died, or a run of before states were noted is not whole."""
        running, noted = self.running, self.state.read()
        if running:
            return State(status=RUNNING) if noted is None else noted
        return State(status=INTERRUPTED) if noted is None or noted.status == RUNNING else noted

    def begin(self, spec: str, manifest: Manifest) -> None:
        """Write spec and manifest, where they are not there yet; a spec that says the same in other words, too."""
        if not (self.folder / "manifest.json").exists():
            self._replace("spec.json", spec.encode())
            self._replace("manifest.json", json.dumps(asdict(manifest), indent=1).encode())
        elif (
            self._stored_spec() != spec
        ):  # another name, budget or weights, or a damaged one: the cells are the same
            self._replace("spec.json", spec.encode())

    @property
    def scored_by(self) -> str | None:
        """What the stored scores were made with, as `note_scored` was told; None where nothing was noted."""
        try:
            return (self.folder / "scored").read_text(encoding="utf-8")
        except (FileNotFoundError, UnicodeDecodeError):
            return None

    def note_scored(self, mark: str) -> None:
        """Note what the stored scores were made with. The caller must hold the run."""
        self._replace("scored", mark.encode())

    def set_aside(self) -> list[str]:
        """Move the parts that cannot be read into `damaged/`; returns their names. The caller must hold the run."""
        broken = [file for file in self.files() if not readable(file)]
        for file in broken:
            self.damaged.mkdir(exist_ok=True)
            file.rename(self.damaged / file.name)
        return [file.name for file in broken]

    def manifest(self) -> Manifest:
        """Raises ExperimentNotFound where there is none, DamagedRun where none can be read."""
        try:
            return manifest_of(json.loads((self.folder / "manifest.json").read_text(encoding="utf-8")))
        except FileNotFoundError:
            raise _unknown(self.id) from None
        except (ValueError, TypeError):
            raise DamagedRun(
                f"sweeps/{self.id}/manifest.json is damaged",
                hint="its spec file with `heliostat sweep run SPEC --fresh` moves the run aside and begins again",
            ) from None

    def spec(self) -> str:
        """The spec as a JSON object. Raises ExperimentNotFound where there is no run, DamagedRun without a spec."""
        self.manifest()
        text = self._stored_spec()
        try:
            if text is not None and isinstance(json.loads(text), dict):
                return text
        except ValueError:
            pass
        raise DamagedRun(
            f"sweeps/{self.id}/spec.json is damaged or gone",
            hint="`heliostat sweep run SPEC` with its spec file writes it anew",
        )

    def _stored_spec(self) -> str | None:
        """What is stored for a spec, whatever it is worth; None where nothing is."""
        try:
            return (self.folder / "spec.json").read_text(encoding="utf-8", errors="replace")
        except FileNotFoundError:
            return None

    def write(self, rows: Sequence[Mapping[str, Any]], *, session: str, block: int) -> Path:
        """Store rows as one part of a session's block. Raises Superseded when the session is over."""
        import pyarrow as pa

        return self._put(pa.Table.from_pylist(list(rows), schema=schema()), session=session, block=block)

    def files(self) -> list[Path]:
        """The parts, oldest session first."""
        return sorted(self.parts.glob("*.parquet"))

    def files_of(self, session: str, block: int) -> list[Path]:
        """The parts that a session wrote of one block."""
        return sorted(self.parts.glob(f"{session}-{block:06d}-*.parquet"))

    def table(self, columns: Sequence[str] | None = None) -> "pa.Table":
        """One row a cell, in the plan's order; all columns, or those named. Safe while a sweep writes."""
        return settled(lambda: distinct(self.files(), columns))

    def stored(self) -> dict[str, bool]:
        """The ids of stored cells, and whether each went well."""
        table = self.table(["cell_id", "error_code"])
        ids, codes = table.column("cell_id").to_pylist(), table.column("error_code").to_pylist()
        return {str(cell): code is None for cell, code in zip(ids, codes, strict=True)}

    def gather(self, files: Sequence[Path], *, session: str, block: int) -> Path:
        """Make one part of some, one row a cell; returns it. Killed at any moment, nothing is lost."""
        new = self._put(distinct(files, None), session=session, block=block)
        for file in files:
            file.unlink()
        sync_folder(self.parts)
        run_light.keep(new)
        return new

    def compact(self, session: str, prepare: Prepare | None = None) -> int:
        """Make one part of many, one row a cell; returns the rows. Killed at any moment, nothing is lost.

        prepare: gets all rows of each prompt in turn, and answers them as they are to be stored. The new part
        appears before the old ones go, and the reader counts what is in both once. Rows pass through memory a few
        thousand at a time.
        """
        while len(old := self.files()) > MANY:
            # The smallest: of those by name most would be what was gathered before, again and again.
            self.gather(sorted(old, key=_size)[:MANY], session=session, block=0)
        rows = sum(rows_of(file) for file in old)
        if not old or (prepare is None and len(old) == 1 and rows == len(self.stored())):
            return rows
        new, written = self._rewrite(old, session, prepare)
        for file in old:
            file.unlink()
        sync_folder(new.parent)
        run_light.keep(new)
        return written

    def remove(self) -> None:
        """Forget the run and its rows; on a full disk, too. Raises Conflict while a driver holds it."""
        with self._locked():
            gone = self.folder.with_name(f"{self.id}.{uuid.uuid4().hex[:8]}.removed")
            self.folder.rename(gone)  # at once: a run is there as a whole or not at all
        shutil.rmtree(gone, ignore_errors=True)

    def archive(self) -> str:
        """Move the folder aside; returns its new name. The caller must hold the run."""
        place = next(n for n in range(1, 10_000) if not self.folder.with_name(f"{self.id}-{n}").exists())
        self.folder.rename(self.folder.with_name(f"{self.id}-{place}"))
        return f"{self.id}-{place}"

    def _put(self, table: "pa.Table", *, session: str, block: int) -> Path:
        import pyarrow.parquet as pq

        with self._appearing(session, block) as (final, target):
            # In groups, so that a page of rows is read without all the others.
            pq.write_table(table, target, row_group_size=GROUP, compression="zstd", write_page_checksum=True)
        return final

    def _rewrite(self, old: Sequence[Path], session: str, prepare: Prepare | None) -> tuple[Path, int]:
        import pyarrow.parquet as pq

        written = 0
        with (
            self._appearing(session, 0) as (final, target),
            pq.ParquetWriter(target, schema(), compression="zstd", write_page_checksum=True) as writer,
        ):
            for table in by_prompt(old, prepare):
                writer.write_table(table)
                written += table.num_rows
        return final, written

    @contextlib.contextmanager
    def _appearing(self, session: str, block: int) -> Iterator[tuple[Path, Any]]:
        """A new part's name, and a file to write it to. Raises Superseded, and DiskFull, and then none appears."""
        final = self.parts / f"{session}-{block:06d}-{time.time_ns()}-{uuid.uuid4().hex[:8]}.parquet"
        draft = final.with_suffix(".tmp")
        try:
            with room_for(self.id):
                with draft.open("wb") as target:
                    yield final, target
                    target.flush()
                    os.fsync(target.fileno())
                if (self.folder / "session").read_text(encoding="utf-8") != session:
                    raise Superseded(self.id)
                draft.rename(final)
                sync_folder(self.parts)
        except Exception:
            with contextlib.suppress(OSError):
                draft.unlink(missing_ok=True)
            raise

    def _replace(self, name: str, content: bytes) -> None:
        """Write a small file beside the parts, whole or not at all. Raises DiskFull."""
        with room_for(self.id), Draft(self.folder / name) as draft:
            draft.write(content)
            draft.publish()

    @contextlib.contextmanager
    def _locked(self) -> Iterator[FileIO]:
        """The run's lock, held. Raises Conflict while another process holds it."""
        with (self.folder / "lock").open("a+b", buffering=0) as lock:
            if not lock_within(lock.fileno(), GLANCE_S):
                lock.seek(0)
                holder = lock.read().decode(errors="replace").strip() or "another process"
                raise Conflict(
                    f"The sweep {self.id} is running already, in process {holder}", hint="wait, or stop that one"
                )
            yield lock

    def _sweep_up(self) -> None:
        """Drafts of a driver that died."""
        for draft in self.parts.glob("*.tmp"):
            draft.unlink(missing_ok=True)


def runs(home: Path) -> list[Run]:
    """All runs with a manifest, the newest first; those whose manifest is damaged come last."""
    found = [Run(home, file.parent.name) for file in (home / "sweeps").glob("*/manifest.json")]
    return sorted(found, key=_created, reverse=True)


def find(home: Path, prefix: str) -> Run:
    """The run whose id begins so. Raises ExperimentNotFound for none or several."""
    found = [run for run in runs(home) if run.id.startswith(prefix)] if prefix else []
    exact = [run for run in found if run.id == prefix]
    if len(found) > 1 and not exact:
        names = ", ".join(run.id for run in found[:5])
        raise ExperimentNotFound(f"{prefix!r} is the beginning of several sweeps: {names}", hint="write more of it")
    if not found:
        raise _unknown(prefix)
    return (exact or found)[0]


def _size(file: Path) -> int:
    return file.stat().st_size


def _created(run: Run) -> float:
    try:
        return run.manifest().created
    except (DamagedRun, ExperimentNotFound):  # or gone meanwhile
        return 0.0


def _unknown(run_id: str) -> ExperimentNotFound:
    return ExperimentNotFound(f"No sweep with the id {run_id!r}", hint="heliostat sweep ls shows all")
