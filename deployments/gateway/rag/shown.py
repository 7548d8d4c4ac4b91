"""Passages and citations as JSON."""

from collections.abc import Mapping, Sequence
from typing import Any

from cluster.retrieval.relevance import Judged
from deployments.gateway.rag.citations import Citation, Cited

Body = dict[str, Any]


def passages(found: Sequence[Judged]) -> list[Body]:
    """Passages, numbered from 1."""
    return [_passage(index, one) for index, one in enumerate(found, start=1)]


def answer(text: str, *, model: str, finish_reason: str | None, usage: Mapping[str, Any] | None) -> Body:
    """What a model said, and what it took."""
    counts = usage or {}
    names = ("prompt_tokens", "completion_tokens", "total_tokens")
    return {
        "answer": text,
        "model": model,
        "finish_reason": finish_reason,
        "usage": {name: counts.get(name) or 0 for name in names},
    }


def citations(cited: Cited, found: Sequence[Judged]) -> Body:
    """The passages that an answer was made from, and what it has from each."""
    return {
        "citations": [
            _passage(citation.index, one) | _cited(citation)
            for citation, one in zip(cited.citations, found, strict=True)
        ],
        "unverified_quotes": list(cited.unverified),
    }


def _passage(index: int, one: Judged) -> Body:
    passage, chunk = one.passage, one.passage.chunk
    return {
        "index": index,
        "document_id": chunk.document_id,
        "source": chunk.source,
        "page": chunk.page,
        "start": chunk.start,
        "end": chunk.end,
        "heading": chunk.heading,
        "score": round(passage.score, 6),
        "cosine": _rounded(passage.cosine),
        "bm25": _rounded(passage.bm25),
        "evidence": round(one.evidence, 6),
        "confidence": round(one.confidence, 6),
        "text": chunk.text,
    }


def _cited(citation: Citation) -> Body:
    return {
        "cited": citation.cited,
        "quotes": [
            {
                "text": quote.text,
                "start": quote.start,
                "end": quote.end,
                "answer_start": quote.answer_start,
                "answer_end": quote.answer_end,
            }
            for quote in citation.quotes
        ],
    }


def _rounded(score: float | None) -> float | None:
    return None if score is None else round(score, 6)
