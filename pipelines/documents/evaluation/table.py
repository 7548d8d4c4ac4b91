"""An evaluation for eyes and for programs: a table of its modes, or JSON."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from pipelines.documents.evaluation.results import Measured
from pipelines.documents.evaluation.scores import ModeScores

HEADINGS = ("mode", "nDCG@10", "recall@10", "recall@100", "MRR@10", "p50 ms", "p95 ms", "index")


def lines(scores: Sequence[ModeScores]) -> list[str]:
    """A line a mode: parts in hundredths, latencies in milliseconds; `index` is its recall@10 of exact search."""
    rows = [HEADINGS, *(_cells(one) for one in scores)]
    widths = [max(len(row[place]) for row in rows) for place in range(len(HEADINGS))]
    return ["  ".join(_aligned(row, widths)).rstrip() for row in rows]


def title(of: Measured) -> str:
    """What a table is of."""
    return f"chunks of {of.chunk_tokens} tokens, overlap {of.chunk_overlap}, {of.model}"


def as_json(of: Measured, scores: Sequence[ModeScores], notes: Sequence[str]) -> dict[str, Any]:
    """The same as a JSON object; parts are 0 to 1."""
    return {**asdict(of), "notes": list(notes), "modes": [asdict(one) for one in scores]}


def missed(scores: Sequence[ModeScores], least: Mapping[str, float]) -> list[str]:
    """A line for each mode whose nDCG@10 is below what was asked of it, in hundredths."""
    reached = {one.mode: 100 * one.ndcg_10 for one in scores}
    return [
        f"{mode}: nDCG@10 is {reached[mode]:.2f}, below {wanted:g}"
        for mode, wanted in least.items()
        if reached[mode] < wanted
    ]


def _cells(one: ModeScores) -> tuple[str, ...]:
    parts = (one.ndcg_10, one.recall_10, one.recall_100, one.mrr_10)
    times = (one.latency_p50_ms, one.latency_p95_ms)
    index = "" if one.index_recall is None else f"{100 * one.index_recall:.1f}"
    return (one.mode, *(f"{100 * part:.1f}" for part in parts), *(f"{ms:.1f}" for ms in times), index)


def _aligned(row: Sequence[str], widths: Sequence[int]) -> list[str]:
    first, *others = zip(row, widths, strict=True)
    return [first[0].ljust(first[1]), *(cell.rjust(width) for cell, width in others)]
