"""Stored sweeps: `HOME/sweeps/<run id>/` with spec.json, manifest.json and parts/*.parquet.

Parquet is the truth. Each part is one file that appears whole or not at all: written under a temporary name
that no reader looks at, flushed to disk, renamed. A cell that failed and ran again has two rows until the
run is compacted; the reader shows one row a cell at every instant: a success before a failure, then the newest.

One driver at a time holds a run, by a lock that the kernel drops when it dies. Its workers outlive a killed
driver by moments: what they write carries its session, and a session that is not the current one is refused.
"""

import contextlib
import json
import os
import re
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cluster.errors import Conflict, ExperimentNotFound
from cluster.stores.draft import Draft, sync_folder
from cluster.stores.file_lock import lock_within

if TYPE_CHECKING:
    import pyarrow as pa

FORMAT = 1
RUN_ID = re.compile(r"[0-9a-f]{12}")
LARGE = 200_000  # rows; about as many kilobytes
READ_TRIES = 5  # a part may vanish under a reader while a run is compacted
DUCKDB: dict[str, Any] = {"threads": 2, "autoinstall_known_extensions": False}  # no look-up on the network, ever
ONE_ROW_A_CELL = """
    SELECT place FROM keys
    QUALIFY row_number() OVER (PARTITION BY cell_id ORDER BY failed, started DESC, place DESC) = 1
    ORDER BY ordinal
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """What a run is. total: planned cells. models: engine and revision of each, as they were when it began.

    created: Unix seconds. format: of the folder.
    """

    run_id: str
    name: str
    total: int
    models: Mapping[str, Mapping[str, str]]
    created: float
    format: int = FORMAT


class Superseded(Exception):
    """The writer's session is over: another driver holds the run now."""


def schema() -> "pa.Schema":
    """The columns of a row. Times in UTC, durations in milliseconds; NULL is not known or not sent."""
    import pyarrow as pa

    text: pa.DataType = pa.string()
    whole: pa.DataType = pa.int64()
    number: pa.DataType = pa.float64()
    return pa.schema(
        [
            pa.field("run_id", text, nullable=False),
            pa.field("cell_id", text, nullable=False),
            pa.field("ordinal", whole, nullable=False),
            pa.field("model", text, nullable=False),
            pa.field("model_revision", text),
            pa.field("engine", text),
            pa.field("prompt_id", text, nullable=False),
            pa.field("prompt_hash", text, nullable=False),
            pa.field("prompt", text, nullable=False),
            pa.field("system", text),
            pa.field("temperature", number),
            pa.field("top_p", number),
            pa.field("max_tokens", whole),
            pa.field("parameters", text, nullable=False),  # the other parameters, a JSON object
            pa.field("repeat", whole, nullable=False),
            pa.field("seed", whole),
            pa.field("text", text),
            pa.field("finish_reason", text),
            pa.field("prompt_tokens", whole),
            pa.field("completion_tokens", whole),
            pa.field("ttft_ms", number),
            pa.field("latency_ms", number),
            pa.field("started", pa.timestamp("us", tz="UTC"), nullable=False),
            pa.field("completeness", number),
            pa.field("completeness_metric", text),
            pa.field("error_code", text),
            pa.field("error_message", text),
            pa.field("attempts", whole, nullable=False),
        ]
    )


