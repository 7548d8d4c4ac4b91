"""Text to the terms that BM25 counts: bm25s' words, English stems, and what engineers look for besides.

A run of two or more word characters is a word, as bm25s cuts them; its 33 English stop words leave, and the
Snowball stemmer takes endings off. bm25s alone would not find some things that are looked for by the letter, so
beside its words stand: numbers with points (`1.5`, `v0.29.0`); the parts of names in snake_case;
and characters and pairs of them where a script writes no spaces between words. What Unicode writes in several ways
(ligatures of a PDF, full width, accents, soft hyphens) counts as one.
"""

import re
import unicodedata
from collections.abc import Iterator
from itertools import pairwise

# fmt: off
STOP_WORDS = frozenset((  # bm25s' STOPWORDS_EN, which is Lucene's
    "a", "an", "and", "are", "as", "at", "be", "but", "by", "for", "if", "in", "into", "is", "it", "no", "not",
    "of", "on", "or", "such", "that", "the", "their", "then", "there", "these", "they", "this", "to", "was",
    "will", "with",
))
# fmt: on
MAX_TERM = 64  # characters: longer runs are data, not words, and are found by their beginning
SPACELESS = (  # Thai, Lao, Khmer's neighbours excepted; kana without their punctuation; Han
    "\u0e01-\u0e3a\u0e40-\u0e4e\u0e81-\u0ece\u3041-\u3096\u309d-\u309f\u30a1-\u30fa\u30fc-\u30ff"
    "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
)
UNSPACED = re.compile(f"([{SPACELESS}]+)")
UNSEEN = re.compile("[\u0300-\u036f\u00ad\u200b-\u200d\u2060\ufeff]")  # accents, soft hyphens, joiners


def _vowel_signs() -> str:
    """Marks that words are spelled with, as in Devanagari or Thai, and that `\\w` leaves out."""
    reach = range(0x370, 0x3100)  # beyond stand scripts of which whole syllables are one character
    return "".join(chr(at) for at in reach if unicodedata.category(chr(at)) in {"Mn", "Mc"})


POINTED = r"\b[a-z]?\d+(?:\.\d+)+\b"
ASCII_WORDS = re.compile(rf"{POINTED}|\w\w+")
WORDS = re.compile(rf"{POINTED}|[\w{_vowel_signs()}]{{2,}}|[{SPACELESS}]")


class Analyser:
    """Cuts texts into words, and words into terms. Not thread-safe: the stemmer is one of C."""

    def __init__(self) -> None:
        import Stemmer

        self._stem = Stemmer.Stemmer("english", 0).stemWord  # no cache of its own: its callers keep one

    def words(self, text: str) -> list[str]:
        """The text's words in order, folded; each is for `terms`, whose answer depends on nothing else."""
        if text.isascii():
            return ASCII_WORDS.findall(text.lower())
        folded = UNSEEN.sub("", unicodedata.normalize("NFKD", text)).casefold()
        return WORDS.findall(unicodedata.normalize("NFKC", folded))

    def terms(self, word: str) -> tuple[str, ...]:
        """What a word counts as: mostly one term, none for a stop word."""
        if word in STOP_WORDS:
            return ()
        if word.isascii() and word.isalnum():
            return (self._stem(word[:MAX_TERM]),)
        return tuple(self._stem(part[:MAX_TERM]) for part in _parts(word) if part not in STOP_WORDS)

    def all_terms(self, text: str) -> list[str]:
        """The terms of a whole text, in order."""
        return [term for word in self.words(text) for term in self.terms(word)]


def _parts(word: str) -> Iterator[str]:
    """The whole, where one would look for it, and its parts."""
    if "." in word:
        yield word.removeprefix("v")
        yield from (part for part in word.split(".") if len(part) > 1)
        return
    for place, run in enumerate(UNSPACED.split(word)):
        if place % 2:  # between the splits: characters without spaces
            yield from run
            yield from (one + other for one, other in pairwise(run))
        elif "_" in run:
            parts = [part for part in run.split("_") if part]
            if parts:
                yield run
            if len(parts) > 1 or (parts and parts[0] != run):
                yield from (part for part in parts if len(part) > 1)
        elif len(run) > 1:
            yield run
