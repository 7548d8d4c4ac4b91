"""Whose documents are, in a collection that several share: all read them, owners and admins change them.

In a collection of one's own there is nothing to ask: nobody else finds it.
"""

import asyncio
import hashlib
from collections.abc import Callable, Mapping
from typing import BinaryIO, TypeVar

from sqlalchemy import Engine

from cluster.documents import Document
from cluster.errors import PermissionDenied
from cluster.stores.document_owners import LOCAL_OWNER, DocumentOwners
from cluster.stores.vector_store_files import StoreFiles
from deployments.clients import Retriever
from deployments.gateway.collections.directory import Place
from deployments.gateway.principal import Principal, Role

Result = TypeVar("Result")


class Belongings:
    """The owners of documents."""

    def __init__(self, retriever: Retriever, engine: Engine) -> None:
        self._retriever = retriever
        self._owners = DocumentOwners(engine)
        self._store_files = StoreFiles(engine)

    async def stored(self, place: Place, principal: Principal) -> tuple[Document, ...] | None:
        """What `check_name` has to look at; None where nothing there can be another's."""
        if principal.role is Role.ADMIN or not place.shared:
            return None
        return await self._retriever.documents(place.physical)

    async def check_name(
        self, place: Place, source: str, principal: Principal, stored: tuple[Document, ...] | None
    ) -> None:
        """Raises PermissionDenied where another's document has the name, which a new one would replace.

        stored: as it was a moment ago, so that an upload of many files asks for it once.
        """
        if stored is None:
            return
        claim = await self._do(lambda owners: owners.named(place.physical, source))
        if claim is not None and any(document.id == claim.document_id for document in stored):
            owner = claim.owner
        elif any(document.source == source for document in stored):
            owner = LOCAL_OWNER
        else:
            return  # a claim may outlive its document
        if owner != principal.owner:
            hint = "send it under another name"
            raise PermissionDenied(f"There is a document {source!r}, and it is not yours", hint=hint, param="file")

    async def claim(self, place: Place, named: Mapping[str, str], principal: Principal) -> None:
        """Documents were uploaded. named: their ids, by name."""
        if place.shared and named:
            await self._do(lambda owners: owners.claim(place.physical, named, owner=principal.owner))

    async def check_change(self, place: Place, document_id: str, principal: Principal) -> None:
        """Whether a document may be changed or taken out. Raises DocumentNotFound, PermissionDenied."""
        if principal.role is Role.ADMIN or not place.shared:
            return
        await self._retriever.document(document_id, place.physical)
        found = await self._do(lambda owners: owners.of(place.physical, document_id))
        if found != frozenset({principal.owner}):
            hint = "ask who uploaded it, or an admin"
            raise PermissionDenied("The document is not yours, or not yours alone", hint=hint)

    async def remove(self, place: Place, document_id: str, principal: Principal) -> Document:
        """Take a document out. Raises DocumentNotFound, PermissionDenied."""
        await self.check_change(place, document_id, principal)
        removed = await self._retriever.remove(document_id, place.physical)
        if place.made is not None:
            store_id = place.made.id
            await asyncio.to_thread(self._store_files.forget, store_id, document_id)
        else:
            await self._do(lambda owners: owners.forget(place.physical, document_id))
        return removed

    async def _do(self, work: Callable[[DocumentOwners], Result]) -> Result:
        return await asyncio.to_thread(work, self._owners)


def id_of(file: BinaryIO) -> str:
    """The id of the document in a file, read from its beginning and rewound."""
    file.seek(0)
    digest = hashlib.file_digest(file, "sha256")  # type: ignore[arg-type]  # a SpooledTemporaryFile will do
    file.seek(0)
    return digest.hexdigest()
