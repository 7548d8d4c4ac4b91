"""The formats of an export by name, and the writing of one as a whole file with its checksum."""

import hashlib
import os
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from cluster.errors import BadRequest
from pipelines.analysis.exports.csv import write_csv
from pipelines.analysis.exports.excel import write_excel
from pipelines.analysis.exports.export import Export
from pipelines.analysis.exports.json import write_json, write_jsonl
from pipelines.analysis.exports.parquet import write_parquet
from pipelines.analysis.report.results import Results


@dataclass(frozen=True, slots=True, kw_only=True)
class Format:
    """One format. report: it shows results, not cells; fields and filters mean nothing to it."""

    name: str
    suffix: str
    media_type: str
    report: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """A file that was written. rows: cells in it; None for a report. sha256: of its bytes, hex."""

    path: Path
    rows: int | None
    size: int
    sha256: str


EXCEL = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
FORMATS: Mapping[str, Format] = {
    one.name: one
    for one in (
        Format(name="csv", suffix=".csv", media_type="text/csv; charset=utf-8"),
        Format(name="json", suffix=".json", media_type="application/json"),
        Format(name="jsonl", suffix=".jsonl", media_type="application/jsonl"),
        Format(name="xlsx", suffix=".xlsx", media_type=EXCEL),
        Format(name="parquet", suffix=".parquet", media_type="application/vnd.apache.parquet"),
        Format(name="pdf", suffix=".pdf", media_type="application/pdf", report=True),
        Format(name="html", suffix=".html", media_type="text/html; charset=utf-8", report=True),
    )
}


def format_of(name: str, param: str = "format") -> Format:
    """The format. Raises BadRequest for one that there is not."""
    found = FORMATS.get(name)
    if found is None:
        raise BadRequest(f"{param}: {name!r} is none of {', '.join(FORMATS)}", param=param)
    return found


def write(name: str, path: Path, *, export: Export, results: Callable[[], Results]) -> Written:
    """Write a file of this format; it appears whole, in the place of an older one, or not at all.

    results: called by the formats that show them (xlsx, pdf, html), so that the others needn't wait for them.
    Raises BadRequest for an unknown format, or for fields or filters of a report, OSError as files do.
    """
    chosen = format_of(name)
    if chosen.report and (export.filters or export.layout.names != export.whole):
        raise BadRequest(
            f"{name} is a report of all cells: it has no columns or rows to choose",
            hint="csv, json, xlsx and parquet do",
            param="filters" if export.filters else "fields",
        )
    draft = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}.tmp")
    try:
        with draft.open("w+b") as target:
            rows = _content(chosen, target, export, results)
            target.flush()
            os.fsync(target.fileno())
            target.seek(0)
            digest = hashlib.file_digest(target, "sha256").hexdigest()
            size = target.seek(0, os.SEEK_END)
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)
    return Written(path=path, rows=rows, size=size, sha256=digest)


def _content(chosen: Format, target: BinaryIO, export: Export, results: Callable[[], Results]) -> int | None:
    if chosen.name == "xlsx":
        from pipelines.analysis.report.sheets import sheets_of

        found = results()
        return write_excel(export, target, sheets=sheets_of(found), about={"name": found.name})
    if chosen.name == "html":
        from pipelines.analysis.report.html import write_html

        write_html(results(), target)
        return None
    if chosen.name == "pdf":
        from pipelines.analysis.report.pdf import write_pdf

        write_pdf(results(), target)
        return None
    plain = {"csv": write_csv, "json": write_json, "jsonl": write_jsonl, "parquet": write_parquet}
    return plain[chosen.name](export, target)
