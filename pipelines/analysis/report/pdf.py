"""The report as a PDF: ReportLab sets the text and the tables, the charts are the page's, at 200 dots an inch.

ReportLab rather than Matplotlib's PdfPages: it flows text and breaks tables over pages, with their heads repeated.
The font is Matplotlib's DejaVu Sans, embedded: Latin, Greek and Cyrillic; other scripts show as boxes here, and as
themselves in the HTML report.
"""

import io
import threading
from functools import lru_cache
from typing import TYPE_CHECKING, Any, BinaryIO
from xml.sax.saxutils import escape

from pipelines.analysis.report.chart import Chart, shown
from pipelines.analysis.report.charts import charts_of
from pipelines.analysis.report.html import cell, facts, sentence
from pipelines.analysis.report.palette import LIGHT
from pipelines.analysis.report.results import Results
from pipelines.analysis.report.sheet import Sheet
from pipelines.analysis.report.sheets import method_notes, sheets_of, variance_sentence

if TYPE_CHECKING:
    from reportlab.platypus import Flowable

FONT, BOLD = "HeliostatSans", "HeliostatSans-Bold"
MARGIN = 51  # points, 18 mm
ROWS = 40  # of a table
COLUMNS = 11  # of a table: more don't fit a page's width
CELL = 200  # characters of a table's cell: a row must not be taller than a page
LEAST, WIDEST = 8, 40  # of a column's share of the width: none is squeezed to nothing by another's long word
FIXED = threading.Lock()  # ReportLab's fonts are one register for the process


def write_pdf(results: Results, target: BinaryIO) -> None:
    """Write the report; the same bytes for the same rows."""
    from reportlab.lib.pagesizes import A4
    from reportlab.platypus import SimpleDocTemplate

    with FIXED:
        _fonts()
        document = SimpleDocTemplate(
            target,
            pagesize=A4,
            leftMargin=MARGIN,
            rightMargin=MARGIN,
            topMargin=MARGIN,
            bottomMargin=MARGIN,
            title=f"{results.name} – sweep report",
            author="Heliostat",
            invariant=1,  # no date, no random id
        )
        document.build(_story(results), onFirstPage=_footer, onLaterPages=_footer)


def _story(results: Results) -> "list[Flowable]":
    from reportlab.platypus import Paragraph, Spacer

    styles = _styles()
    newest = f" · newest cell {results.newest:%Y-%m-%d %H:%M} UTC" if results.newest else ""
    runs = f" · run {', '.join(results.frame.runs)}" if results.frame.runs else ""
    story: list[Flowable] = [
        Paragraph(_text(results.name), styles["title"]),
        Paragraph(_text(f"Sweep report{runs}{newest}"), styles["muted"]),
        Paragraph(_text(" · ".join(f"{name}: {value}" for name, value in facts(results))), styles["body"]),
        Spacer(1, 8),
    ]
    found = results.findings
    if found is None:
        return [*story, Paragraph(_text(f"Nothing to report: {results.reason}."), styles["strong"])]
    story.append(Paragraph(_text(sentence(found.best.verdict)), styles["strong"]))
    said = [found.best.reason, found.insights.refusal, *(f"• {one.text}" for one in found.insights.sentences)]
    story += [Paragraph(_text(one), styles["body"]) for one in said if one]
    story.append(Paragraph(_text(variance_sentence(results)), styles["body"]))
    for chart in charts_of(results):
        story.append(_picture(chart))
    named = {sheet.name: sheet for sheet in sheets_of(results)}
    for name in ("configurations", "comparisons", "preferences", "effects", "parameters"):
        story += _table(named[name]) if name in named else []
    story.append(Paragraph("How the figures were made", styles["heading"]))
    return story + [Paragraph(_text(f"• {note}"), styles["body"]) for note in method_notes(results)]


def _picture(chart: Chart) -> "Flowable":
    from reportlab.lib.units import inch
    from reportlab.platypus import Image, KeepTogether, Paragraph

    styles = _styles()
    width = 6.6 * inch
    image = Image(io.BytesIO(chart.png()), width=width, height=width * chart.height / 7.2)
    return KeepTogether(
        [
            Paragraph(_text(chart.title), styles["heading"]),
            image,
            Paragraph(_text(chart.caption), styles["muted"]),
        ]
    )


