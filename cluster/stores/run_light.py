"""The rows of a run without their texts, ready to be counted with: what statistics and sorted pages read.

Scores are float columns, `scores.NAME`, and short words are numbers that point at each word once. JSON and words
of 100,000 rows take most of a second to read, so that is done once a part, which never changes: larger parts get
a file beside them, `light/NAME.arrow`, from whoever makes one of many or else from the first reader. Such a file is
no truth: it says of which part it is and carries a checksum; where it is missing or broken the part is read.
"""

import threading
import uuid
import zlib
from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cluster.stores.json_columns import objects_of
from cluster.stores.run_parts import every, rows_of
from cluster.stores.run_rows import schema

if TYPE_CHECKING:
    import pyarrow as pa

SCORES = "scores."  # before a score's name
HEAVY = ("prompt", "system", "text", "error_message", "features", "scores")  # of a row's columns: not in light ones
WORDS = (
    *("run_id", "model", "model_revision", "engine", "engine_version", "config_id", "retrieval", "parameters"),
    *("prompt_id", "prompt_hash", "finish_reason", "completeness_metric", "score_versions", "error_code"),
)
"""Columns in which the same texts come again and again."""

FORMAT = b"1"  # of a file, and of what is in it
LARGE = 1000  # rows of a part that gets a file; of a smaller one it would save nothing
KEPT_BYTES = 96 * 2**20  # of parts in memory; 100,000 rows with ten scores are some 25 MB
CRC = 4  # bytes in front of a file's content


class LightParts:
    """Light rows of parts, the last ones used in memory. For many threads."""

    def __init__(self, most: int = KEPT_BYTES) -> None:
        self._most = most
        self._kept: OrderedDict[tuple[Path, str], pa.Table] = OrderedDict()
        self._lock = threading.Lock()

    @property
    def bytes(self) -> int:
        """Of what is kept."""
        return sum(table.nbytes for table in self._kept.values())

    def tables(self, files: Sequence[Path]) -> "list[pa.Table]":
        """The rows of each part, as they lie there. Raises FileNotFoundError, DamagedRun."""
        keys = [(file, _mark(file)) for file in files]
        found: dict[tuple[Path, str], pa.Table] = {}
        with self._lock:
            for key in keys:
                if key in self._kept:
                    self._kept.move_to_end(key)
                    found[key] = self._kept[key]
        read = _read([key for key in keys if key not in found])
        with self._lock:
            self._keep(read)
        found |= read
        return [found[key] for key in keys]

    def _keep(self, found: "dict[tuple[Path, str], pa.Table]") -> None:
        self._kept |= found
        size = self.bytes
        while size > self._most and self._kept:
            size -= self._kept.popitem(last=False)[1].nbytes


def light_of(rows: "pa.Table") -> "pa.Table":
    """Stored rows as light ones. What they lack of the columns stays away."""
    import numpy as np
    import pyarrow as pa

    columns: dict[str, Any] = {}
    for name in (name for name in schema().names if name not in HEAVY and name in rows.column_names):
        column: Any = rows.column(name)
        columns[name] = column.cast(pa.string()).dictionary_encode() if name in WORDS else column
    light = pa.table(columns)
    if "scores" not in rows.column_names:
        return light
    there = np.asarray(rows.column("scores").is_valid())
    # Without the failed cells' rows all are alike as a rule, which is read many times faster.
    for name, values in objects_of(rows.filter(pa.array(there)), "scores").items():
        whole = np.full(len(there), np.nan)
        whole[there] = values
        light = light.append_column(f"{SCORES}{name}", pa.array(whole, pa.float64(), from_pandas=True))
    return light


def plain(rows: "pa.Table") -> "pa.Table":
    """The same with words as text."""
    import pyarrow as pa

    for place, field in enumerate(rows.schema):
        if pa.types.is_dictionary(field.type):
            rows = rows.set_column(place, field.name, rows.column(place).cast(pa.string()))
    return rows


def together(tables: "Sequence[pa.Table]") -> "pa.Table":
    """One table of several; a column that one lacks is NULL there."""
    import pyarrow as pa

    if len(tables) == 1:
        return tables[0]
    return pa.concat_tables(tables or [light_of(schema().empty_table())], promote_options="default")


def keep(part: Path) -> None:
    """Write the file beside a large part, and remove those of parts that are gone; none where it can't."""
    try:
        if rows_of(part) >= LARGE:
            _write(part, light_of(every([part], _columns())))
        there = {file.stem for file in part.parent.glob("*.parquet")}
        for file in _folder(part).glob("*.arrow"):
            if file.stem not in there:
                file.unlink(missing_ok=True)
    except OSError:
        return


def _read(keys: Sequence[tuple[Path, str]]) -> "dict[tuple[Path, str], pa.Table]":
    """Of each part its file, where there is one; the small ones without are read together."""
    found: dict[tuple[Path, str], pa.Table] = {}
    small: list[tuple[Path, str]] = []
    for part, mark in keys:
        stored = _stored(part, mark)
        if stored is not None:
            found[part, mark] = stored
        elif rows_of(part) >= LARGE:
            found[part, mark] = light_of(every([part], _columns()))
            _write(part, found[part, mark], mark)
        else:
            small.append((part, mark))
    if not small:
        return found
    rows = light_of(every([part for part, _ in small], _columns()))
    begin = 0
    for key in small:
        found[key] = rows.slice(begin, count := rows_of(key[0]))
        begin += count
    return found


def _columns() -> list[str]:
    return [name for name in schema().names if name == "scores" or name not in HEAVY]


def _folder(part: Path) -> Path:
    return part.parent.parent / "light"


def _mark(part: Path) -> str:
    """What tells a part from another one of its name. Raises FileNotFoundError."""
    there = part.stat()
    return f"{there.st_size} {there.st_mtime_ns}"


def _stored(part: Path, mark: str) -> "pa.Table | None":
    """The file's rows; None where there is none that is whole and of this part."""
    import pyarrow as pa

    try:
        content = memoryview((_folder(part) / f"{part.stem}.arrow").read_bytes())
        if zlib.crc32(content[CRC:]).to_bytes(CRC, "big") != content[:CRC]:
            return None
        with pa.ipc.open_file(pa.py_buffer(content[CRC:])) as reader:
            about = reader.schema.metadata or {}
            if about.get(b"part") != mark.encode() or about.get(b"format") != FORMAT:
                return None
            return reader.read_all().replace_schema_metadata(None)
    except (pa.ArrowException, OSError):
        return None


def _write(part: Path, rows: "pa.Table", mark: str | None = None) -> None:
    """Where there is no room or no right to, it is read from the part the next time, too."""
    import pyarrow as pa

    folder = _folder(part)
    draft = folder / f"{part.stem}.{uuid.uuid4().hex[:8]}.tmp"
    about = {b"part": (mark or _mark(part)).encode(), b"format": FORMAT}
    sink = pa.BufferOutputStream()
    marked = rows.unify_dictionaries().combine_chunks().replace_schema_metadata(about)
    options = pa.ipc.IpcWriteOptions(compression="lz4", unify_dictionaries=True)
    with pa.ipc.new_file(sink, marked.schema, options=options) as writer:
        writer.write_table(marked)
    content = sink.getvalue()
    try:
        folder.mkdir(exist_ok=True)  # not its parents: a run that was removed meanwhile stays away
        try:
            with draft.open("wb") as target:
                target.write(zlib.crc32(content).to_bytes(CRC, "big"))
                target.write(content)
            draft.replace(folder / f"{part.stem}.arrow")
        finally:
            draft.unlink(missing_ok=True)
    except OSError:
        return
