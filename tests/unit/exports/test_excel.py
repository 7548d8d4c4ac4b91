"""Excel files, read back by openpyxl."""

import io
import zipfile
from datetime import datetime
from typing import Any

import openpyxl
import pyarrow as pa
import pytest

from pipelines.analysis.exports import excel
from pipelines.analysis.exports.excel_cells import letters
from pipelines.analysis.exports.export import export_of
from pipelines.analysis.exports.filters import filters_of
from pipelines.analysis.exports.source import TableSource
from pipelines.analysis.report.sheet import Sheet
from tests.unit.exports.sweep_rows import row, table
from tests.unit.exports.test_formats import EVIL, PLAIN

SHEETS = [
    Sheet(name="summary", caption="", columns=("name", "n", "when"), rows=[("=cmd()", -1.5, None), ("b", 2, True)])
]


def book(rows: pa.Table, sheets: list[Sheet] | None = None, **options: Any) -> Any:
    target = io.BytesIO()
    excel.write_excel(export_of(TableSource(rows), **options), target, sheets=sheets or [], about={"name": "demo"})
    return openpyxl.load_workbook(target)


def texts(values: list[str]) -> pa.Table:
    return table([row(place, text=value) for place, value in enumerate(values)])


def column(sheet: Any, name: str) -> list[Any]:
    heads = [cell.value for cell in sheet[1]]
    return [cell.value for cell in [*sheet.columns][heads.index(name)][1:]]


def about(found: Any) -> dict[str, str]:
    return {one[0].value: one[1].value for one in found["about"].iter_rows(min_row=2)}


def test_cells_have_their_types() -> None:
    rows = table([row(0, temperature=-0.5, greedy=True, latency_ms=float("nan"), cost=None)])
    sheet = book(rows)["cells"]
    assert column(sheet, "temperature") == [-0.5]
    assert column(sheet, "greedy") == [True]
    assert column(sheet, "ordinal") == [0]
    assert column(sheet, "started") == [datetime(2026, 11, 1, 12)]
    assert column(sheet, "latency_ms") == [None]
    assert column(sheet, "text") == ["hello 0"]


def test_no_text_becomes_a_formula() -> None:
    sheet = book(texts(EVIL), fields=["text"])["cells"]
    cells = [one[0] for one in sheet.iter_rows(min_row=2)]
    assert [cell.value for cell in cells] == EVIL
    assert {cell.data_type for cell in cells} <= {"s", "inlineStr"}
    assert all(cell.quotePrefix for cell in cells)


def test_texts_read_back_as_they_were() -> None:
    values = [*PLAIN, "<b>&amp;", " blanks ", "]]>"]
    assert [value or "" for value in column(book(texts(values), fields=["text"])["cells"], "text")] == values


def test_characters_that_xml_cannot_say_are_written_as_excel_does() -> None:
    target = io.BytesIO()
    made = export_of(TableSource(texts(["bell\x07", "_x0041_", "nul\x00￾"])), fields=["text"])
    excel.write_excel(made, target)
    content = zipfile.ZipFile(target).read("xl/worksheets/sheet1.xml").decode()
    assert ">bell_x0007_<" in content
    assert ">_x005F_x0041_<" in content
    assert ">nul_x0000__xFFFE_<" in content


def test_a_text_too_long_for_a_cell_is_cut_and_said_to_be() -> None:
    found = book(texts(["x" * 32_767, "y" * 32_768, "🙂" * 20_000]), fields=["text"])
    lengths = [len(text.encode("utf-16-le")) // 2 for text in column(found["cells"], "text")]
    assert lengths == [32_767, 32_767, 32_766]
    assert about(found)["cut texts"].startswith("2 texts")


def test_a_whole_number_that_excel_would_round_is_text() -> None:
    found = book(table([row(0, seed=2**62 + 1), row(1, seed=7)]), fields=["seed"])
    assert column(found["cells"], "seed") == [str(2**62 + 1), 7]
    assert "long numbers" in about(found)


def test_more_rows_than_a_sheet_holds_go_on_in_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(excel, "ROWS", 4)
    found = book(texts([str(place) for place in range(8)]), fields=["text"])
    assert found.sheetnames == ["cells", "cells 2", "cells 3", "about"]
    assert [value for name in found.sheetnames[:3] for value in column(found[name], "text")] == [*"01234567"]
    assert "further sheets" in about(found)["rows"]


def test_a_full_sheet_makes_no_empty_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(excel, "ROWS", 4)
    assert book(texts(["1", "2", "3"]), fields=["text"]).sheetnames == ["cells", "about"]


def test_the_report_s_tables_are_sheets_of_their_own() -> None:
    found = book(texts(["a"]), SHEETS)
    assert found.sheetnames == ["summary", "cells", "about"]
    assert [[cell.value for cell in line] for line in found["summary"].iter_rows()] == [
        ["name", "n", "when"],
        ["=cmd()", -1.5, None],
        ["b", 2, True],
    ]


def test_about_says_what_was_filtered() -> None:
    filters = filters_of([{"field": "ordinal", "op": "ge", "value": 1}])
    found = book(texts(["a", "b"]), filters=filters)
    assert about(found)["filters"].startswith("ordinal ge 1")
    assert about(found)["cells"].startswith("1 rows")


@pytest.mark.parametrize(("place", "name"), [(0, "A"), (25, "Z"), (26, "AA"), (701, "ZZ"), (702, "AAA")])
def test_columns_are_named_as_excel_does(place: int, name: str) -> None:
    assert letters(place) == name
