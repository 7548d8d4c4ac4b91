"""Excel: the report's tables and the cells as sheets, numbers, dates and truth values as such, no formula ever.

What Excel cannot hold, and what becomes of it (sheet `about` says so where it happened):
- text over 32,767 characters is cut there;
- more than 1,048,576 rows go on in `cells 2`, `cells 3`, ...;
- whole numbers beyond 2^53, as seeds are, would be rounded: they are text.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, BinaryIO

from pipelines.analysis.exports.excel_cells import Losses, row_xml, rows_xml
from pipelines.analysis.exports.workbook import Workbook

if TYPE_CHECKING:
    import pyarrow as pa

    from pipelines.analysis.exports.export import Export
    from pipelines.analysis.report.sheet import Sheet

ROWS = 1_048_576  # of a sheet, the header among them
BYTES = 2**30  # of a sheet's XML: beyond 2 GiB the zip would be of a kind that Excel may not open
WIDTHS = {"text": 60, "prompt": 40, "system": 30, "configuration": 44, "sentence": 100, "note": 100}
WIDTH = 14  # characters of any other column


def write_excel(
    export: "Export", target: BinaryIO, *, sheets: Sequence["Sheet"] = (), about: Mapping[str, str] | None = None
) -> int:
    """Write the sheets, then the cells, then `about` (name -> value); returns the number of cells.

    sheets: tables of the report, which describe the whole run, whatever the export's filters are.
    """
    notes, losses = dict(about or {}), Losses()
    with Workbook(target, title=notes.get("name", "")) as workbook:
        for sheet in sheets:
            _table(workbook, sheet.name, sheet.columns, sheet.rows, losses)
        count = _cells(workbook, export, losses)
        notes |= _notes(export, count, losses)
        _table(workbook, "about", ("name", "note"), list(notes.items()), losses)
    return count


def _table(
    workbook: Workbook, name: str, columns: Sequence[str], rows: "Sequence[Sequence[object]]", losses: Losses
) -> None:
    with workbook.sheet(name, _widths(columns)) as write:
        write(row_xml(columns, 1, losses, bold=True))
        for number, row in enumerate(rows, start=2):
            write(row_xml(row, number, losses))


def _cells(workbook: Workbook, export: "Export", losses: Losses) -> int:
    names, count, part, left = export.layout.names, 0, 0, _Slices(export)
    while part == 0 or left.more:
        part += 1
        with workbook.sheet("cells" if part == 1 else f"cells {part}", _widths(names)) as write:
            write(row_xml(names, 1, losses, bold=True))
            number, size = 2, 0
            while number <= ROWS and size < BYTES:
                batch = left.take(ROWS - number + 1)
                if batch is None:
                    break
                content = rows_xml(batch, number, losses)
                write(content)
                size += len(content)
                number += batch.num_rows
            count += number - 2
    return count


class _Slices:
    """An export's batches, in pieces of at most so many rows."""

    def __init__(self, export: "Export") -> None:
        self._batches: Iterator[pa.RecordBatch] = export.batches()
        self._held = next(self._batches, None)

    @property
    def more(self) -> bool:
        """Whether rows are left."""
        return self._held is not None

    def take(self, most: int) -> "pa.RecordBatch | None":
        """The next rows; None at the end."""
        held = self._held
        if held is None:
            return None
        self._held = held.slice(most) if held.num_rows > most else next(self._batches, None)
        return held.slice(0, most)


def _notes(export: "Export", count: int, losses: Losses) -> dict[str, str]:
    """What the sheet of cells is, and what of it Excel could not hold."""
    notes = {"cells": f"{count:,} rows, one for each model, prompt, configuration and repeat", "times": "UTC"}
    if export.filters:
        chosen = " and ".join(str(one) for one in export.filters)
        notes["filters"] = f"{chosen}: of the sheet of cells alone, the others describe all cells"
    if losses.cut:
        notes["cut texts"] = f"{losses.cut:,} texts end after 32,767 characters, all that a cell of Excel holds"
    if losses.widened:
        notes["long numbers"] = f"{losses.widened:,} whole numbers beyond 2^53 are text: Excel would round them"
    if count >= ROWS:
        notes["rows"] = "a sheet holds 1,048,576 rows: the cells go on in further sheets"
    return notes


def _widths(columns: Sequence[str]) -> list[int]:
    return [WIDTHS.get(column, WIDTH) for column in columns]