def _table(sheet: Sheet) -> "list[Flowable]":
    from reportlab.lib import colors
    from reportlab.platypus import Paragraph, Table, TableStyle

    styles = _styles()
    kept = [place for place, name in enumerate(sheet.columns) if name not in ("config_id", "test")][:COLUMNS]
    more = f" The first {ROWS} of {len(sheet.rows)} rows." if len(sheet.rows) > ROWS else ""
    head = [
        Paragraph(_text(sheet.name.capitalize()), styles["heading"]),
        Paragraph(_text(sheet.caption + more), styles["muted"]),
    ]
    if not sheet.rows:
        return head
    rows: list[list[Any]] = [[Paragraph(_text(sheet.columns[place]), styles["cellhead"]) for place in kept]]
    for row in sheet.rows[:ROWS]:
        texts = [_text(cell(row[place], sheet.columns[place]), CELL) for place in kept]
        rows.append([Paragraph(text, styles["cell"]) for text in texts])
    wide = [_room(sheet, place) for place in kept]
    unit = 493.0 / sum(wide)  # points of the page between its margins
    grid = colors.HexColor(LIGHT.grid)
    style = TableStyle(
        [
            ("LINEBELOW", (0, 0), (-1, -1), 0.4, grid),
            ("VALIGN", (0, 0), (-1, -1), "TOP"),
            ("LEFTPADDING", (0, 0), (-1, -1), 2),
            ("RIGHTPADDING", (0, 0), (-1, -1), 4),
            ("TOPPADDING", (0, 0), (-1, -1), 1.5),
            ("BOTTOMPADDING", (0, 0), (-1, -1), 2),
        ]
    )
    return [*head, Table(rows, colWidths=[unit * one for one in wide], repeatRows=1, style=style)]


def _room(sheet: Sheet, place: int) -> float:
    """How wide a column wants to be, in characters: its longest word at least."""
    name = sheet.columns[place]
    values = [cell(row[place], name) for row in sheet.rows[:ROWS]]
    words = [len(word) for text in (name, *values) for word in text.split(" ")]
    wanted = 2.0 + max(max(words), min(28, max((len(text) for text in values), default=0)))
    return min(max(wanted, LEAST), WIDEST)


def _styles() -> "dict[str, Any]":
    from reportlab.lib import colors
    from reportlab.lib.styles import ParagraphStyle

    text, muted = colors.HexColor(LIGHT.text), colors.HexColor(LIGHT.muted)
    body = ParagraphStyle("body", fontName=FONT, fontSize=9, leading=13, textColor=text, spaceAfter=3)
    return {
        "body": body,
        "title": ParagraphStyle("title", body, fontName=BOLD, fontSize=17, leading=21),
        "heading": ParagraphStyle("heading", body, fontName=BOLD, fontSize=11, leading=14, spaceBefore=12),
        "strong": ParagraphStyle("strong", body, fontName=BOLD, fontSize=10.5, leading=15),
        "muted": ParagraphStyle("muted", body, fontSize=7.5, leading=10.5, textColor=muted),
        "cell": ParagraphStyle("cell", body, fontSize=7, leading=9, spaceAfter=0),
        "cellhead": ParagraphStyle("cellhead", body, fontName=BOLD, fontSize=7, leading=9, spaceAfter=0),
    }


def _text(text: str, most: int = 4000) -> str:
    """Text for a paragraph, whose language is a kind of XML."""
    return escape(shown(text, most=most))


def _footer(canvas: Any, document: Any) -> None:
    canvas.setFont(FONT, 7)
    canvas.setFillColor(LIGHT.muted)
    canvas.drawRightString(document.pagesize[0] - MARGIN, MARGIN / 2, f"page {canvas.getPageNumber()}")


@lru_cache(1)
def _fonts() -> None:
    from matplotlib import get_data_path
    from reportlab.pdfbase import pdfmetrics
    from reportlab.pdfbase.ttfonts import TTFont

    folder = f"{get_data_path()}/fonts/ttf"
    pdfmetrics.registerFont(TTFont(FONT, f"{folder}/DejaVuSans.ttf"))
    pdfmetrics.registerFont(TTFont(BOLD, f"{folder}/DejaVuSans-Bold.ttf"))
