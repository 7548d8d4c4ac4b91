"""Text to chunks of bounded size, cut where the text itself has seams; pure.

Sections are never crossed. Inside one, the largest seams that give pieces small enough are taken: blank
lines, lines, sentences, words, and only where a word is longer than a chunk, its middle.
"""

import hashlib
import re
from bisect import bisect_left
from collections.abc import Callable, Iterator
from itertools import pairwise

from cluster.errors import BadRequest
from cluster.settings.pipelines import DocumentSettings
from cluster.types import Chunk
from pipelines.documents.parsed import ParsedDocument, Section

VERSION = 1  # part of each chunk's id: raise it when the same input gives other chunks
SEAMS = (
    re.compile(r"\n\s*\n"),
    re.compile(r"\n"),
    re.compile(r"(?<=[.!?])\s+|(?<=[。！？])\s*"),
    re.compile(r"\s+"),
)
MAX_CHARACTERS_PER_TOKEN = 12  # some tokenizers make one token of any long word; prose has 4 to 5
SPECIAL_TOKENS = 2  # what an embedder adds around a text
Spans = list[tuple[int, int]]


def fingerprint(settings: DocumentSettings, model: str) -> str:
    """What the cut depends on besides the document: version, embedder, sizes."""
    told = f"{VERSION}|{model}|{settings.chunk_tokens}|{settings.chunk_overlap}"
    return hashlib.sha256(told.encode()).hexdigest()[:16]


def cut(
    document: ParsedDocument,
    *,
    document_id: str,
    source: str,
    tokenize: Callable[[str], Spans],
    settings: DocumentSettings,
    model: str,
    context_length: int,
) -> tuple[Chunk, ...]:
    """The chunks of a document, in order; `text[start:end]` of the document is each chunk's text.

    tokenize: the embedder's own, giving the character spans of tokens. context_length: tokens that the
    embedder reads; no chunk is longer. Raises BadRequest where that leaves no room.
    """
    size = min(settings.chunk_tokens, context_length - SPECIAL_TOKENS)
    overlap = min(settings.chunk_overlap, size - 1)
    if size < 1:
        raise BadRequest(f"The embedder {model!r} reads {context_length} tokens: too few for a chunk")
    mark = fingerprint(settings, model)
    chunks: list[Chunk] = []
    for section in document.sections:
        cutter = _Cutter(document.text, section, tokenize, size, overlap)
        for start, end, tokens in cutter.chunks():
            ordinal = len(chunks)
            chunk_id = hashlib.sha256(f"{document_id}|{mark}|{ordinal}".encode()).hexdigest()
            chunks.append(
                Chunk(
                    id=chunk_id,
                    document_id=document_id,
                    source=source,
                    ordinal=ordinal,
                    start=start,
                    end=end,
                    text=document.text[start:end],
                    tokens=tokens,
                    page=section.page,
                    heading=section.heading,
                )
            )
    return tuple(chunks)


class _Cutter:
    """Cuts one section. Positions are characters of the whole document's text."""

    def __init__(
        self, text: str, section: Section, tokenize: Callable[[str], Spans], size: int, overlap: int
    ) -> None:
        self._text = text
        self._section = section
        self._tokenize = tokenize
        self._size = size
        self._overlap = overlap
        spans = tokenize(text[section.start : section.end])
        self._starts = [section.start + start for start, _ in spans]

    def chunks(self) -> Iterator[tuple[int, int, int]]:
        """(start, end, tokens) of each chunk."""
        for start, end in self._merged(list(self._pieces(self._section.start, self._section.end, 0))):
            yield from self._measured(*self._stripped(start, end))

    def _count(self, start: int, end: int) -> int:
        return bisect_left(self._starts, end) - bisect_left(self._starts, start)

    def _fits(self, start: int, end: int) -> bool:
        return end - start <= self._size * MAX_CHARACTERS_PER_TOKEN and self._count(start, end) <= self._size

    def _pieces(self, start: int, end: int, seam: int) -> Iterator[tuple[int, int]]:
        """Spans without a gap that each fit, cut at the largest seams that make them fit."""
        if self._fits(start, end):
            yield start, end
        elif seam == len(SEAMS):
            middle = self._middle(start, end)
            yield from self._pieces(start, middle, seam)
            yield from self._pieces(middle, end, seam)
        else:
            found = (match.end() for match in SEAMS[seam].finditer(self._text, start, end))
            edges = [start, *(edge for edge in found if start < edge < end), end]
            for left, right in pairwise(edges):
                yield from self._pieces(left, right, seam + 1)

    def _middle(self, start: int, end: int) -> int:
        """Near the middle, between two tokens where there are two."""
        first, last = bisect_left(self._starts, start + 1), bisect_left(self._starts, end)
        if last > first:
            return self._starts[(first + last) // 2]
        return (start + end) // 2

    def _merged(self, pieces: Spans) -> Iterator[tuple[int, int]]:
        """Neighbours joined while they fit; each span begins inside the one before, by the overlap."""
        start, end = pieces[0]
        for left, right in pieces[1:]:
            if self._fits(start, right):
                end = right
                continue
            yield start, end
            again = self._overlapping(start, end)
            start, end = (again if self._fits(again, right) else left), right
        yield start, end

    def _overlapping(self, start: int, end: int) -> int:
        """Where the next chunk begins: the first start of a sentence, or else of a word, within the overlap."""
        last = bisect_left(self._starts, end)
        first = bisect_left(self._starts, start + 1)
        window = max(first, last - self._overlap)
        if window >= last:
            return end
        lowest = self._starts[window]
        for seam in (SEAMS[0], SEAMS[2], SEAMS[3]):
            if lowest > start and seam is SEAMS[3] and self._text[lowest - 1].isspace():
                return lowest
            for match in seam.finditer(self._text, lowest, end):
                if match.end() < end:
                    return match.end()
        return end

    def _stripped(self, start: int, end: int) -> tuple[int, int]:
        while start < end and self._text[start].isspace():
            start += 1
        while end > start and self._text[end - 1].isspace():
            end -= 1
        return start, end

    def _measured(self, start: int, end: int) -> Iterator[tuple[int, int, int]]:
        """The span with its true token count: a piece of a word may hold more tokens than the whole told."""
        if start == end:
            return
        tokens = len(self._tokenize(self._text[start:end]))
        if tokens == 0:  # control characters that the embedder does not see: nothing to find there
            return
        if tokens <= self._size or end - start == 1:
            yield start, end, tokens
            return
        middle = self._seam_near((start + end) // 2, start)
        yield from self._measured(*self._stripped(start, middle))
        yield from self._measured(*self._stripped(middle, end))

    def _seam_near(self, middle: int, start: int) -> int:
        """A word's start before the middle, or the middle itself."""
        for position in range(middle, start, -1):
            if self._text[position - 1].isspace():
                return position
        return middle
