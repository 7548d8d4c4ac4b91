"""An index of words, searched by BM25, that takes and loses documents at any time; in memory.

Scores are bm25s' own (its `lucene` method: idf ln(1 + (N - n + 0.5) / (n + 0.5)), term part tf / (tf + k1 (1 - b
+ b length / mean length))); bm25s computes them all when it is built, here they are computed for the terms of a
query, so that every change counts in full at once.
"""

import math
from array import array
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from itertools import chain
from typing import TYPE_CHECKING, NamedTuple

from cluster.retrieval.analyser import Analyser
from cluster.retrieval.places import places_of

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

K1 = 1.5
B = 0.75
LOST = math.inf  # the length of a removed chunk: nothing in it weighs anything then
MOST_WORDS = 1 << 18  # words remembered with their terms: some 50 MB
ASKED = 16  # filters whose places are remembered until something changes
MOST_WEIGHED = 4_000_000  # postings whose weights are remembered until something changes: 48 MB an index
LEAST_LOST = 1024  # removed chunks that are not worth tidying up for


class LexicalHit(NamedTuple):
    """A chunk that holds a word of the query. score: BM25, above 0, comparable within one query."""

    chunk_id: str
    document_id: str
    score: float


class LexicalIndex:
    """Chunks by their words. Not thread-safe: one owner calls it from one thread."""

    def __init__(self, *, k1: float = K1, b: float = B) -> None:
        self._k1 = k1
        self._b = b
        self._analyser = Analyser()
        self._terms: dict[str, int] = {}
        self._postings: list[array[int]] = []  # of each term: place, count, place, count, ...
        self._words = _Words(self._terms_of)
        self._spans: dict[str, range] = {}  # places of each document's chunks
        self._chunks: list[str] = []
        self._owners: list[str] = []
        self._lengths = array("f")
        self._lost = 0
        self._total = 0  # terms in all chunks
        self._norms: NDArray[np.float32] | None = None  # of each place; None after a change
        self._asked: dict[frozenset[str], NDArray[np.intp]] = {}  # places of the last filters' documents
        self._weighed: dict[int, tuple[NDArray[np.intp], NDArray[np.float32]]] = {}  # of terms that were asked for
        self._weights = 0  # how many those are

    def __len__(self) -> int:
        """How many chunks there are."""
        return len(self._chunks) - self._lost

    def __contains__(self, document_id: object) -> bool:
        return document_id in self._spans

    def documents(self) -> Collection[str]:
        """The ids of the documents that are in here."""
        return self._spans.keys()

    def add(self, document_id: str, chunks: Sequence[tuple[str, str]]) -> None:
        """Take a document's chunks, (id, text) each, all of them at once; what it had before leaves."""
        self.remove(document_id)
        first = len(self._chunks)
        words, look_up = self._analyser.words, self._words.__getitem__
        for place, (chunk_id, text) in enumerate(chunks, start=first):
            counts = Counter(chain.from_iterable(map(look_up, words(text))))
            for term, count in counts.items():
                self._postings[term].extend((place, count))
            length = counts.total()
            self._lengths.append(length)
            self._total += length
            self._chunks.append(chunk_id)
            self._owners.append(document_id)
        self._spans[document_id] = range(first, len(self._chunks))
        self._changed()

    def remove(self, document_id: str) -> bool:
        """Forget a document. False where there was none of that id."""
        span = self._spans.pop(document_id, None)
        if span is None:
            return False
        for place in span:
            self._total -= int(self._lengths[place])
            self._lengths[place] = LOST
        self._lost += len(span)
        self._changed()
        if self._lost > LEAST_LOST and self._lost > len(self):
            self._tidy()
        return True

    def search(self, text: str, *, limit: int, among: frozenset[str] | None = None) -> list[LexicalHit]:
        """The best chunks, best first; of equals, the one added first. among: of these documents only."""
        scores = self._scores(text)
        if scores is None or limit < 1:
            return []
        places = self._best(scores, limit) if among is None else self._best_among(scores, limit, among)
        return [
            LexicalHit(chunk_id=self._chunks[at], document_id=self._owners[at], score=float(scores[at]))
            for at in places
        ]

    def _terms_of(self, word: str) -> tuple[int, ...]:
        """The numbers of a word's terms, new ones where it is new."""
        numbers = []
        for term in self._analyser.terms(word):
            number = self._terms.setdefault(term, len(self._postings))
            if number == len(self._postings):
                self._postings.append(array("I"))
            numbers.append(number)
        return tuple(numbers)

    def _scores(self, text: str) -> "NDArray[np.float32] | None":
        """The score of each place; None where no term of the text is known."""
        import numpy as np

        asked = Counter(self._terms[term] for term in self._analyser.all_terms(text) if term in self._terms)
        if not asked or not len(self):
            return None
        scores = np.zeros(len(self._lengths), dtype=np.float32)
        for term, times in asked.items():
            places, weights = self._weighed.get(term) or self._weigh(term)
            np.add.at(scores, places, weights if times == 1 else weights * np.float32(times))
        return scores

    def _weigh(self, term: int) -> "tuple[NDArray[np.intp], NDArray[np.float32]]":
        """The places that hold a term, and what it adds to the score of each."""
        import numpy as np

        posted = np.frombuffer(self._postings[term], dtype=np.uint32).reshape(-1, 2)
        places, counts = posted[:, 0].astype(np.intp), posted[:, 1].astype(np.float32)
        norm = self._normed().take(places, mode="clip")  # places are right: nothing is to be checked
        holders = len(places) if not self._lost else int(np.count_nonzero(np.isfinite(norm)))
        idf = math.log(1 + (len(self) - holders + 0.5) / (holders + 0.5))
        norm += counts
        counts /= norm
        counts *= np.float32(idf)  # in place: of 300,000 postings, a fifth of the time
        if self._weights + len(places) > MOST_WEIGHED:
            self._forget_weights()
        if len(places) <= MOST_WEIGHED:
            self._weights += len(places)
            self._weighed[term] = (places, counts)
        return places, counts

    def _forget_weights(self) -> None:
        self._weighed.clear()
        self._weights = 0

    def _normed(self) -> "NDArray[np.float32]":
        """What each place's counts are measured against: k1 (1 - b + b length / mean length)."""
        import numpy as np

        if self._norms is None:
            mean = max(self._total, 1) / len(self)
            lengths = np.frombuffer(self._lengths, dtype=np.float32)
            self._norms = np.float32(self._k1) * (np.float32(1 - self._b) + np.float32(self._b / mean) * lengths)
        return self._norms

    def _best(self, scores: "NDArray[np.float32]", limit: int) -> list[int]:
        """The places of the highest scores above 0, best first, of equals the first."""
        import numpy as np

        if limit < len(scores):
            least = np.partition(scores, len(scores) - limit)[len(scores) - limit]
            found = np.flatnonzero(scores >= least) if least > 0 else np.flatnonzero(scores)
        else:
            found = np.flatnonzero(scores)
        order = np.argsort(-scores[found], kind="stable")[:limit]
        return [int(at) for at in found[order]]

    def _best_among(self, scores: "NDArray[np.float32]", limit: int, among: frozenset[str]) -> list[int]:
        """The same of some documents."""
        if among not in self._asked:
            if len(self._asked) >= ASKED:
                self._asked.clear()
            spans = [span for document_id, span in self._spans.items() if document_id in among]
            self._asked[among] = places_of(spans)
        places = self._asked[among]
        return [int(places[at]) for at in self._best(scores[places], limit)]

    def _changed(self) -> None:
        self._norms = None
        self._asked.clear()
        self._forget_weights()

    def _tidy(self) -> None:
        """Leave out what was removed: places are numbered anew, in the same order."""
        import numpy as np

        kept = np.isfinite(np.frombuffer(self._lengths, dtype=np.float32))
        moved = np.cumsum(kept, dtype=np.uint32) - 1
        terms: dict[str, int] = {}
        postings: list[array[int]] = []
        for term, number in self._terms.items():
            posted = np.frombuffer(self._postings[number], dtype=np.uint32).reshape(-1, 2)
            left = posted[kept[posted[:, 0]]]
            if len(left):
                left[:, 0] = moved[left[:, 0]]
                terms[term] = len(postings)
                postings.append(array("I", left.tobytes()))
        places = np.flatnonzero(kept)
        self._terms, self._postings = terms, postings
        self._words.clear()
        self._chunks = [self._chunks[at] for at in places]
        self._owners = [self._owners[at] for at in places]
        self._lengths = array("f", [self._lengths[at] for at in places])
        self._spans = {name: _moved(span, moved) for name, span in self._spans.items()}
        self._lost = 0
        self._changed()


class _Words(dict[str, tuple[int, ...]]):
    """Words with the numbers of their terms; forgets all where there are too many."""

    def __init__(self, terms_of: Callable[[str], tuple[int, ...]]) -> None:
        super().__init__()
        self._terms_of = terms_of

    def __missing__(self, word: str) -> tuple[int, ...]:
        if len(self) >= MOST_WORDS:
            self.clear()
        found = self[word] = self._terms_of(word)
        return found


def _moved(span: range, moved: "NDArray[np.uint32]") -> range:
    if not span:
        return range(0)
    first = int(moved[span.start])
    return range(first, first + len(span))
