"""An Excel file's package: a zip of XML parts, written as a stream, sheet after sheet.

XlsxWriter took 64 s of a CPU for 100,000 rows of 43 columns, a call a cell; Arrow makes whole columns' XML at
once, and then the package around it is all there is left to write.
"""

import re
import zipfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from types import TracebackType
from typing import BinaryIO
from xml.sax.saxutils import escape, quoteattr

BOLD, DATE, QUOTED = 1, 2, 3  # styles of cells, places in STYLES' cellXfs
FIXED = (1980, 1, 1, 0, 0, 0)  # of the parts in the zip: same rows, same bytes
HEAD = '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>\n'
MAIN = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
PACKAGE = "http://schemas.openxmlformats.org/package/2006"
OFFICE = "http://schemas.openxmlformats.org/officeDocument/2006"
CONTENT = "application/vnd.openxmlformats-officedocument"
STYLES = (
    f'{HEAD}<styleSheet xmlns="{MAIN}">'
    '<numFmts count="1"><numFmt numFmtId="164" formatCode="yyyy\\-mm\\-dd\\ hh:mm:ss.000"/></numFmts>'
    '<fonts count="2"><font><sz val="11"/><name val="Calibri"/><family val="2"/></font>'
    '<font><b/><sz val="11"/><name val="Calibri"/><family val="2"/></font></fonts>'
    '<fills count="2"><fill><patternFill patternType="none"/></fill>'
    '<fill><patternFill patternType="gray125"/></fill></fills>'
    '<borders count="1"><border><left/><right/><top/><bottom/><diagonal/></border></borders>'
    '<cellStyleXfs count="1"><xf numFmtId="0" fontId="0" fillId="0" borderId="0"/></cellStyleXfs>'
    '<cellXfs count="4"><xf numFmtId="0" fontId="0" fillId="0" borderId="0" xfId="0"/>'
    '<xf numFmtId="0" fontId="1" fillId="0" borderId="0" xfId="0" applyFont="1"/>'
    '<xf numFmtId="164" fontId="0" fillId="0" borderId="0" xfId="0" applyNumberFormat="1"/>'
    '<xf numFmtId="0" fontId="0" fillId="0" borderId="0" xfId="0" quotePrefix="1"/></cellXfs>'
    '<cellStyles count="1"><cellStyle name="Normal" xfId="0" builtinId="0"/></cellStyles></styleSheet>'
)
UNSAID = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]")  # characters that XML has no word for
Write = Callable[[bytes], object]


class Workbook:
    """A context that writes an .xlsx to a file: `sheet` by `sheet`, and the rest at its end.

    target must be seekable. title: of the document's properties.
    """

    def __init__(self, target: BinaryIO, *, title: str = "") -> None:
        self._zip = zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED)
        self._title = UNSAID.sub(" ", title)
        self._names: list[str] = []

    def __enter__(self) -> "Workbook":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            for name, content in self._parts().items():
                self._zip.writestr(_entry(name), content)
        self._zip.close()

    @contextmanager
    def sheet(self, name: str, widths: Sequence[int]) -> Iterator[Write]:
        """A sheet, the top row of which stays in sight; gives what takes its rows' XML. widths: in characters."""
        self._names.append(name)
        columns = "".join(
            f'<col min="{place}" max="{place}" width="{width}" customWidth="1"/>'
            for place, width in enumerate(widths, start=1)
        )
        chosen = ' tabSelected="1"' if len(self._names) == 1 else ""
        with self._zip.open(_entry(f"xl/worksheets/sheet{len(self._names)}.xml"), "w") as part:
            part.write(
                f'{HEAD}<worksheet xmlns="{MAIN}"><sheetViews><sheetView workbookViewId="0"{chosen}>'
                '<pane ySplit="1" topLeftCell="A2" activePane="bottomLeft" state="frozen"/>'
                "</sheetView></sheetViews>"
                f"<cols>{columns}</cols><sheetData>".encode()
            )
            yield part.write
            part.write(b"</sheetData></worksheet>")

    def _parts(self) -> dict[str, str]:
        numbers = range(1, len(self._names) + 1)
        overrides = {
            "/xl/workbook.xml": f"{CONTENT}.spreadsheetml.sheet.main+xml",
            **{f"/xl/worksheets/sheet{n}.xml": f"{CONTENT}.spreadsheetml.worksheet+xml" for n in numbers},
            "/xl/styles.xml": f"{CONTENT}.spreadsheetml.styles+xml",
            "/docProps/core.xml": "application/vnd.openxmlformats-package.core-properties+xml",
        }
        listed = "".join(f'<Override PartName="{part}" ContentType="{kind}"/>' for part, kind in overrides.items())
        sheets = "".join(
            f'<sheet name={quoteattr(name)} sheetId="{n}" r:id="rId{n}"/>'
            for n, name in zip(numbers, self._names, strict=True)
        )
        inside = [(f"rId{n}", f"{OFFICE}/relationships/worksheet", f"worksheets/sheet{n}.xml") for n in numbers]
        styles = (f"rId{len(self._names) + 1}", f"{OFFICE}/relationships/styles", "styles.xml")
        core = f"{PACKAGE}/relationships/metadata/core-properties"
        return {
            "[Content_Types].xml": f'{HEAD}<Types xmlns="{PACKAGE}/content-types">'
            '<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
            f'<Default Extension="xml" ContentType="application/xml"/>{listed}</Types>',
            "_rels/.rels": _relations(
                [
                    ("rId1", f"{OFFICE}/relationships/officeDocument", "xl/workbook.xml"),
                    ("rId2", core, "docProps/core.xml"),
                ]
            ),
            "docProps/core.xml": f'{HEAD}<cp:coreProperties xmlns:cp="{PACKAGE}/metadata/core-properties" '
            f'xmlns:dc="http://purl.org/dc/elements/1.1/"><dc:title>{escape(self._title)}</dc:title>'
            "<dc:creator>Heliostat</dc:creator></cp:coreProperties>",
            "xl/workbook.xml": f'{HEAD}<workbook xmlns="{MAIN}" xmlns:r="{OFFICE}/relationships">'
            f"<bookViews><workbookView/></bookViews><sheets>{sheets}</sheets></workbook>",
            "xl/_rels/workbook.xml.rels": _relations([*inside, styles]),
            "xl/styles.xml": STYLES,
        }


def _entry(name: str) -> zipfile.ZipInfo:
    entry = zipfile.ZipInfo(name, FIXED)
    entry.compress_type = zipfile.ZIP_DEFLATED
    return entry


def _relations(found: Sequence[tuple[str, str, str]]) -> str:
    listed = "".join(f'<Relationship Id="{name}" Type="{kind}" Target="{part}"/>' for name, kind, part in found)
    return f'{HEAD}<Relationships xmlns="{PACKAGE}/relationships">{listed}</Relationships>'
