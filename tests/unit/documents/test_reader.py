import io

import pytest
from PIL import Image
from reportlab.pdfgen.canvas import Canvas

from cluster.errors import (
    BrokenDocument,
    EmptyDocument,
    EncryptedDocument,
    HeliostatError,
    PayloadTooLarge,
    UnsupportedDocument,
)
from cluster.settings.pipelines import DocumentSettings
from pipelines.documents.reader import read
from tests.unit.documents.pdfs import pdf
from tests.unit.documents.words import paragraph, word

SETTINGS = DocumentSettings()
FEW_CHARACTERS = DocumentSettings(max_characters=50)


def test_a_pdf_keeps_its_pages_and_the_order_of_its_lines() -> None:
    parsed = read("guide.pdf", pdf("First line\nSecond line", "", "Third page"), SETTINGS)
    assert parsed.pages == 3
    assert [(section.page, parsed.text[section.start : section.end]) for section in parsed.sections] == [
        (1, "First line\nSecond line"),
        (3, "Third page"),
    ]


def test_a_pdf_with_a_password_is_called_encrypted() -> None:
    with pytest.raises(EncryptedDocument, match=r"secret\.pdf: the PDF needs a password"):
        read("secret.pdf", pdf("Hidden", password="open sesame"), SETTINGS)


def test_a_pdf_without_text_is_called_empty_and_says_so() -> None:
    with pytest.raises(EmptyDocument, match=r"scan\.pdf: no text on its 2 pages"):
        read("scan.pdf", pdf("", ""), SETTINGS)


def test_a_scan_is_called_one() -> None:
    buffer = io.BytesIO()
    Image.new("L", (20, 20)).save(buffer, format="PDF")
    with pytest.raises(EmptyDocument, match=r"scan\.pdf: a scan: no text on its 1 page, only pictures") as caught:
        read("scan.pdf", buffer.getvalue(), SETTINGS)
    assert "OCR" in (caught.value.hint or "")


def test_a_pdf_whose_pages_share_one_text_is_bounded_by_characters() -> None:
    with pytest.raises(PayloadTooLarge, match="more than 50 characters"):
        read("long.pdf", pdf("twenty-four characters..", "and as many once more..."), FEW_CHARACTERS)


def test_a_pdf_over_the_page_limit_is_too_large() -> None:
    with pytest.raises(PayloadTooLarge, match="3 pages, but 2 are allowed"):
        read("long.pdf", pdf("a", "b", "c"), SETTINGS.model_copy(update={"max_pages": 2}))


def test_what_was_filled_into_a_pdfs_form_is_read() -> None:
    """It stands in annotations, and the page's own text knows nothing of them."""
    buffer = io.BytesIO()
    canvas = Canvas(buffer, invariant=1)
    for name in ("Orla Venn", "Tamsin Street"):
        canvas.drawString(72, 760, "Filled in by")
        canvas.acroForm.textfield(name=name, value=name, x=72, y=700, width=300, height=24)
        canvas.showPage()
    canvas.save()
    parsed = read("form.pdf", buffer.getvalue(), SETTINGS)
    texts = [parsed.text[section.start : section.end] for section in parsed.sections]
    assert [section.page for section in parsed.sections] == [1, 2]
    assert ["Filled in by" in text for text in texts] == [True, True]
    assert ["Orla Venn" in texts[0], "Tamsin Street" in texts[1]] == [True, True]


def test_a_pdf_that_is_cut_off_is_called_broken() -> None:
    with pytest.raises(BrokenDocument, match=r"half\.pdf"):
        read("half.pdf", b"%PDF-1.4\n" + b"garbage" * 50, SETTINGS)


