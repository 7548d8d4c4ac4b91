"""Which of a collection's documents are listed, and how documents and chunks are shown."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from cluster.documents import Chunk, Document
from cluster.errors import BadRequest, DocumentNotFound
from cluster.filters import parse_filter
from deployments.gateway.documents.labels import json_field


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What a list is to hold. tags: all of them. source: a part of the name. where: a filter, as JSON text."""

    limit: int
    after: str | None = None
    tags: tuple[str, ...] = ()
    source: str | None = None
    where: str | None = None


def page(documents: Sequence[Document], wanted: Wanted) -> dict[str, Any]:
    """One page of the documents that fit, in their order. Raises BadRequest, DocumentNotFound for `after`."""
    fit = documents
    if wanted.where is not None:
        passes = parse_filter(_filter(wanted.where), param="where")
        fit = [document for document in fit if passes.matches(document)]
    if wanted.tags:
        fit = [document for document in fit if set(wanted.tags) <= set(document.tags)]
    if wanted.source is not None:
        part = wanted.source.casefold()
        fit = [document for document in fit if part in document.source.casefold()]
    first = 0
    if wanted.after is not None:
        first = _place_of(wanted.after, fit) + 1
    some = fit[first : first + wanted.limit]
    return {
        "documents": [shown(document) for document in some],
        "total": len(fit),
        "has_more": first + len(some) < len(fit),
    }


def shown(document: Document) -> dict[str, Any]:
    """A document as the API shows it."""
    return {**asdict(document), "tags": list(document.tags), "metadata": dict(document.metadata)}


def shown_chunk(chunk: Chunk) -> dict[str, Any]:
    """A chunk as the API shows it."""
    return asdict(chunk)


def _place_of(document_id: str, documents: Sequence[Document]) -> int:
    for at, document in enumerate(documents):
        if document.id == document_id:
            return at
    raise DocumentNotFound(
        f"No document with the id {document_id[:80]!r} is in this list", hint="begin anew", param="after"
    )


def _filter(sent: str) -> dict[str, Any]:
    body = json_field("where", sent)
    if not isinstance(body, dict):
        hint = 'such as {"type": "eq", "key": "year", "value": 2024}'
        raise BadRequest("where is not an object", hint=hint, param="where")
    return body
