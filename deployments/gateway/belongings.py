"""Whose documents are: everybody reads them, and only their owners and admins replace them or take them out."""

import asyncio
import hashlib
from collections.abc import Callable
from typing import BinaryIO, TypeVar

from sqlalchemy import Engine

from cluster.errors import PermissionDenied
from cluster.stores.document_owners import LOCAL_OWNER, DocumentOwners
from cluster.types import Document
from deployments.clients import Retriever
from deployments.gateway.principal import Principal, Role

Result = TypeVar("Result")

CHUNK = 1024**2  # bytes


class Belongings:
    """The owners of one collection. engine: None where none are kept, and admins alone may do such things."""

    def __init__(self, retriever: Retriever, collection: str, engine: Engine | None) -> None:
        self._retriever = retriever
        self._collection = collection
        self._owners = None if engine is None else DocumentOwners(engine)

    async def check_name(self, source: str, principal: Principal) -> None:
        """Raises PermissionDenied where another's document has the name, which a new one would replace."""
        if principal.role is Role.ADMIN:
            return
        stored = await self._retriever.documents()
        claim = await self._do(lambda owners: owners.named(self._collection, source))
        if claim is not None and any(document.id == claim.document_id for document in stored):
            owner = claim.owner
        elif any(document.source == source for document in stored):
            owner = LOCAL_OWNER
        else:
            return  # a claim may outlive its document
        if owner != principal.owner:
            hint = "send it under another name"
            raise PermissionDenied(f"There is a document {source!r}, and it is not yours", hint=hint, param="file")

    async def claim(self, source: str, document_id: str, principal: Principal) -> None:
        """A document was uploaded."""
        await self._do(
            lambda owners: owners.claim(self._collection, source, document_id=document_id, owner=principal.owner)
        )

    async def remove(self, document_id: str, principal: Principal) -> Document:
        """Take a document out. Raises DocumentNotFound, PermissionDenied."""
        if principal.role is not Role.ADMIN:
            found = await self._do(lambda owners: owners.of(self._collection, document_id))
            known = any(document.id == document_id for document in await self._retriever.documents())
            if known and (found is None or found != frozenset({principal.owner})):
                hint = "ask who uploaded it, or an admin"
                raise PermissionDenied("The document is not yours, or not yours alone", hint=hint)
        removed = await self._retriever.remove(document_id)
        await self._do(lambda owners: owners.forget(self._collection, document_id))
        return removed

    async def _do(self, work: Callable[[DocumentOwners], Result]) -> Result | None:
        return None if self._owners is None else await asyncio.to_thread(work, self._owners)


def id_of(file: BinaryIO) -> str:
    """The id of the document in a file, read from its beginning and rewound."""
    digest = hashlib.sha256()
    file.seek(0)
    while part := file.read(CHUNK):
        digest.update(part)
    file.seek(0)
    return digest.hexdigest()
