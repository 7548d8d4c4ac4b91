"""Documents, their chunks, and searches for them, as they cross a process boundary: as in `cluster.types`."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Self

from cluster.errors import HeliostatError

if TYPE_CHECKING:
    from cluster.types import ModelCard


@dataclass(frozen=True, slots=True, kw_only=True)
class Chunk:
    """A piece of a document. start, end: character span in the document's text. page: from 1, or None.

    id is a hash of the document's bytes, the chunker's settings and the ordinal: the same input gives the
    same id, so writing it twice changes nothing.
    """

    id: str
    document_id: str
    source: str
    ordinal: int
    start: int
    end: int
    text: str
    tokens: int
    page: int | None = None
    heading: str | None = None


class SearchMode(StrEnum):
    """How passages are found: by meaning, by words, or by both, whose ranks are then fused."""

    DENSE = "dense"
    BM25 = "bm25"
    HYBRID = "hybrid"


@dataclass(frozen=True, slots=True, kw_only=True)
class LegWeights:
    """How much each leg of a hybrid search counts, above 0; only how they stand to each other matters."""

    dense: float = 1.0
    bm25: float = 1.0


EQUAL = LegWeights()


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchCall:
    """What to search a collection for. limit: passages wanted, best first.

    where: a filter on documents' tags and metadata, as `cluster.filters` reads it. diversity: 0 takes the best
    alone, towards 1 more of what the others do not say (maximal marginal relevance). per_document: passages of one
    document at most. weights: of a hybrid search's legs.
    """

    query: str
    limit: int
    collection: str
    mode: SearchMode = SearchMode.HYBRID
    where: Mapping[str, Any] | None = None
    diversity: float = 0.0
    per_document: int | None = None
    weights: LegWeights = EQUAL


@dataclass(frozen=True, slots=True, kw_only=True)
class Passage:
    """A chunk that a search found. score: what it was ranked by, higher is better; its scale is the mode's.

    cosine: to the query, -1 to 1; bm25: of the query's words. None where that leg did not find it.
    """

    chunk: Chunk
    score: float
    cosine: float | None = None
    bm25: float | None = None


MetadataValue = str | int | float | bool  # of a document's metadata


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """A stored document. id: SHA-256 of its bytes, hex. tags, metadata: its owner's; filters read them."""

    id: str
    source: str
    media_type: str
    chunks: int
    pages: int | None = None
    characters: int = 0
    created: int = 0
    tags: tuple[str, ...] = ()
    metadata: Mapping[str, MetadataValue] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class NewDocument:
    """A file's bytes, and the name that its document gets."""

    source: str
    content: bytes


Added = Document | HeliostatError
"""What became of one file among several: its document, or why there is none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CollectionCard:
    """A collection as the vector store's owner knows it. identity: None while it is empty."""

    name: str
    documents: int
    chunks: int
    identity: "EmbedderIdentity | None" = None


@dataclass(frozen=True, slots=True, kw_only=True)
class EmbedderIdentity:
    """Which embedder filled a collection; querying with another is refused."""

    model: str
    revision: str
    dimensions: int

    @classmethod
    def of(cls, card: "ModelCard") -> Self:
        """The embedder that a card is of."""
        return cls(model=card.id, revision=card.revision, dimensions=card.capabilities.dimensions)
