"""A document's text from its chunks is the text that they were cut from, at every position."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cluster.documents import Chunk, Document
from cluster.settings.pipelines import DocumentSettings
from pipelines.documents.chunker import cut
from pipelines.documents.media import CSV, HTML, JSONL, MARKDOWN, TEXT
from pipelines.documents.parsed import Limits, ParsedDocument, Section
from pipelines.documents.parsers import parse
from pipelines.documents.recut_text import text_of
from tests.unit.documents.test_chunker import Tokenize, letters, pieces, words

ROOM = Limits(max_pages=9, max_rows=99, max_characters=9999, max_unpacked_bytes=9999)
KINDS = st.sampled_from([TEXT, MARKDOWN, HTML, CSV, JSONL])
TEXTS = st.text(alphabet="abcd efgh.,!?\n\t# é中。\u200b", max_size=300)
SIZES = st.tuples(st.integers(16, 40), st.integers(0, 15))


def chunks(parsed: ParsedDocument, tokenize: Tokenize, sizes: tuple[int, int]) -> tuple[Chunk, ...]:
    return cut(
        parsed,
        document_id="d",
        source="a",
        tokenize=tokenize,
        settings=DocumentSettings(chunk_tokens=sizes[0], chunk_overlap=sizes[1]),
        model="m",
        context_length=512,
    )


def rebuilt(parsed: ParsedDocument, found: tuple[Chunk, ...]) -> ParsedDocument:
    stored = Document(
        id="d", source="a", media_type=parsed.media_type, chunks=len(found), pages=parsed.pages, characters=1
    )
    return text_of(stored, found)


def written(kind: str, text: str) -> bytes:
    """The text as a file of that kind."""
    if kind == HTML:
        text = f"<h1>One</h1><p>{text.replace('.', '.</p><h2>Two</h2><p>')}</p>"
    elif kind == CSV:
        text = "name,said\n" + "\n".join(f'x,"{line.replace(chr(34), "")}"' for line in text.split("."))
    elif kind == JSONL:
        text = "\n".join(json.dumps({"said": line}) for line in text.split("."))
    return text.encode()


@pytest.mark.parametrize("tokenize", [words, letters, pieces])
@settings(max_examples=25, deadline=None)
@given(kind=KINDS, text=TEXTS, first=SIZES, then=SIZES)
def test_chunks_of_other_sizes_say_what_stood_at_their_places(
    tokenize: Tokenize, kind: str, text: str, first: tuple[int, int], then: tuple[int, int]
) -> None:
    parsed = parse("a", kind, written(kind, f"x {text} y"), ROOM)
    stored = chunks(parsed, tokenize, first)
    again = rebuilt(parsed, stored)
    seen = {at for chunk in stored for at in range(chunk.start, chunk.end)}
    for at, character in enumerate(again.text):
        if at in seen:
            assert character == parsed.text[at]
        else:
            assert character.isspace()
            assert parsed.text[at].isspace()
    for chunk in chunks(again, tokenize, then):
        original = parsed.text[chunk.start : chunk.end]
        assert chunk.text.split() == original.split()
        headed = [one for one in parsed.sections if one.start <= chunk.start < one.end]
        assert (chunk.page, chunk.heading) == (headed[0].page, headed[0].heading)


@pytest.mark.parametrize("tokenize", [words, letters, pieces])
@settings(max_examples=25, deadline=None)
@given(
    sections=st.lists(
        st.lists(st.text("abcdé.", min_size=1, max_size=9), min_size=1, max_size=40), min_size=1, max_size=4
    ),
    between=st.lists(st.sampled_from([" ", " ", " ", "\n\n", "\n\n\n"]), min_size=7, max_size=7),
    first=SIZES,
    then=SIZES,
)
def test_where_no_gap_could_be_another_white_space_everything_is_as_it_was(
    tokenize: Tokenize, sections: list[list[str]], between: list[str], first: Any, then: Any
) -> None:
    text, spans = "", []
    for number, said in enumerate(sections):
        body = said[0] + "".join(between[at % 7] + word for at, word in enumerate(said[1:]))
        text += "\n\n" if text else ""
        spans.append(Section(start=len(text), end=len(text) + len(body), page=number + 1, heading="H"))
        text += body
    parsed = ParsedDocument(text=text, media_type=TEXT, sections=tuple(spans), pages=len(spans))
    stored = chunks(parsed, tokenize, first)
    assert rebuilt(parsed, stored) == parsed
    assert chunks(rebuilt(parsed, stored), tokenize, first) == stored
    assert chunks(rebuilt(parsed, stored), tokenize, then) == chunks(parsed, tokenize, then)


def test_what_the_embedder_did_not_see_becomes_white_space() -> None:
    parsed = parse("a", TEXT, "one\n\n\u200b\n\ntwo".encode(), ROOM)
    found = tuple(
        Chunk(id=text, document_id="d", source="a", ordinal=at, start=start, end=start + 3, text=text, tokens=1)
        for at, (start, text) in enumerate([(0, "one"), (8, "two")])
    )
    assert rebuilt(parsed, found).text == "one\n\n\n\n\ntwo"


def test_nothing_is_made_of_nothing() -> None:
    again = rebuilt(ParsedDocument(text="", media_type=TEXT, sections=()), ())
    assert (again.text, again.sections) == ("", ())
