"""How much the repeats of one configuration on one prompt differ from each other.

Three likenesses of Shaib et al. 2025 (arXiv 2403.00553), each 0 to 1 and taken pair by pair, so that what is
expected does not change with the number of repeats that went well:

    self_bleu          BLEU-4 of one repeat against another (Zhu et al. 2018), as sacrebleu smooths it
    self_repetition    the share of one repeat's 4-grams of words that are in another (Salkar et al. 2022)
    1 - compression_distance   normalised compression distance, raw DEFLATE of the first 8,000 bytes

`diversity/1` is 100 times one minus their mean. The compression ratio of all repeats together is a feature.
"""

import random
import zlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from math import exp, log
from statistics import fmean

from pipelines.sweeps.scoring.measure import Measure, absent, scored, share

DIVERSITY = "diversity/1"
ORDER = 4  # words of the longest n-gram
MOST_PAIRS = 40  # of more than nine repeats' pairs, a draw that depends on their number only
MOST_WORDS = 4000  # of one repeat, for n-grams
MOST_BYTES = 8000  # of one repeat, compressed: two of them are within DEFLATE's window


@dataclass(frozen=True, slots=True, kw_only=True)
class Repeat:
    """One answer among its repeats. grams: counts of its n-grams, n from 1 to ORDER. size: words counted.

    doubled: of each n the n-grams that come more than once.
    """

    text: str
    size: int
    grams: tuple[Mapping[tuple[str, ...], int], ...]
    doubled: tuple[frozenset[tuple[str, ...]], ...]


def repeat_of(text: str, folded: Sequence[str]) -> Repeat:
    """An answer to compare, by its text and its words in small letters."""
    words = folded[:MOST_WORDS]
    grams = tuple(Counter(zip(*(words[n:] for n in range(order)), strict=False)) for order in range(1, ORDER + 1))
    doubled = tuple(frozenset(gram for gram, count in each.items() if count > 1) for each in grams)
    return Repeat(text=text, size=len(words), grams=grams, doubled=doubled)


def diversity(repeats: Sequence[Repeat]) -> Measure:
    """`diversity/1` of all answers that one configuration gave to one prompt."""
    if len(repeats) < 2:
        return absent("needs two repeats of its configuration that went well")
    if not any(repeat.size for repeat in repeats):
        return absent("no repeat has words")
    pairs = list(combinations(range(len(repeats)), 2))
    if len(pairs) > MOST_PAIRS:
        pairs = random.Random(len(repeats)).sample(pairs, MOST_PAIRS)  # noqa: S311 - a draw, not a secret
    packed = [_packed(repeat.text) for repeat in repeats]
    found = [_likeness(repeats[a], repeats[b]) for a, b in pairs]
    alike, repeated = fmean(each[0] for each in found), fmean(each[1] for each in found)
    apart = fmean(_distance(repeats[a].text, repeats[b].text, packed[a], packed[b]) for a, b in pairs)
    return scored(
        100 - 100 * fmean((alike, repeated, 1 - apart)),
        repeats=len(repeats),
        self_bleu=alike,
        self_repetition=repeated,
        compression_distance=apart,
        compression_ratio=_ratio([repeat.text for repeat in repeats]),
    )


def bleu(one: Repeat, other: Repeat) -> float:
    """BLEU-4 of one text against another, 0 to 1, smoothed as sacrebleu does (NIST's way, effective order)."""
    return _bleu(one.size, other.size, _matches(one, other))


def _bleu(size: int, other: int, matched: Sequence[int]) -> float:
    if not size or not other:
        return float(size == other)
    total, orders, smooth = 0.0, 0, 1.0
    for matches in matched:
        possible = size - orders
        if possible < 1:
            break
        orders += 1
        if not matches and orders == 1:
            return 0.0  # not one word in common: smoothing would make up a likeness
        if not matches:
            smooth *= 2
        total += log((matches or 1 / smooth) / possible)
    brevity = min(0.0, 1 - other / size)
    return exp(brevity + total / orders)


def repetition(one: Repeat, other: Repeat) -> float:
    """The share of one text's different 4-grams that the other has, 0 to 1; shorter n-grams in shorter texts."""
    if not one.size or not other.size:
        return float(one.size == other.size)
    order = min(ORDER, one.size, other.size) - 1
    mine, theirs = one.grams[order].keys(), other.grams[order].keys()
    return len(mine & theirs) / len(mine)


def _likeness(one: Repeat, other: Repeat) -> tuple[float, float]:
    """Both ways' mean BLEU and mean repetition."""
    matched = _matches(one, other)  # the same from either side
    both = (_bleu(one.size, other.size, matched) + _bleu(other.size, one.size, matched)) / 2
    return both, (repetition(one, other) + repetition(other, one)) / 2


def _matches(one: Repeat, other: Repeat) -> list[int]:
    """For each n the n-grams that both have, as often as both have them."""
    found = []
    for mine, theirs, twice in zip(one.grams, other.grams, one.doubled, strict=True):
        common = len(mine.keys() & theirs.keys())
        found.append(common + sum(min(mine[gram], theirs[gram]) - 1 for gram in twice if gram in theirs))
    return found


def _bytes(text: str) -> bytes:
    return text[:MOST_BYTES].encode(errors="replace")[:MOST_BYTES]


def _packed(text: str) -> int:
    return _deflated(_bytes(text))


def _deflated(data: bytes) -> int:
    return len(zlib.compress(data, 6, wbits=-15))


def _distance(one: str, other: str, packed: int, packed_other: int) -> float:
    """Normalised compression distance (Li et al. 2004), 0 for the same text, held within 1."""
    if _bytes(one) == _bytes(other):
        return 0.0
    if not one or not other:
        return 1.0
    first, second = sorted((_bytes(one), _bytes(other)))  # either order would do, and must be the same
    together = _deflated(first + second)
    least, most = sorted((packed, packed_other))
    return share((together - least) / most)


def _ratio(texts: Sequence[str]) -> float:
    joined = b"\n".join(map(_bytes, texts))
    return len(joined) / _deflated(joined)
