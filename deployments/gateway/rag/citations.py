"""What an answer has from which passage, word for word; pure.

A quote is cut out of the passage's own text, so it is verbatim whatever the model wrote: it is there because the
answer says the same words in the same order, white space and the size of letters aside. What the answer says in
other words is nobody's quote, and what it puts between quotation marks without a passage having it is told apart.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from cluster.documents import Passage
from cluster.retrieval.analyser import STOP_WORDS

LEAST_WORDS = 4  # of a quote inside a sentence: shorter runs of words are in any text about the same things
LONGEST = 200_000  # characters of an answer that are looked at; none that is read is so long

MARKER = re.compile(r"\[(\d{1,3}(?:\s*,\s*\d{1,3})*)\]")
MARKERS = rf"(?:\s*{MARKER.pattern})*"
# Each run of marks is looked at once, from its first one: what a model repeats without end costs its length.
SENTENCE = re.compile(rf"\S.*?(?:(?<![.!?…])[.!?…]++[\"'”’)]*+(?=\s|\[|$){MARKERS}|$)", re.MULTILINE)
TOKEN = re.compile(r"\w+|[^\w\s]")
QUOTED = re.compile(r"\"([^\"\n]++)\"|“([^“”\n]++)”|«([^«»\n]++)»")


@dataclass(frozen=True, slots=True, kw_only=True)
class Quote:
    """Words of a passage. start, end: in the document's text. answer_start, answer_end: in the answer."""

    text: str
    start: int
    end: int
    answer_start: int
    answer_end: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Citation:
    """A passage that an answer was made from. index: from 1, as the model was shown it.

    marks: where the answer names it by its number.
    """

    index: int
    passage: Passage
    quotes: tuple[Quote, ...] = ()
    marks: tuple[int, ...] = ()

    @property
    def cited(self) -> bool:
        """Whether the answer names the passage, or has words of it."""
        return bool(self.quotes or self.marks)


@dataclass(frozen=True, slots=True, kw_only=True)
class Cited:
    """An answer's passages. unverified: what it puts between quotation marks, and no passage says."""

    citations: tuple[Citation, ...]
    unverified: tuple[str, ...] = ()


def cite(answer: str, passages: Sequence[Passage]) -> Cited:
    """Find what an answer has from the passages it was made from, numbered from 1."""
    sources = [_Source(index, passage) for index, passage in enumerate(passages, start=1)]
    unverified: list[str] = []
    for sentence in SENTENCE.finditer(answer[:LONGEST]):
        named = list(_named(sentence))
        for number, place in named:
            if 1 <= number <= len(sources):
                sources[number - 1].marks.append(place)
        numbers = {number for number, _ in named}
        order = sorted(sources, key=lambda source: source.index not in numbers)  # its own marks first
        said = _said(sentence)
        unverified += _quoted(sentence, said, order)
        _shared(said, order)
    citations = tuple(
        Citation(index=one.index, passage=one.passage, quotes=one.cut(), marks=tuple(one.marks)) for one in sources
    )
    return Cited(citations=citations, unverified=tuple(dict.fromkeys(unverified)))


class _Token(NamedTuple):  # there are thousands, and a frozen dataclass takes four times as long to make
    text: str
    start: int
    end: int
    word: bool


class _Source:
    """A passage, its tokens found by the first few."""

    def __init__(self, index: int, passage: Passage) -> None:
        self.index = index
        self.passage = passage
        self.marks: list[int] = []
        self._found: list[Quote] = []
        self._tokens = _tokens(passage.chunk.text)
        self._places: dict[str, list[int]] = {}
        for place, token in enumerate(self._tokens):
            self._places.setdefault(token.text, []).append(place)

    def longest(self, said: Sequence[_Token]) -> list[tuple[int, int]]:
        """From each token on, the longest run of tokens that the passage has: where, and how many.

        Each pair of equal tokens is looked at once, from the end: a run from one is one longer than from the next.
        """
        found = [(0, 0)] * len(said)
        after: dict[int, int] = {}
        for at in range(len(said) - 1, -1, -1):
            after = {place: after.get(place + 1, 0) + 1 for place in self._places.get(said[at].text, ())}
            if after:
                place = max(after, key=after.__getitem__)
                found[at] = (place, after[place])
        return found

    def take(self, place: int, said: Sequence[_Token]) -> None:
        """The answer says so many tokens from a place on."""
        chunk, tokens = self.passage.chunk, self._tokens[place : place + len(said)]
        first, last = tokens[0].start, tokens[-1].end
        self._found.append(
            Quote(
                text=chunk.text[first:last],
                start=chunk.start + first,
                end=chunk.start + last,
                answer_start=said[0].start,
                answer_end=said[-1].end,
            )
        )

    def cut(self) -> tuple[Quote, ...]:
        """The quotes, in the order of the answer, none twice."""
        found = {(quote.answer_start, quote.answer_end): quote for quote in self._found}
        return tuple(found[place] for place in sorted(found))


def _shared(said: Sequence[_Token], sources: Sequence[_Source]) -> None:
    """Give each long enough run of a sentence's tokens to the source that has the longest; all of a short one."""
    whole = _words(said) < LEAST_WORDS
    runs = [(source, source.longest(said)) for source in sources]
    place = 0
    while place < len(said):
        found = [(source, *longest[place]) for source, longest in runs] if said[place].word else []
        source, at, length = max(found, key=lambda one: one[2], default=(None, 0, 0))
        run = _trimmed(said[place : place + length])
        enough = _words(run) == _words(said) if whole else _words(run) >= LEAST_WORDS
        if source is None or not run or not enough or not _says_something(run):
            place += 1
            continue
        source.take(at, run)
        place += length


def _quoted(sentence: re.Match[str], said: Sequence[_Token], sources: Sequence[_Source]) -> Iterator[str]:
    """What stands between quotation marks: a quote of whoever has it, else yielded."""
    for match in QUOTED.finditer(sentence[0]):
        start, end = (sentence.start() + place for place in match.span(match.lastindex or 0))
        inside = _trimmed([token for token in said if start <= token.start and token.end <= end])
        if not inside:
            continue
        for source in sources:
            at, length = source.longest(inside)[0]
            if length == len(inside):
                source.take(at, inside)
                break
        else:
            yield match[match.lastindex or 0]


def _named(sentence: re.Match[str]) -> Iterator[tuple[int, int]]:
    """The numbers of passages that a sentence names, and where."""
    for match in MARKER.finditer(sentence[0]):
        for number in match[1].split(","):
            yield int(number), sentence.start() + match.start()


def _said(sentence: re.Match[str]) -> list[_Token]:
    """The sentence's tokens, without the numbers of passages and the mark at its end."""
    blank = MARKER.sub(lambda match: " " * len(match[0]), sentence[0])
    return _trimmed(_tokens(blank, sentence.start()))


def _tokens(text: str, offset: int = 0) -> list[_Token]:
    return [
        _Token(match[0].casefold(), offset + match.start(), offset + match.end(), match[0][0].isalnum())
        for match in TOKEN.finditer(text)
    ]


def _trimmed(tokens: Sequence[_Token]) -> list[_Token]:
    """Without what is no word at both ends."""
    words = [place for place, token in enumerate(tokens) if token.word]
    return list(tokens[words[0] : words[-1] + 1]) if words else []


def _words(tokens: Sequence[_Token]) -> int:
    return sum(token.word for token in tokens)


def _says_something(tokens: Sequence[_Token]) -> bool:
    """Whether any of the words is more than `no`, `of` or `the`."""
    return any(token.word and token.text not in STOP_WORDS for token in tokens)
