"""The report as one HTML file: no script, no address, no font of anybody else; light and dark as the reader has it.

All text is escaped; its own Content-Security-Policy forbids whatever might slip through.
"""

from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from pipelines.analysis.report import words
from pipelines.analysis.report.charts import charts_of
from pipelines.analysis.report.palette import DARK, LIGHT
from pipelines.analysis.report.results import Results
from pipelines.analysis.report.sheet import Sheet
from pipelines.analysis.report.sheets import method_notes, sheets_of, variance_sentence

if TYPE_CHECKING:
    from jinja2 import Template

P_VALUES = ("p", "adjusted p")
FINE = ("η²", "ω²", "g", "F", "p_best", "share of draws", "cost")  # columns whose figures are small


def write_html(results: Results, target: BinaryIO) -> None:
    """Write the page."""
    target.write(page(results).encode())


def page(results: Results) -> str:
    """The page as text; the same for the same rows."""
    findings = results.findings
    return _template().render(
        results=results,
        facts=facts(results),
        verdict=sentence(findings.best.verdict) if findings else "",
        variance=variance_sentence(results) if findings else "",
        charts=charts_of(results),
        sheets={sheet.name: sheet for sheet in sheets_of(results)},
        notes=method_notes(results),
        light=LIGHT,
        dark=DARK,
        cell=cell,
        numeric=numeric,
    )


def facts(results: Results) -> list[tuple[str, str]]:
    """The run in figures."""
    frame = results.frame
    models = {one.model for one in frame.configurations}
    return [
        ("cells", f"{results.cells:,}"),
        ("errors", f"{results.errors:,}"),
        ("prompts", f"{len(frame.prompts):,}"),
        ("configurations", f"{len(frame.configurations):,}"),
        ("repeats", str(frame.repeats)),
        ("models", ", ".join(sorted(models)) if len(models) < 4 else str(len(models))),
        ("metric", results.metric),
    ]


def sentence(text: str) -> str:
    """With a capital at its beginning; a name that begins it stays as it is."""
    return text[:1].upper() + text[1:] if text.startswith("no ") else text


def cell(value: Any, column: str) -> str:
    """One value of a table."""
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if column in P_VALUES:
        return words.p_value(value)
    if isinstance(value, float):
        return words.number(value, 3 if column in FINE else 1)
    return f"{value:,}" if isinstance(value, int) else str(value)


def numeric(sheet: Sheet, place: int) -> bool:
    """Whether a column holds numbers."""
    values = [row[place] for row in sheet.rows if row[place] is not None]
    return bool(values) and all(isinstance(value, int | float) and not isinstance(value, bool) for value in values)


@lru_cache(1)
def _template() -> "Template":
    from jinja2 import Environment, StrictUndefined

    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True)
    return environment.from_string(Path(__file__).with_name("page.html").read_text(encoding="utf-8"))
