"""Several rankings made one: reciprocal rank fusion, and what a search takes of its legs around it. Pure."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from cluster.documents import EQUAL, LegWeights

Item = TypeVar("Item")

K = 60  # of Cormack, Clarke and Buettcher 2009, whose results hardly change between 30 and 100
DEEPEST = 100  # of each leg at least: below it a second leg's agreement is worth little against the first's top
CANDIDATES = 50  # that a ranker reads to find the best: a good passage is seldom further down


@dataclass(frozen=True, slots=True, kw_only=True)
class Fused:
    """A chunk of a ranking. score: what it is ranked by. cosine, bm25: of the leg that found it, else None."""

    chunk_id: str
    score: float
    cosine: float | None = None
    bm25: float | None = None


def fuse(
    dense: Sequence[tuple[str, float]],
    lexical: Sequence[tuple[str, float]],
    *,
    k: int = K,
    weights: LegWeights = EQUAL,
) -> list[Fused]:
    """Both legs' chunks, best first: the score sums `weight / (k + rank)` over the legs that found it, rank from 1.

    dense, lexical: (chunk id, score) best first, no id twice. Of equal scores the nearer in meaning comes first,
    then the smaller id, so that the same legs always give the same ranking.
    """
    cosines, words = dict(dense), dict(lexical)
    scores: dict[str, float] = {}
    for leg, weight in ((dense, weights.dense), (lexical, weights.bm25)):
        for rank, (chunk_id, _) in enumerate(leg, start=1):
            scores[chunk_id] = scores.get(chunk_id, 0.0) + weight / (k + rank)
    fused = (
        Fused(chunk_id=name, score=score, cosine=cosines.get(name), bm25=words.get(name))
        for name, score in scores.items()
    )
    return sorted(
        fused, key=lambda hit: (-hit.score, -(hit.cosine if hit.cosine is not None else -2.0), hit.chunk_id)
    )


def alone(*, dense: Sequence[tuple[str, float]] = (), lexical: Sequence[tuple[str, float]] = ()) -> list[Fused]:
    """One leg's chunks as a ranking, by that leg's own score."""
    near = [Fused(chunk_id=name, score=score, cosine=score) for name, score in dense]
    return near or [Fused(chunk_id=name, score=score, bm25=score) for name, score in lexical]


def depth(limit: int, *, diversity: float = 0.0, per_document: int | None = None) -> int:
    """How many chunks to ask of each leg, for `limit` passages in the end.

    Fusing, choosing what differs, and leaving out a document's further chunks all need more than they give.
    """
    wanted = limit * 4 if diversity > 0 or per_document is not None else limit * 2
    return max(wanted, DEEPEST)


def at_most_per_document(
    ranked: Sequence[Item], *, document_of: Callable[[Item], str], per_document: int | None
) -> list[Item]:
    """The ranking without a document's passages after its first `per_document`; None leaves all."""
    if per_document is None:
        return list(ranked)
    seen: Counter[str] = Counter()
    kept = []
    for each in ranked:
        document_id = document_of(each)
        seen[document_id] += 1
        if seen[document_id] <= per_document:
            kept.append(each)
    return kept