class Run:
    """One run's folder. Opening it touches nothing."""

    def __init__(self, home: Path, run_id: str) -> None:
        self.id = run_id
        self.folder = home / "sweeps" / run_id
        self.parts = self.folder / "parts"

    @contextlib.contextmanager
    def held(self) -> Iterator[str]:
        """Hold the run as its only driver; gives the session. Raises Conflict while another one holds it."""
        self.parts.mkdir(parents=True, exist_ok=True)
        with (self.folder / "lock").open("a+") as lock:
            if not lock_within(lock.fileno(), 0):
                lock.seek(0)
                holder = lock.read().strip() or "another process"
                raise Conflict(
                    f"The sweep {self.id} is running already, in process {holder}", hint="wait, or stop that one"
                )
            lock.truncate(0)
            lock.write(str(os.getpid()))
            lock.flush()
            session = f"{time.time_ns():020d}"
            _replace(self.folder / "session", session.encode())
            self._sweep_up()
            yield session

    def begin(self, spec: str, manifest: Manifest) -> None:
        """Write spec and manifest, where they are not there yet."""
        if not (self.folder / "manifest.json").exists():
            _replace(self.folder / "spec.json", spec.encode())
            _replace(self.folder / "manifest.json", json.dumps(asdict(manifest), indent=1).encode())

    def manifest(self) -> Manifest:
        """Raises ExperimentNotFound where there is none, or none that can be read."""
        try:
            return Manifest(**json.loads((self.folder / "manifest.json").read_text(encoding="utf-8")))
        except FileNotFoundError:
            raise _unknown(self.id) from None
        except (ValueError, TypeError) as error:
            raise ExperimentNotFound(f"The sweep {self.id} has a broken manifest: {error}") from None

    def spec(self) -> str:
        """The spec as JSON. Raises ExperimentNotFound."""
        try:
            return (self.folder / "spec.json").read_text(encoding="utf-8")
        except FileNotFoundError:
            raise _unknown(self.id) from None

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
        for _ in range(READ_TRIES):
            try:
                return _distinct(self.files(), columns)
            except FileNotFoundError:
                continue
        return _distinct(self.files(), columns)

    def stored(self) -> dict[str, bool]:
        """The ids of stored cells, and whether each went well."""
        table = self.table(["cell_id", "error_code"])
        ids, codes = table.column("cell_id").to_pylist(), table.column("error_code").to_pylist()
        return {str(cell): code is None for cell, code in zip(ids, codes, strict=True)}

    def compact(self, session: str) -> int:
        """Make one part of many, one row a cell; returns the rows. Killed at any moment, nothing is lost.

        The new part appears before the old ones go, and the reader counts what is in both once. A large run
        whose parts hold each cell once stays as it is: it would have to pass through memory.
        """
        old = self.files()
        rows = sum(rows_of(file) for file in old)
        if (len(old) <= 1 or rows > LARGE) and rows == len(self.stored()):
            return rows
        whole = self.table()
        new = self._put(whole, session=session, block=0)
        for file in old:
            file.unlink()
        sync_folder(new.parent)
        return int(whole.num_rows)

    def archive(self) -> str:
        """Move the folder aside; returns its new name. The caller must hold the run."""
        place = next(n for n in range(1, 10_000) if not self.folder.with_name(f"{self.id}-{n}").exists())
        self.folder.rename(self.folder.with_name(f"{self.id}-{place}"))
        return f"{self.id}-{place}"

    def _put(self, table: "pa.Table", *, session: str, block: int) -> Path:
        import pyarrow.parquet as pq

        final = self.parts / f"{session}-{block:06d}-{time.time_ns()}-{uuid.uuid4().hex[:8]}.parquet"
        draft = final.with_suffix(".tmp")
        with draft.open("wb") as target:
            pq.write_table(table, target, compression="zstd")
            target.flush()
            os.fsync(target.fileno())
        if (self.folder / "session").read_text(encoding="utf-8") != session:
            draft.unlink()
            raise Superseded(self.id)
        draft.rename(final)
        sync_folder(self.parts)
        return final

    def _sweep_up(self) -> None:
        """Drafts of a driver that died."""
        for draft in self.parts.glob("*.tmp"):
            draft.unlink(missing_ok=True)


def rows_of(file: Path) -> int:
    """How many rows a part holds, from its footer."""
    import pyarrow.parquet as pq

    return int(pq.read_metadata(file).num_rows)


def ids_in(files: Sequence[Path]) -> set[str]:
    """The cells that have a row in these parts."""
    import pyarrow.parquet as pq

    found = (pq.read_table(file, columns=["cell_id"]).column("cell_id").to_pylist() for file in files)
    return {str(cell) for cells in found for cell in cells}


def runs(home: Path) -> list[Run]:
    """All runs with a manifest, the newest first."""
    found = [Run(home, file.parent.name) for file in (home / "sweeps").glob("*/manifest.json")]
    return sorted(found, key=lambda run: run.manifest().created, reverse=True)


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


def _distinct(files: Sequence[Path], columns: Sequence[str] | None) -> "pa.Table":
    import duckdb
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.dataset as ds

    chosen = [name for name in schema().names if columns is None or name in columns]
    if not files:
        return schema().empty_table().select(chosen)
    needed = [name for name in schema().names if name in {*chosen, "cell_id", "ordinal", "error_code", "started"}]
    rows = ds.dataset([str(file) for file in files], schema=schema(), format="parquet").to_table(columns=needed)
    keys = pa.table(
        {
            "cell_id": rows.column("cell_id"),
            "ordinal": rows.column("ordinal"),
            "failed": pc.is_valid(rows.column("error_code")),
            "started": rows.column("started").cast(pa.int64()),
            "place": pa.array(range(rows.num_rows), pa.int64()),
        }
    )
    with duckdb.connect(config=DUCKDB) as connection:
        connection.register("keys", keys)
        places = connection.execute(ONE_ROW_A_CELL).fetchnumpy()["place"]
    return rows.select(chosen).take(pa.array(places, pa.int64()))


def _unknown(run_id: str) -> ExperimentNotFound:
    return ExperimentNotFound(f"No sweep with the id {run_id!r}", hint="heliostat sweep list shows all")


def _replace(file: Path, content: bytes) -> None:
    with Draft(file) as draft:
        draft.write(content)
        draft.publish()
