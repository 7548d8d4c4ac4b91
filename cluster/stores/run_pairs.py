"""What judges said of pairs of a sweep's answers: `pairs/*.parquet` in the run's folder, beside its rows.

A part appears whole or not at all. A verdict is known by its judge (model, revision, hash of what it is told,
repeats, version) and the two cells; of several the newest counts. Whoever writes holds the run.
"""

import io
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cluster.errors import DamagedRun, DiskFull
from cluster.stores.draft import NO_ROOM, Draft
from cluster.stores.run_parts import readable, settled
from cluster.stores.runs import Run

if TYPE_CHECKING:
    import pyarrow as pa

JUDGE = ("judge", "judge_revision", "judge_prompt_hash", "judge_repeats", "version")
"""The columns that tell one judge from another."""

KEY = (*JUDGE, "first_cell", "second_cell")


def schema() -> "pa.Schema":
    """The columns of a verdict. first_*, second_*: in the plan's order, which is not the order they are shown in.

    first_wins, second_wins, ties: the judge's repeats that say so. swayed: of the ties, those in which the winner
    changed with the order. broken: repeats that count for nothing. identical: equal texts, for which nobody was
    asked. winner: `first`, `second` or `tie`; NULL where no repeat could be read. material: hash of what was read.
    """
    import pyarrow as pa

    text: pa.DataType = pa.string()
    whole: pa.DataType = pa.int64()
    return pa.schema(
        [
            pa.field("judge", text, nullable=False),
            pa.field("judge_revision", text),
            pa.field("judge_prompt_hash", text, nullable=False),
            pa.field("judge_repeats", whole, nullable=False),
            pa.field("version", text, nullable=False),
            pa.field("criteria", text, nullable=False),  # name -> meaning, a JSON object
            pa.field("prompt_id", text, nullable=False),
            pa.field("prompt_hash", text, nullable=False),
            pa.field("repeat", whole, nullable=False),  # of both cells
            pa.field("first_config", text, nullable=False),
            pa.field("second_config", text, nullable=False),
            pa.field("first_cell", text, nullable=False),
            pa.field("second_cell", text, nullable=False),
            pa.field("material", text, nullable=False),
            pa.field("identical", pa.bool_(), nullable=False),
            pa.field("winner", text),
            pa.field("first_wins", whole, nullable=False),
            pa.field("second_wins", whole, nullable=False),
            pa.field("ties", whole, nullable=False),
            pa.field("swayed", whole, nullable=False),
            pa.field("broken", whole, nullable=False),
            pa.field("judged", pa.timestamp("us", tz="UTC"), nullable=False),
        ]
    )


class RunPairs:
    """The judged pairs of one run. Opening it touches nothing."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self.folder = run.folder / "pairs"

    def files(self) -> list[Path]:
        """The parts, the oldest first."""
        return sorted(self.folder.glob("*.parquet"))

    def table(self) -> "pa.Table":
        """One row a judge and pair. Safe while a judge writes. Raises DamagedRun naming a part that is damaged."""
        return settled(self._newest)

    def _newest(self) -> "pa.Table":
        import pyarrow as pa

        rows = pa.concat_tables([schema().empty_table(), *(self._read(file) for file in self.files())])
        keys = zip(*(rows.column(name).to_pylist() for name in KEY), strict=True)
        newest = {key: place for place, key in enumerate(keys)}  # the later in the files is the newer
        return rows.take(pa.array(list(newest.values()), pa.int64()))

    def write(self, rows: Sequence[Mapping[str, Any]]) -> Path:
        """Store verdicts as one part. The caller must hold the run. Raises DiskFull."""
        import pyarrow as pa

        return self._put(pa.Table.from_pylist(list(rows), schema=schema()))

    def compact(self) -> None:
        """Make one part of many. The caller must hold the run; killed at any moment, nothing is lost."""
        old = self.files()
        if len(old) < 2:
            return
        self._put(self.table())
        for file in old:
            file.unlink()

    def set_aside(self) -> list[str]:
        """Move parts that cannot be read into the run's `damaged/`; their names. The caller must hold the run."""
        broken = [file for file in self.files() if not readable(file)]
        for file in broken:
            self._run.damaged.mkdir(exist_ok=True)
            file.rename(self._run.damaged / file.name)
        return [file.name for file in broken]

    def judges(self) -> Iterator["pa.Table"]:
        """The verdicts of each judge in turn, in the order of appearance. Raises as `table`."""
        import pyarrow as pa

        rows = self.table()
        places: dict[tuple[Any, ...], list[int]] = {}
        for place, key in enumerate(zip(*(rows.column(name).to_pylist() for name in JUDGE), strict=True)):
            places.setdefault(key, []).append(place)
        return (rows.take(pa.array(found, pa.int64())) for found in places.values())

    def _put(self, table: "pa.Table") -> Path:
        import pyarrow.parquet as pq

        content = io.BytesIO()
        pq.write_table(table, content, compression="zstd", write_page_checksum=True)
        final = self.folder / f"{self._next():020d}-{uuid.uuid4().hex[:8]}.parquet"
        try:
            with Draft(final) as draft:
                draft.write(content.getvalue())
                draft.publish()
        except OSError as error:
            if error.errno not in NO_ROOM:
                raise
            raise DiskFull(
                f"The disk has no room for the verdicts on the sweep {self._run.id}",
                hint="make room and judge again: what is stored stays",
            ) from None
        return final

    def _next(self) -> int:
        """The moment for a part's name, after all that are there: a clock may be set back."""
        last = max((file.name[:20] for file in self.files()), default="")
        return max(time.time_ns(), int(last) + 1 if last.isdecimal() else 0)

    def _read(self, file: Path) -> "pa.Table":
        import pyarrow as pa
        import pyarrow.parquet as pq

        try:
            return pq.read_table(file, page_checksum_verification=True).select(schema().names).cast(schema())
        except FileNotFoundError:
            raise
        except (pa.ArrowException, OSError, KeyError) as error:
            raise DamagedRun(
                f"sweeps/{self._run.id}/pairs/{file.name} is damaged",
                hint=f"heliostat sweep rescore {self._run.id} --pairs sets it aside and judges its pairs again",
            ) from error
