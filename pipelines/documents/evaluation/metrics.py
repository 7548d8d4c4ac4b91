"""How well a ranking does against judgements, as trec_eval and BEIR count it; pure.

A ranking is the ids of documents, each once, best first. A judgement is a grade: 0 or less is not relevant.
"""

import math
from collections.abc import Iterable, Mapping, Sequence


def ndcg(ranking: Sequence[str], judged: Mapping[str, int], *, depth: int) -> float:
    """Normalised discounted cumulative gain of the first `depth`: gain is the grade, discounted by log2(rank + 1).

    Normalised by the best ranking of that depth there could be; 0 where nothing is relevant.
    """
    gains = (max(judged.get(document, 0), 0) for document in ranking[:depth])
    best = sorted((grade for grade in judged.values() if grade > 0), reverse=True)[:depth]
    return _discounted(gains) / _discounted(best) if best else 0.0


def recall(ranking: Sequence[str], judged: Mapping[str, int], *, depth: int) -> float:
    """The part of all relevant documents that is among the first `depth`; 0 where nothing is relevant."""
    relevant = {document for document, grade in judged.items() if grade > 0}
    return len(relevant.intersection(ranking[:depth])) / len(relevant) if relevant else 0.0


def reciprocal_rank(ranking: Sequence[str], judged: Mapping[str, int], *, depth: int) -> float:
    """One over the rank of the first relevant document; 0 where none is among the first `depth`."""
    for rank, document in enumerate(ranking[:depth], start=1):
        if judged.get(document, 0) > 0:
            return 1 / rank
    return 0.0


def percentile(values: Sequence[float], part: float) -> float:
    """The value that `part` (0 to 1) of all are at or below, by the nearest rank. values: at least one."""
    ordered = sorted(values)
    return ordered[max(math.ceil(part * len(ordered)) - 1, 0)]


def _discounted(gains: Iterable[int]) -> float:
    return math.fsum(gain / math.log2(rank + 1) for rank, gain in enumerate(gains, start=1))
