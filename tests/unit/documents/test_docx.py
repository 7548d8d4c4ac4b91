import io

import pytest

from cluster.errors import BrokenDocument, EmptyDocument, EncryptedDocument, HeliostatError, PayloadTooLarge
from pipelines.documents.docx import parse_docx
from pipelines.documents.media import media_type
from pipelines.documents.parsed import Limits, ParsedDocument
from tests.unit.documents.words import NAMESPACE, paragraph, word

LIMITS = Limits(max_pages=10, max_rows=10, max_characters=10_000, max_unpacked_bytes=1_000_000)


def parsed(content: bytes) -> ParsedDocument:
    return parse_docx("a.docx", content, LIMITS)


def outline(content: bytes) -> list[tuple[str | None, str]]:
    found = parsed(content)
    return [(section.heading, found.text[section.start : section.end].strip()) for section in found.sections]


def test_a_file_that_python_docx_wrote_keeps_headings_lists_and_tables() -> None:
    from docx import Document

    written = Document()
    written.add_heading("Guide", 0)
    written.add_paragraph("Welcome.")
    written.add_heading("Parts", 1)
    written.add_paragraph("mirror", style="List Bullet")
    written.add_paragraph("mast", style="List Number")
    table = written.add_table(2, 2)
    for at, text in enumerate(("part", "kg", "mast", "40")):
        table.cell(at // 2, at % 2).text = text
    written.add_heading("Care", 2)
    written.add_paragraph("Oil\tit.")
    buffer = io.BytesIO()
    written.save(buffer)
    assert outline(buffer.getvalue()) == [
        ("Guide", "Guide\n\nWelcome."),
        ("Guide > Parts", "Parts\n\n- mirror\n- mast\n\npart | kg\nmast | 40"),
        ("Guide > Parts > Care", "Care\n\nOil\tit."),
    ]


def test_headings_are_known_by_their_style_in_any_language_and_by_inheritance() -> None:
    body = (
        paragraph("Eins", style="berschrift1") + paragraph("a") + paragraph("Zwei", style="Mine") + paragraph("b")
    )
    assert [heading for heading, _ in outline(word(body))] == ["Eins", "Zwei"]


def test_a_paragraph_may_be_a_heading_by_its_own_level() -> None:
    body = paragraph("Top", inside='<w:outlineLvl w:val="0"/>') + paragraph("x", inside='<w:outlineLvl w:val="9"/>')
    assert outline(word(body)) == [("Top", "Top\n\nx")]


def test_a_style_based_on_itself_ends() -> None:
    assert parsed(word(paragraph("text", style="Loop"))).text == "text"


def test_items_are_indented_by_their_depth() -> None:
    deeper = '<w:numPr><w:ilvl w:val="1"/><w:numId w:val="2"/></w:numPr>'
    none = '<w:numPr><w:numId w:val="0"/></w:numPr>'
    body = paragraph("a", style="Dots") + paragraph("b", inside=deeper) + paragraph("c", style="Dots", inside=none)
    assert parsed(word(body)).text == "- a\n  - b\n\nc"


def test_deleted_moved_and_hidden_text_is_left_out() -> None:
    runs = (
        "<w:p><w:r><w:t>kept </w:t></w:r>"
        "<w:del><w:r><w:delText>gone</w:delText></w:r></w:del>"
        "<w:moveFrom><w:r><w:t>moved</w:t></w:r></w:moveFrom>"
        "<w:r><w:rPr><w:vanish/></w:rPr><w:t>hidden</w:t></w:r>"
        '<w:r><w:rPr><w:vanish w:val="0"/></w:rPr><w:t>shown</w:t></w:r>'
        "<w:ins><w:r><w:instrText>PAGE</w:instrText><w:t> too</w:t></w:r></w:ins></w:p>"
    )
    assert parsed(word(runs)).text == "kept shown too"


def test_tabs_of_a_paragraphs_ruler_are_no_text() -> None:
    assert parsed(word(paragraph("a", inside="<w:tabs><w:tab/></w:tabs>"))).text == "a"


def test_a_table_in_a_cell_becomes_part_of_the_row() -> None:
    inner = f"<w:tbl><w:tr><w:tc>{paragraph('x')}</w:tc><w:tc>{paragraph('y')}</w:tc></w:tr></w:tbl>"
    body = f"<w:tbl><w:tr><w:tc>{paragraph('a')}{inner}</w:tc><w:tc>{paragraph('b')}</w:tc></w:tr></w:tbl>"
    assert parsed(word(body)).text == "a x y | b"


def test_text_boxes_and_notes_are_read() -> None:
    box = f"<w:pict><w:txbxContent>{paragraph('boxed')}</w:txbxContent></w:pict>"
    body = f"<w:p><w:r><w:t>around</w:t>{box}</w:r></w:p>"
    notes = f'<w:footnotes xmlns:w="{NAMESPACE}"><w:footnote>{paragraph("noted")}</w:footnote></w:footnotes>'
    assert parsed(word(body, word_footnotes_xml=notes)).text == "boxed\n\naround\n\nnoted"


def test_the_main_part_is_where_the_relations_say() -> None:
    assert parsed(word(paragraph("there"), document="word/document2.xml")).text == "there"


@pytest.mark.parametrize(
    ("content", "kind", "told"),
    [
        (word(paragraph("a" * 200))[:400], BrokenDocument, "cannot be read"),
        (b"PK\x03\x04" + bytes(200), BrokenDocument, "cannot be read"),
        (word("<w:p>"), BrokenDocument, "mismatched tag"),
        (word(""), EmptyDocument, "no text"),
        (word(paragraph("a"), xl_workbook_xml="<x/>"), BrokenDocument, "an Excel workbook, not a Word file"),
        (word(paragraph("a" * 20_000)), PayloadTooLarge, "more than 10000 characters"),
        (word(paragraph(" " * 5_000_000)), PayloadTooLarge, "unpacks to more than 1000000 bytes"),
        (
            word("&b;", before='<!DOCTYPE d [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]>'),
            BrokenDocument,
            "declares a document type",
        ),
        (
            word("&b;", before='<!DOCTYPE d [<!ENTITY b SYSTEM "file:///etc/hostname">]>'),
            BrokenDocument,
            "declares a document type",
        ),
    ],
)
def test_what_is_no_whole_word_file_says_why(content: bytes, kind: type[HeliostatError], told: str) -> None:
    with pytest.raises(kind) as caught:
        parsed(content)
    assert caught.value.message.startswith("a.docx: ")
    assert told in caught.value.message
    assert caught.value.hint


def test_a_word_file_with_a_password_is_called_encrypted() -> None:
    wrapped = b"\xd0\xcf\x11\xe0" + bytes(500) + "EncryptedPackage".encode("utf-16-le")
    with pytest.raises(EncryptedDocument, match=r"a\.docx: the Word file needs a password"):
        media_type("a.docx", wrapped)


def test_an_archive_with_a_password_is_called_encrypted() -> None:
    flagged = bytearray(word(paragraph("a")))
    at = 0
    while (at := flagged.find(b"PK\x01\x02", at)) >= 0:  # of each entry of the directory
        flagged[at + 8] |= 1
        at += 4
    with pytest.raises(EncryptedDocument, match="needs a password"):
        parsed(bytes(flagged))
