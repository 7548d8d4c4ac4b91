"""What was measured: of each query in each mode, and of a mode over all its queries; pure."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from pipelines.documents.evaluation.dataset import Query
from pipelines.documents.evaluation.metrics import ndcg, percentile, recall, reciprocal_rank

DEPTH = 100  # documents of a ranking that are looked at


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """One query in one mode. Parts are 0 to 1. latency_ms: of the whole request, as the client saw it.

    index_recall: of the nearest ten chunks, those that the index found; None where that was not measured.
    error: why the search was refused; it then found nothing.
    """

    query_id: str
    mode: str
    ndcg_10: float
    recall_10: float
    recall_100: float
    mrr_10: float
    latency_ms: float
    ranking: tuple[str, ...]
    index_recall: float | None = None
    error: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ModeScores:
    """Means over the queries of a mode, 0 to 1, and the latencies. failed: queries that were refused."""

    mode: str
    queries: int
    ndcg_10: float
    recall_10: float
    recall_100: float
    mrr_10: float
    latency_p50_ms: float
    latency_p95_ms: float
    index_recall: float | None = None
    failed: int = 0


def asked(
    query: Query,
    mode: str,
    ranking: Sequence[str],
    *,
    latency_ms: float,
    index_recall: float | None = None,
    error: str | None = None,
) -> Asked:
    """A query's ranking, measured against its judgements."""
    return Asked(
        query_id=query.id,
        mode=mode,
        ndcg_10=ndcg(ranking, query.relevant, depth=10),
        recall_10=recall(ranking, query.relevant, depth=10),
        recall_100=recall(ranking, query.relevant, depth=DEPTH),
        mrr_10=reciprocal_rank(ranking, query.relevant, depth=10),
        latency_ms=latency_ms,
        ranking=tuple(ranking[:DEPTH]),
        index_recall=index_recall,
        error=error,
    )


def of_mode(rows: Sequence[Asked]) -> ModeScores:
    """The rows of one mode, at least one, in a line."""
    latencies = [row.latency_ms for row in rows]
    measured = [row.index_recall for row in rows if row.index_recall is not None]
    return ModeScores(
        mode=rows[0].mode,
        queries=len(rows),
        ndcg_10=statistics.fmean(row.ndcg_10 for row in rows),
        recall_10=statistics.fmean(row.recall_10 for row in rows),
        recall_100=statistics.fmean(row.recall_100 for row in rows),
        mrr_10=statistics.fmean(row.mrr_10 for row in rows),
        latency_p50_ms=percentile(latencies, 0.5),
        latency_p95_ms=percentile(latencies, 0.95),
        index_recall=statistics.fmean(measured) if measured else None,
        failed=sum(row.error is not None for row in rows),
    )
