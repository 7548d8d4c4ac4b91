"""Charts: what they show, in both themes, for everybody, and always the same."""

import re
from dataclasses import replace
from functools import lru_cache
from xml.etree import ElementTree

import pytest

from pipelines.analysis.frame import frame_of
from pipelines.analysis.report.chart import Chart, shown
from pipelines.analysis.report.charts import charts_of
from pipelines.analysis.report.palette import DARK, LIGHT, THEMES, Palette, contrast
from pipelines.analysis.report.results import results_of
from pipelines.analysis.report.trend_chart import trend_chart
from pipelines.analysis.trends import trend
from tests.unit.exports.sweep_rows import duel, row, sweep, table

SVG = "{http://www.w3.org/2000/svg}"
KEYS = [
    "ranking",
    "main-effects",
    "heat-map-temperature-top-p",
    "interaction-temperature-top-p",
    "front-latency-ms",
    "front-completion-tokens",
    "distributions",
]


@lru_cache(1)
def charts() -> dict[str, Chart]:
    return {chart.key: chart for chart in charts_of(results_of(sweep(), name="demo"))}


def test_a_run_has_every_chart() -> None:
    assert list(charts()) == KEYS


def test_each_chart_has_words_and_a_table() -> None:
    for chart in charts().values():
        assert re.search(r"n = 8 prompts", chart.caption), chart.key
        assert chart.sheet.rows
        assert all(len(line) == len(chart.sheet.columns) for line in chart.sheet.rows)


def test_a_picture_is_named_deterministic_and_has_ids_of_its_own() -> None:
    key = "heat-map-temperature-top-p"
    picture = charts()[key].svg(DARK)
    assert picture == charts()[key].svg(DARK)
    root = ElementTree.fromstring(picture)
    assert root.attrib["role"] == "img"
    assert root.findtext(f"{SVG}title") == charts()[key].title
    assert root.findtext(f"{SVG}desc") == charts()[key].caption
    ids = [one.attrib["id"] for one in root.iter() if "id" in one.attrib]
    assert len(set(ids)) == len(ids)
    assert all(one.startswith(key) for one in ids)
    wanted = re.findall(r'(?:href="|url\()#([^")]+)', picture)
    assert set(wanted) <= set(ids)
    assert DARK.page in picture
    assert "<text" not in picture  # drawn as shapes: no font is asked for


def test_a_picture_in_a_page_has_the_pages_colours() -> None:
    picture = charts()["main-effects"].inline()
    assert not re.findall(r":\s*#[0-9a-f]{6}", picture)
    used = set(re.findall(r"var\((--[\w-]+)\)", picture))
    assert used <= set(LIGHT.variables) == set(DARK.variables)
    assert {"--text", "--grid", "--series-0"} <= used


def test_a_picture_as_pixels_is_the_same_twice() -> None:
    first = charts()["ranking"].png(dpi=40)
    assert first.startswith(b"\x89PNG")
    assert first == charts()["ranking"].png(dpi=40)


def test_the_heat_map_s_table_has_each_combination() -> None:
    sheet = charts()["heat-map-temperature-top-p"].sheet
    assert sheet.columns == ("temperature", "top_p", "prompts", "mean", "low", "high")
    assert len(sheet.rows) == 6
    assert all(line[4] < line[3] < line[5] for line in sheet.rows)


@pytest.mark.parametrize("theme", THEMES.values(), ids=THEMES)
def test_colours_have_enough_contrast(theme: Palette) -> None:
    assert contrast(theme.text, theme.page) >= 7
    assert contrast(theme.muted, theme.page) >= 4.5
    assert all(contrast(colour, theme.page) >= 3 for colour in theme.series)


@pytest.mark.parametrize("theme", THEMES.values(), ids=THEMES)
def test_every_colour_of_a_theme_is_one_of_a_kind(theme: Palette) -> None:
    assert len({*theme.variables.values(), theme.page}) == len(theme.variables) + 1


def test_a_label_shows_what_the_font_has_and_not_too_much() -> None:
    assert shown("модель 語 $x$\n2") == "модель □ $x$ 2"
    assert shown("x" * 60, most=10) == "xxxxxxxxx…"


def test_names_that_look_like_markup_are_drawn_as_they_stand() -> None:
    rows = duel("<b>&", "$\\frac$")
    chart = next(one for one in charts_of(results_of(rows, name="x")) if one.key == "ranking")
    ElementTree.fromstring(chart.svg())
    hostile = replace(chart, title="</title><script>alert(1)</script>")
    assert "<script>" not in hostile.svg()


def test_one_prompt_is_drawn_without_intervals() -> None:
    found = charts_of(results_of(sweep(1), name="x"))
    assert [chart.key for chart in found] == KEYS
    assert all(line[4] is None for line in found[2].sheet.rows)
    found[0].png(dpi=20)


def test_a_run_without_scores_has_no_chart() -> None:
    assert charts_of(results_of(table([row(0)]), name="x")) == []
    assert charts_of(results_of(table([]), name="x")) == []


def test_a_trend_says_why_it_has_no_direction() -> None:
    chart = trend_chart(trend(frame_of(sweep()), "overall"))
    assert chart.sheet.rows[0][:3] == ("2026-11-01", 1, 96)
    assert "No direction is told" in chart.caption
    ElementTree.fromstring(chart.svg())
