"""From found passages to a ranking of the collection's own documents; pure."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Hit:
    """A passage that a search found. start, end: its span, which with the document names the chunk."""

    document_id: str
    start: int
    end: int
    score: float


def ranked(hits: Iterable[Hit], entries: Mapping[str, Sequence[str]], *, without: str | None = None) -> list[str]:
    """Corpus ids, best first, each once: a document stands where its best passage does.

    entries: the corpus ids of each stored document; several, where their content is the same, are found together.
    A passage of another document is nobody's. without: an id that is left out.
    """
    found: dict[str, None] = {}
    for hit in hits:
        found.update(dict.fromkeys(entries.get(hit.document_id, ())))
    if without is not None:
        found.pop(without, None)
    return list(found)
