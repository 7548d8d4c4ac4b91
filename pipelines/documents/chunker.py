"""Text to chunks of bounded size, cut where the text itself has seams; pure.

Sections are never crossed. Inside one, the largest seams that give pieces small enough are taken: blank
lines, lines, sentences, words, and only where a word is longer than a chunk, somewhere inside it.
"""

import hashlib
import re
from array import array
from bisect import bisect_left
from collections.abc import Callable, Iterator
from itertools import pairwise

from cluster.documents import Chunk
from cluster.errors import BadRequest
from cluster.settings.pipelines import DocumentSettings
from pipelines.documents.parsed import PARSER_VERSION, ParsedDocument, Section

VERSION = 2  # part of each chunk's id: raise it when the same input gives other chunks
SEAMS = (
    re.compile(r"\n\s*\n"),
    re.compile(r"\n"),
    re.compile(r"(?<=[.!?])\s+|(?<=[。！？])\s*"),
    re.compile(r"\s+"),
)
MAX_CHARACTERS_PER_TOKEN = 12  # some tokenizers make one token of any long word; prose has 4 to 5
BLOCK_CHARACTERS = 16 * 1024  # tokenised at once: a tokenizer needs hundreds of bytes for each character
MARGIN = 0.9  # of a chunk, for a piece of a word: its ends may take other tokens than they had inside the whole
SPECIAL_TOKENS = 2  # what an embedder adds around a text
Spans = list[tuple[int, int]]


def fingerprint(settings: DocumentSettings, model: str) -> str:
    """What the cut depends on besides the document: versions of parsers and chunker, embedder, sizes."""
    told = f"{PARSER_VERSION}.{VERSION}|{model}|{settings.chunk_tokens}|{settings.chunk_overlap}"
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


def _blocks(text: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    """Spans without a gap that begin before a white space where they can."""
    while start < end:
        stop = min(start + BLOCK_CHARACTERS, end)
        if stop < end:
            space = max(text.rfind(" ", start + 1, stop), text.rfind("\n", start + 1, stop))
            stop = space if space > 0 else stop
        yield start, stop
        start = stop


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
        # Where tokens begin: exact for a section of one block, and near enough to cut by for others.
        self._starts = array("q")
        self._blocks = 0
        for start, end in _blocks(text, section.start, section.end):
            self._starts.extend(start + token for token, _ in tokenize(text[start:end]))
            self._blocks += 1

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
            yield from self._steps(start, end)
        else:
            found = (match.end() for match in SEAMS[seam].finditer(self._text, start, end))
            edges = [start, *(edge for edge in found if start < edge < end), end]
            for left, right in pairwise(edges):
                yield from self._pieces(left, right, seam + 1)

    def _steps(self, start: int, end: int) -> Iterator[tuple[int, int]]:
        """What has no seam, cut between two tokens where there are two, as far on as fits."""
        most = self._size * MAX_CHARACTERS_PER_TOKEN
        tokens = max(1, int(self._size * MARGIN))
        while start < end:
            next_token = bisect_left(self._starts, start) + tokens
            after = self._starts[next_token] if next_token < len(self._starts) else end
            stop = min(end, start + most, max(after, start + 1))
            yield start, stop
            start = stop

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
        whole = self._blocks == 1 and (start, end) == (self._section.start, self._section.end)
        tokens = len(self._starts) if whole else len(self._tokenize(self._text[start:end]))
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
