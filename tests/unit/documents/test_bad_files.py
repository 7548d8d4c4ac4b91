"""Whatever bytes a file holds under whatever name: they become text or an error that names it, and soon."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cluster.errors import HeliostatError
from cluster.settings.pipelines import DocumentSettings
from pipelines.documents.media import MEDIA_TYPES
from pipelines.documents.parsed import ParsedDocument
from pipelines.documents.reader import read
from tests.unit.documents.pdfs import pdf
from tests.unit.documents.words import paragraph, word

SETTINGS = DocumentSettings(parse_timeout_s=30)
BEGINNINGS = [b"", b"%PDF-1.7\n", b"PK\x03\x04", b"<html>", b'{"a":', b"a,b\n", b"# ", b"\xff\xfe", b"\xef\xbb\xbf"]
WHOLE = {
    ".pdf": pdf("The mast is oak.", "Second page."),
    ".docx": word(paragraph("Guide", style="berschrift1") + paragraph("The mast is oak.")),
    ".html": b"<title>T</title><h1>Guide</h1><table><tr><td>a<td>b</table><ul><li>x<pre>y</pre></ul><p hidden>z",
    ".jsonl": b'{"a": [1, {"b": "c"}]}\n[2]\n',
    ".csv": b'a;b\n1;"x\ny"\n',
    ".md": b"# A\n\ntext\n\nB\n---\n```\n# c\n```\n",
}
# The example is read by a process that other tests wait for too: its time says little.
patient = settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def parsed(name: str, content: bytes) -> ParsedDocument | None:
    """The document; None where it is refused as it should be."""
    try:
        return read(name, content, SETTINGS)
    except HeliostatError as caught:
        refused = caught
    assert refused.message.startswith(name)
    assert refused.hint
    assert refused.status in {400, 413}
    return None


def check(document: ParsedDocument | None) -> None:
    if document is None:
        return
    position = 0
    for section in document.sections:
        assert position <= section.start <= section.end <= len(document.text)
        assert not document.text[position : section.start].strip()
        position = section.end
    assert not document.text[position:].strip()
    assert document.text.strip()
    document.text.encode()


@pytest.mark.parametrize("suffix", MEDIA_TYPES)
@patient
@given(begins=st.sampled_from(BEGINNINGS), rest=st.binary(max_size=300) | st.text(max_size=200).map(str.encode))
def test_random_bytes_are_read_or_refused(suffix: str, begins: bytes, rest: bytes) -> None:
    check(parsed(f"a{suffix}", begins + rest))


@pytest.mark.parametrize("suffix", WHOLE)
@patient
@given(data=st.data())
def test_a_damaged_file_is_read_or_refused(suffix: str, data: st.DataObject) -> None:
    damaged = bytearray(WHOLE[suffix])
    for _ in range(data.draw(st.integers(1, 6))):
        at = data.draw(st.integers(0, len(damaged) - 1))
        damaged[at : at + data.draw(st.integers(0, 4))] = data.draw(st.binary(max_size=4))
    check(parsed(f"a{suffix}", bytes(damaged[: data.draw(st.integers(1, len(damaged) + 1))])))


@pytest.mark.parametrize("suffix", WHOLE)
def test_the_whole_files_are_read(suffix: str) -> None:
    document = parsed(f"a{suffix}", WHOLE[suffix])
    assert document is not None
    check(document)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.md", b"# " + b" #" * 100_000),
        ("a.md", b"# " + b" " * 200_000 + b"x"),
        ("a.md", b"=" * 200_000 + b"x"),
        ("a.md", b"a\n" + b"- " * 100_000),
        ("a.txt", b"\n \t" * 70_000 + b"x"),
        ("a.html", b"<" * 200_000),
        ("a.html", b"<a " + b"b=c " * 50_000 + b">x"),
        ("a.html", b"<!--" * 50_000),
        ("a.html", b"&amp;" * 100_000),
        ("a.csv", b'"' * 200_000),
        ("a.csv", b"," * 200_000 + b"x"),
        ("a.jsonl", b'{"a":' * 100_000),
        ("a.jsonl", b"\\" * 200_000),
        ("a.pdf", b"%PDF-1.7\n" + b"1 0 obj\n<<" * 20_000),
        ("a.pdf", b"%PDF-1.7\n" + b"[" * 200_000),
    ],
)
def test_lines_of_half_a_megabyte_cost_no_more_than_their_length(name: str, content: bytes) -> None:
    check(parsed(name, content))


def test_a_heading_of_half_a_megabyte_is_short_in_the_path() -> None:
    document = parsed("a.md", b"# " + b"word " * 100_000 + b"\n\ntext")
    assert document is not None
    assert len(document.sections[0].heading or "") <= 200
