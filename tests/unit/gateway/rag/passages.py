"""Passages and a retriever that finds what it is told."""

from dataclasses import dataclass, field

from cluster.documents import Chunk, CollectionCard, Passage, SearchCall
from cluster.errors import HeliostatError


def passage(
    text: str,
    *,
    cosine: float | None = 0.9,
    score: float = 0.03,
    bm25: float | None = None,
    document: str = "d",
    source: str = "a.txt",
    page: int | None = None,
    start: int = 0,
) -> Passage:
    """A passage of a document."""
    chunk = Chunk(
        id=f"{document}-{start}",
        document_id=document,
        source=source,
        ordinal=0,
        start=start,
        end=start + len(text),
        text=text,
        tokens=len(text.split()),
        page=page,
    )
    return Passage(chunk=chunk, score=score, cosine=cosine, bm25=bm25)


@dataclass
class Shelf:
    """A retriever that finds `found`, whatever is looked for, or fails. calls: what it was asked."""

    found: list[Passage] = field(default_factory=list)
    error: HeliostatError | None = None
    calls: list[SearchCall] = field(default_factory=list)

    async def collections(self) -> tuple[CollectionCard, ...]:
        """None that anybody filled by hand."""
        return ()

    async def search(self, call: SearchCall) -> tuple[Passage, ...]:
        """What it was told to find."""
        self.calls.append(call)
        if self.error is not None:
            raise self.error
        return tuple(self.found[: call.limit])
