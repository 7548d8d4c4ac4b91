"""BEIR folders for tests."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

ENTRIES = (
    {"_id": "mill", "title": "Mill", "text": "The mill by the river grinds barley."},
    {"_id": "tower", "title": "", "text": "The tower has ninety-one steps and a green bell."},
    {"_id": "ferry", "title": "Ferry", "text": "The ferry leaves the island at dawn."},
)
QUERIES = ({"_id": "q1", "text": "What does the mill grind?"}, {"_id": "q2", "text": "When does the ferry leave?"})
JUDGED = (("q1", "mill", 2), ("q1", "tower", 0), ("q2", "ferry", 1))


def beir(
    folder: Path,
    *,
    entries: Sequence[Mapping[str, Any]] = ENTRIES,
    queries: Sequence[Mapping[str, Any]] = QUERIES,
    judged: Sequence[tuple[str, str, int]] = JUDGED,
) -> Path:
    """A folder in BEIR's format."""
    (folder / "qrels").mkdir(parents=True)
    (folder / "corpus.jsonl").write_text("".join(json.dumps(row) + "\n" for row in entries))
    (folder / "queries.jsonl").write_text("".join(json.dumps(row) + "\n" for row in queries))
    rows = "".join(f"{query}\t{document}\t{grade}\n" for query, document, grade in judged)
    (folder / "qrels" / "test.tsv").write_text(f"query-id\tcorpus-id\tscore\n{rows}")
    return folder
