import re
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cluster.documents import Chunk
from cluster.errors import BadRequest
from cluster.settings.pipelines import DocumentSettings
from pipelines.documents.chunker import MAX_CHARACTERS_PER_TOKEN, cut, fingerprint
from pipelines.documents.parsed import ParsedDocument, Section

Tokenize = Callable[[str], list[tuple[int, int]]]


def words(text: str) -> list[tuple[int, int]]:
    """Words and punctuation marks, as the fake embedder has them."""
    return [match.span() for match in re.finditer(r"\w+|[^\w\s]", text)]


def letters(text: str) -> list[tuple[int, int]]:
    """A token a character."""
    return [(at, at + 1) for at, character in enumerate(text) if not character.isspace()]


def pieces(text: str) -> list[tuple[int, int]]:
    """As WordPiece: long words are one unknown token, others fall into pieces that depend on where they begin."""
    found = []
    for match in re.finditer(r"\S+", text):
        start, end = match.span()
        if end - start > 20:
            found.append((start, end))
        else:
            found.extend((at, min(at + 3, end)) for at in range(start, end, 3))
    return found


def parsed(text: str, *sections: Section) -> ParsedDocument:
    whole = (Section(start=0, end=len(text)),)
    return ParsedDocument(text=text, media_type="text/plain", sections=sections or whole)


def chunks(
    text: str, *sections: Section, tokenize: Tokenize = words, size: int = 16, overlap: int = 0, context: int = 512
) -> tuple[Chunk, ...]:
    return cut(
        parsed(text, *sections),
        document_id="d",
        source="a.txt",
        tokenize=tokenize,
        settings=DocumentSettings(chunk_tokens=size, chunk_overlap=overlap),
        model="embed",
        context_length=context,
    )


@pytest.mark.parametrize("tokenize", [words, letters, pieces])
@settings(max_examples=40, deadline=None)
@given(
    text=st.text(alphabet="abcdefgh .,!?\n\t\u00e9\u4e2d\u3002\u200b", max_size=400),
    size=st.integers(16, 40),
    overlap=st.integers(0, 15),
)
def test_every_character_is_covered_by_exact_bounded_spans(
    tokenize: Tokenize, text: str, size: int, overlap: int
) -> None:
    found = chunks(text, tokenize=tokenize, size=size, overlap=overlap)
    covered = set()
    for chunk in found:
        assert text[chunk.start : chunk.end] == chunk.text
        assert chunk.text == chunk.text.strip()
        assert 0 < chunk.tokens <= size
        assert chunk.tokens == len(tokenize(chunk.text))
        assert len(chunk.text) <= size * MAX_CHARACTERS_PER_TOKEN
        covered.update(range(chunk.start, chunk.end))
    assert all(at in covered for at, character in enumerate(text) if not character.isspace())
    assert [chunk.ordinal for chunk in found] == list(range(len(found)))
    assert len({chunk.id for chunk in found}) == len(found)
    assert found == chunks(text, tokenize=tokenize, size=size, overlap=overlap)


def test_paragraphs_stay_whole_where_they_fit() -> None:
    text = "one two three four five six seven eight.\n\nnine ten eleven twelve thirteen fourteen fifteen."
    assert [chunk.text for chunk in chunks(text)] == text.split("\n\n")


def test_small_paragraphs_share_a_chunk() -> None:
    assert len(chunks("one two.\n\nthree four.\n\nfive six.")) == 1


def test_sentences_are_the_next_seam() -> None:
    first = "a b c d e f g h i j."
    assert [chunk.text for chunk in chunks(f"{first} {first}")] == [first, first]


def test_the_overlap_begins_with_a_sentence_where_it_can() -> None:
    text = "a b c d e f g h i. j k l. m n o p q r s t u v."
    first, second = chunks(text, overlap=5)
    assert first.text == "a b c d e f g h i. j k l."
    assert second.text == "j k l. m n o p q r s t u v."


def test_the_overlap_falls_back_to_words() -> None:
    text = " ".join(f"w{number}" for number in range(40))
    found = chunks(text, overlap=4)
    assert found[1].text.split()[:4] == found[0].text.split()[-4:]


def test_sections_are_never_crossed_and_leave_their_page_and_heading() -> None:
    text = "one two\n\nthree four"
    found = chunks(text, Section(start=0, end=7, page=1), Section(start=9, end=19, page=2, heading="B"))
    assert [(chunk.text, chunk.page, chunk.heading) for chunk in found] == [
        ("one two", 1, None),
        ("three four", 2, "B"),
    ]


def test_a_chunk_is_never_longer_than_the_embedder_reads() -> None:
    found = chunks("word " * 100, size=64, context=20)
    assert max(chunk.tokens for chunk in found) == 18


def test_an_embedder_without_room_is_refused() -> None:
    with pytest.raises(BadRequest, match="reads 2 tokens"):
        chunks("word", context=2)


def test_ids_change_with_the_settings_and_the_embedder() -> None:
    settings = DocumentSettings(chunk_tokens=16, chunk_overlap=0)
    wider = DocumentSettings(chunk_tokens=32, chunk_overlap=0)
    assert len({fingerprint(settings, "a"), fingerprint(settings, "b"), fingerprint(wider, "a")}) == 3
    assert chunks("text", size=16)[0].id != chunks("text", size=32)[0].id


def test_a_hundred_kilobytes_in_one_line_are_cut_in_linear_time() -> None:
    assert len(chunks("word " * 20_000, size=128)) == pytest.approx(20_000 / 128, rel=0.02)
