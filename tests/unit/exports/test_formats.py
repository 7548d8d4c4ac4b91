"""The files of an export, read back by other readers than ours."""

import csv
import hashlib
import io
import json
from functools import lru_cache
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from cluster.errors import BadRequest
from pipelines.analysis.exports.csv import write_csv, write_table
from pipelines.analysis.exports.export import Export, export_of
from pipelines.analysis.exports.filters import filters_of
from pipelines.analysis.exports.formats import FORMATS, write
from pipelines.analysis.exports.json import write_json, write_jsonl
from pipelines.analysis.exports.parquet import write_parquet
from pipelines.analysis.exports.source import TableSource
from pipelines.analysis.report.results import Results, results_of
from tests.unit.exports.sweep_rows import row, sweep, table

EVIL = ["=cmd()", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\n=1", "'=1", "＝1", '=HYPERLINK("x")']
PLAIN = ["", "a,b", 'say "hi"', "two\r\nlines", "ünï 語 🙂", "it's", "'quoted'", "1e5", "001"]
DATA = ("csv", "json", "jsonl", "xlsx", "parquet")


def of(rows: pa.Table, **options: Any) -> Export:
    return export_of(TableSource(rows), **options)


def texts(values: list[str]) -> pa.Table:
    return table([row(place, text=value) for place, value in enumerate(values)])


@lru_cache(1)
def results() -> Results:
    return results_of(sweep(), name="demo")


def test_csv_is_rfc_4180_and_reads_back() -> None:
    target = io.BytesIO()
    assert write_csv(of(texts(PLAIN), fields=["ordinal", "text", "temperature"]), target) == len(PLAIN)
    content = target.getvalue().decode()
    assert content.startswith('"ordinal","text","temperature"\r\n0,"",0.2\r\n1,"a,b",0.2\r\n2,"say ""hi""",0.2\r\n')
    assert [one[1] for one in csv.reader(io.StringIO(content, newline=""))][1:] == PLAIN


def test_csv_holds_no_formula_and_the_apostrophe_can_be_undone() -> None:
    target = io.BytesIO()
    write_csv(of(texts(EVIL), fields=["text"]), target)
    cells = [one[0] for one in csv.reader(io.StringIO(target.getvalue().decode(), newline=""))][1:]
    assert all(cell[0] == "'" for cell in cells)
    assert [cell[1:] for cell in cells] == EVIL


def test_csv_numbers_keep_their_minus_and_their_digits() -> None:
    rows = table([row(0, temperature=-0.5, latency_ms=float("nan"), seed=2**62 + 1, greedy=None)])
    target = io.BytesIO()
    write_csv(of(rows, fields=["temperature", "latency_ms", "seed", "greedy", "started"]), target)
    line = target.getvalue().decode().splitlines()[1]
    assert line == f'-0.5,,{2**62 + 1},,"2026-11-01T12:00:00.000000Z"'


def test_csv_tells_no_text_from_an_empty_one() -> None:
    target = io.BytesIO()
    write_csv(of(table([row(0, text=None), row(1, text="")]), fields=["text", "ordinal"]), target)
    assert target.getvalue() == b'"text","ordinal"\r\n,0\r\n"",1\r\n'


def test_a_parameter_named_like_a_formula_is_harmless_in_the_head() -> None:
    target = io.BytesIO()
    write_csv(of(table([row(0, parameters='{"=cmd()": 1}')])), target)
    assert '"\'=cmd()"' in target.getvalue().decode().splitlines()[0]


def test_a_small_table_is_written_by_the_same_rules() -> None:
    target = io.BytesIO()
    assert write_table(("name", "n"), [("=cmd()", -1.5), ("x", None), ("y", True)], target) == 3
    assert target.getvalue() == b"name,n\r\n'=cmd(),-1.5\r\nx,\r\ny,true\r\n"


def test_json_is_one_array_with_structure_in_it() -> None:
    rows = table(
        [row(0, parameters='{"stop": ["a"], "note": "[draft"}', score_versions='{"overall": "1"}', text="=cmd()")]
    )
    target = io.BytesIO()
    assert write_json(of(rows), target) == 1
    (found,) = json.loads(target.getvalue())
    assert found["stop"] == ["a"]
    assert found["note"] == "[draft"
    assert found["score_versions"] == {"overall": "1"}
    assert found["text"] == "=cmd()"
    assert found["started"] == "2026-11-01T12:00:00.000000Z"
    assert found["cost"] is None


def test_a_text_that_looks_like_json_stays_text() -> None:
    target = io.BytesIO()
    write_json(of(texts(['{"a": 1}', "[1]"]), fields=["text"]), target)
    assert json.loads(target.getvalue()) == [{"text": '{"a": 1}'}, {"text": "[1]"}]


def test_json_lines_are_the_same_objects() -> None:
    whole, lines = io.BytesIO(), io.BytesIO()
    write_json(of(sweep(2)), whole)
    write_jsonl(of(sweep(2)), lines)
    assert [json.loads(line) for line in lines.getvalue().splitlines()] == json.loads(whole.getvalue())


def test_json_has_no_nan() -> None:
    target = io.BytesIO()
    write_json(of(table([row(0, latency_ms=float("nan"))]), fields=["latency_ms"]), target)
    assert json.loads(target.getvalue()) == [{"latency_ms": None}]


def test_parquet_keeps_types_and_rows() -> None:
    target = io.BytesIO()
    write_parquet(of(sweep(3), features=True), target)
    found = pq.read_table(pa.BufferReader(target.getvalue()))
    assert found.num_rows == 36
    assert found.schema.field("started").type == pa.timestamp("us", tz="UTC")
    assert found.schema.field("score_overall").type == pa.float64()
    assert found.column("feature_words").to_pylist()[:2] == [40, 41]


@pytest.mark.parametrize("name", DATA)
@pytest.mark.parametrize("rows", [table([]), sweep(2)], ids=["empty run", "no match"])
def test_nothing_to_export_is_a_file_with_its_head(tmp_path: Path, name: str, rows: pa.Table) -> None:
    none = filters_of([{"field": "model", "op": "eq", "value": "nobody"}])
    empty = results_of(table([]), name="empty")
    written = write(name, tmp_path / "x", export=of(rows, filters=none), results=lambda: empty)
    assert written.rows == 0
    assert written.size > 0 or name == "jsonl"
    if name == "csv":
        assert (tmp_path / "x").read_text().startswith('"run_id","cell_id"')
    if name == "json":
        assert json.loads((tmp_path / "x").read_bytes()) == []


@pytest.mark.parametrize("name", DATA)
def test_the_same_rows_are_the_same_bytes_under_their_checksum(tmp_path: Path, name: str) -> None:
    found = results()
    first, second = (
        write(name, tmp_path / one, export=of(sweep()), results=lambda: found) for one in ("first", "second")
    )
    assert first.sha256 == second.sha256 == hashlib.sha256((tmp_path / "first").read_bytes()).hexdigest()
    assert first.rows == 96
    assert first.size == (tmp_path / "first").stat().st_size
    assert sorted(file.name for file in tmp_path.iterdir()) == ["first", "second"]


def test_an_export_that_fails_leaves_the_older_file(tmp_path: Path) -> None:
    class Torn:
        def batches(self, columns: Any = None) -> Any:
            if columns is not None and "text" in columns:
                raise FileNotFoundError("a part is gone")
            return TableSource(sweep(1)).batches(columns)

        def schema(self) -> pa.Schema:
            return sweep(1).schema

    (tmp_path / "x.csv").write_text("older")
    with pytest.raises(FileNotFoundError):
        write("csv", tmp_path / "x.csv", export=export_of(Torn()), results=results)
    assert [file.read_text() for file in tmp_path.iterdir()] == ["older"]


@pytest.mark.parametrize("name", ["pdf", "html"])
@pytest.mark.parametrize(
    "chosen",
    [{"fields": ["model"]}, {"filters": filters_of([{"field": "model", "op": "eq", "value": "x"}])}],
)
def test_a_report_refuses_fields_and_filters(tmp_path: Path, name: str, chosen: dict[str, Any]) -> None:
    with pytest.raises(BadRequest) as caught:
        write(name, tmp_path / "x", export=of(sweep(1), **chosen), results=results)
    assert caught.value.param == next(iter(chosen))


def test_an_unknown_format_names_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(BadRequest, match="csv, json, jsonl, xlsx, parquet, pdf, html") as caught:
        write("xls", tmp_path / "x", export=of(sweep(1)), results=results)
    assert caught.value.param == "format"


def test_every_format_has_a_media_type_and_an_ending() -> None:
    assert all(one.media_type and one.suffix.startswith(".") for one in FORMATS.values())


@pytest.mark.parametrize("form", [write_csv, write_json, write_jsonl])
def test_a_figure_that_is_not_finite_is_nothing_in_any_format(form: Any) -> None:
    """Infinity ended a JSON export with an error, and stood as `inf` in CSV, where Excel had an empty cell."""
    rows = table([row(0, features='{"odd": Infinity, "even": NaN}', latency_ms=float("inf"))])
    target = io.BytesIO()
    form(of(rows, fields=["ordinal", "feature_odd", "feature_even", "latency_ms"]), target)
    content = target.getvalue().decode()
    assert (
        content.endswith("0,,,\r\n") or '"feature_odd": null, "feature_even": null, "latency_ms": null' in content
    )
