"""Reports as a page and as a PDF, and the one value that all of them read."""

import io
import json
import re
from functools import lru_cache
from html.parser import HTMLParser
from typing import Any

import pypdfium2
import pytest
from reportlab.platypus import SimpleDocTemplate

from cluster.errors import BadRequest
from pipelines.analysis.report.html import page
from pipelines.analysis.report.pdf import COLUMNS, _fonts, _table, write_pdf
from pipelines.analysis.report.results import Results, results_of
from pipelines.analysis.report.sheet import Sheet
from pipelines.analysis.report.sheets import sheets_of
from pipelines.analysis.report.versus import versus
from pipelines.analysis.report.words import interval, number, p_value
from tests.unit.exports.sweep_rows import duel, row, sweep, table

VOID = {"meta", "path", "use", "rect", "br", "image", "link"}


@lru_cache(1)
def results() -> Results:
    return results_of(sweep(), name="demo")


@lru_cache(1)
def small() -> Results:
    return results_of(duel("a", "b", prompts=6), name="x")


@lru_cache(1)
def shown() -> str:
    return page(small())


class Balanced(HTMLParser):
    """Checks that every element ends, collects ids and what the page would load."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.ids: list[str] = []
        self.loaded: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in VOID:
            self.open.append(tag)
        self._look(attrs)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._look(attrs)

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            assert self.open.pop() == tag

    def _look(self, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            if name == "id":
                self.ids.append(value or "")
            if name in ("src", "href", "xlink:href", "srcset", "action"):
                self.loaded.append(value or "")


def test_a_page_is_whole_and_loads_nothing() -> None:
    found = Balanced()
    found.feed(shown())
    assert found.open == []
    assert len(set(found.ids)) == len(found.ids)
    assert all(one.startswith("#") for one in found.loaded)
    assert "<script" not in shown()
    assert "@import" not in shown()
    assert not re.findall(r"url\((?!#)", shown())


def test_a_page_follows_the_readers_light() -> None:
    assert "prefers-color-scheme: dark" in shown()
    assert "var(--text)" in shown()


def test_a_page_is_the_same_twice() -> None:
    assert shown() == page(results_of(duel("a", "b", prompts=6), name="x"))


def test_a_page_shows_the_figures_of_the_results() -> None:
    found = small().findings
    assert found is not None
    for one in found.configurations:
        assert f">{number(one.mean)}</td>" in shown()
        assert f">{number(one.low)}</td>" in shown()
    assert found.insights.refusal is not None
    assert found.insights.refusal in shown()


def test_a_sentence_carries_n_and_p() -> None:
    rows = dict(sheets_of(results())[0].rows)
    assert "n = 8 prompts" in rows["insight 1"]
    assert "adjusted p" in rows["insight 1"]


def test_captions_name_the_tests_that_were_made() -> None:
    captions = {sheet.name: sheet.caption for sheet in sheets_of(results())}
    assert captions["effects"].startswith("Exact sign-flip test of F, prompts as blocks, n = 8 prompts")
    assert "p adjusted by Westfall-Young" in captions["effects"]
    assert "p is adjusted by Westfall-Young" in captions["comparisons"]
    friedman = "Whether any differ at all: Friedman test by permutation of 6 configurations over 8 prompts"
    assert friedman in captions["comparisons"]


def test_text_of_others_is_escaped() -> None:
    rows = duel("<script>alert(1)</script>", "b")
    found = page(results_of(rows, name='"><img src=x onerror=alert(1)>'))
    assert "<script" not in found
    assert "<img" not in found
    assert "&lt;script&gt;" in found


@pytest.mark.parametrize(
    ("rows", "reason"),
    [
        (table([]), "no cell has gone well yet"),
        (table([row(0, text=None, error_code="engine_error")]), "no cell has gone well yet"),
        (table([row(0)]), "no cell has been scored yet"),
    ],
)
def test_a_run_without_figures_has_a_report_that_says_so(rows: Any, reason: str) -> None:
    empty = results_of(rows, name="empty")
    assert reason in page(empty)
    write_pdf(empty, io.BytesIO())
    assert [sheet.name for sheet in sheets_of(empty)] == ["summary"]


def test_a_pdf_has_the_text_the_pictures_and_pages() -> None:
    first, second = io.BytesIO(), io.BytesIO()
    write_pdf(results_of(duel("модель", "<i>b"), name="демо <b>"), first)
    write_pdf(results_of(duel("модель", "<i>b"), name="демо <b>"), second)
    assert first.getvalue() == second.getvalue()
    document = pypdfium2.PdfDocument(first.getvalue())
    text = "\n".join(page.get_textpage().get_text_bounded() for page in document)
    document.close()
    assert "демо <b>" in text
    assert "модель" in text
    assert "<i>b" in text
    assert "page 2" in text


def test_the_metric_is_overall_else_completeness_unless_named() -> None:
    assert results().metric == "overall"
    assert results_of(table([row(0, completeness=50.0)]), name="x").metric == "completeness"
    assert results_of(sweep(2), name="x", metric="readability").metric == "readability"
    with pytest.raises(BadRequest):
        results_of(sweep(2), name="x", metric="nope")


def test_results_count_what_failed_and_name_the_metrics_versions() -> None:
    rows = [row(0, scores='{"overall": 3}', score_versions='{"overall": "1"}'), row(1, error_code="engine_error")]
    rows.append(row(2, scores='{"overall": 3}', score_versions='{"overall": "2"}'))
    found = results_of(table(rows), name="x")
    assert (found.cells, found.errors) == (3, 1)
    assert found.versions == {"overall": "1, 2"}


def test_every_table_has_as_many_values_as_columns() -> None:
    for sheet in sheets_of(results()):
        assert all(len(line) == len(sheet.columns) for line in sheet.rows), sheet.name
        json.dumps(sheet.records())


def test_two_runs_are_compared_prompt_by_prompt() -> None:
    warm = sweep()
    cold = warm.set_column(
        warm.column_names.index("scores"),
        "scores",
        [[json.dumps({"overall": json.loads(text)["overall"] - 5}) for text in warm.column("scores").to_pylist()]],
    )
    found = versus([warm, cold])
    assert found.comparison.prompts == 8
    assert found.comparison.difference == pytest.approx(5)
    assert found.settings == 6
    assert found.matched
    assert any("they differ" in line for line in found.lines("a", "b"))
    assert found.as_json()["difference"]["difference"] == pytest.approx(5)


def test_a_run_does_not_differ_from_itself() -> None:
    assert any("no detectable difference" in line for line in versus([sweep(), sweep()]).lines("a", "b"))


def test_runs_of_other_configurations_say_that_these_may_be_the_difference() -> None:
    found = versus([duel("a"), duel("b")])
    assert not found.matched
    assert any("share no configuration" in line for line in found.lines("a", "b"))


def test_runs_without_a_prompt_in_common_are_not_compared() -> None:
    other = table([row(0, prompt_hash="other", scores='{"overall": 3}')])
    with pytest.raises(BadRequest, match="no prompt in common"):
        versus([sweep(2), other])


@pytest.mark.parametrize(
    ("found", "said"),
    [
        (number(None), "–"),
        (number(-3.14), "−3.1"),
        (number(0.0004, 3), "0.0004"),
        (number(0.0), "0.0"),
        (p_value(0.0001), "<\u00a00.001"),
        (p_value(0.04), "0.040"),
        (interval(1.0, None), "–"),
        (interval(1.0, 2.0), "1.0 to 2.0"),
    ],
)
def test_numbers_are_written_for_readers(found: str, said: str) -> None:
    assert found == said


def test_a_cell_longer_than_a_page_is_cut_and_squeezes_no_column() -> None:
    """ReportLab refuses a row taller than a page, and a column without width: a long `stop` was a 500."""
    columns = ["configuration", *(f"c{number}" for number in range(1, COLUMNS))]
    rows = [["W" * 4000, *([1.5] * (COLUMNS - 1))], ["b " * 2000, *(["word " * 900] * (COLUMNS - 1))]]
    target = io.BytesIO()
    _fonts()
    SimpleDocTemplate(target).build(_table(Sheet(name="x", caption="y", columns=columns, rows=rows)))
    assert target.getvalue().startswith(b"%PDF")