@pytest.mark.parametrize(
    ("name", "content", "kind", "told"),
    [
        ("page.pdf", b"<!DOCTYPE html><p>Hi", BrokenDocument, "the content is HTML, not a PDF"),
        ("page.txt", b"%PDF-1.7 ...", BrokenDocument, "the content is a PDF, not text"),
        ("page.md", b"PK\x03\x04....", BrokenDocument, "ZIP"),
        ("photo.png", b"\x89PNG", UnsupportedDocument, ".png files are not read"),
        ("README", b"text", UnsupportedDocument, "without an extension"),
        ("a.pdf", b"", EmptyDocument, "0 bytes"),
        ("a.doc", b"", UnsupportedDocument, ".doc files are not read"),
        ("a.docx", b"", EmptyDocument, "0 bytes"),
        ("a.docx", b"{\\rtf1", BrokenDocument, "an RTF file, not a Word file"),
        ("a.docx", b"<html>", BrokenDocument, "HTML, not a Word file"),
        ("a.docx", b"\xd0\xcf\x11\xe0....", BrokenDocument, "an old Office file, not a Word file"),
        ("a.csv", b"PK\x03\x04....", BrokenDocument, "ZIP"),
        ("a.html", b"%PDF-1.7", BrokenDocument, "a PDF, not text"),
        ("a.jsonl", b"\x1f\x8b....", BrokenDocument, "gzip"),
        ("a.txt", b" \n\t ", EmptyDocument, "white space"),
        ("a.txt", b"abc\x00def", BrokenDocument, "NUL"),
        ("a.txt", b"\x01\x02\x03\x04 few letters", BrokenDocument, "binary"),
        ("a.txt", b"caf\xe9 \x81", BrokenDocument, "neither UTF-8 nor cp1252"),
        ("a.txt", b"\xff\xfea", BrokenDocument, "utf-16"),
    ],
)
def test_what_cannot_be_read_says_why(name: str, content: bytes, kind: type[HeliostatError], told: str) -> None:
    with pytest.raises(kind) as caught:
        read(name, content, SETTINGS)
    assert name in caught.value.message
    assert told in caught.value.message
    assert caught.value.hint


def test_a_text_about_gifs_is_no_gif() -> None:
    assert read("a.txt", b"GIF89a is a format of pictures.", SETTINGS).text.startswith("GIF89a")
    with pytest.raises(BrokenDocument, match="a GIF image, not text"):
        read("a.txt", b"GIF89a\x40\x01\x00\x01\xf7\x00\x00", SETTINGS)


def test_a_file_over_the_size_limit_is_too_large() -> None:
    with pytest.raises(PayloadTooLarge, match="11 bytes, but 10 are allowed"):
        read("a.txt", b"x" * 11, SETTINGS.model_copy(update={"max_file_bytes": 10}))


@pytest.mark.parametrize(
    "content",
    [
        "Zürich — 5 €".encode(),
        "Zürich — 5 €".encode("utf-8-sig"),
        "Zürich — 5 €".encode("utf-16"),
        b"\xfe\xff" + "Zürich — 5 €".encode("utf-16-be"),
        "Zürich — 5 €".encode("cp1252"),
        "Zürich — 5 €".encode("utf-16-le"),
        "Zürich — 5 €".encode("utf-16-be"),
        "Zürich — 5 €".encode("utf-32"),
    ],
)
def test_text_is_decoded_whatever_its_encoding(content: bytes) -> None:
    assert read("a.txt", content, SETTINGS).text == "Zürich — 5 €"


def test_a_text_over_the_character_limit_is_too_large() -> None:
    with pytest.raises(PayloadTooLarge, match="more than 50 characters"):
        read("a.txt", b"word " * 20, FEW_CHARACTERS)


@pytest.mark.parametrize(
    ("name", "content", "media_type", "heading"),
    [
        ("a.htm", b"<h1>T</h1>text", "text/html", "T"),
        ("a.MD", b"# T\ntext", "text/markdown", "T"),
        ("a.csv", b"a;b\n1;2", "text/csv", "row 2"),
        ("a.tsv", b"a\tb\n1\t2", "text/tab-separated-values", "row 2"),
        ("a.ndjson", b'{"a": 1}', "application/jsonl", "line 1"),
        (
            "a.docx",
            word(paragraph("T", style="berschrift1") + paragraph("text")),
            "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
            "T",
        ),
    ],
)
def test_each_type_is_read_with_its_headings(name: str, content: bytes, media_type: str, heading: str) -> None:
    parsed = read(name, content, SETTINGS)
    assert (parsed.media_type, parsed.pages) == (media_type, None)
    assert parsed.sections[0].heading == heading


def test_line_ends_become_newlines() -> None:
    assert read("a.txt", b"one\r\ntwo\rthree\n", SETTINGS).text == "one\ntwo\nthree\n"


def test_extensions_are_read_in_any_case() -> None:
    assert read("A.TXT", b"text", SETTINGS).media_type == "text/plain"
