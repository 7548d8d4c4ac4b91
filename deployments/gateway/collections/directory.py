"""Which collection somebody means: each person's names, and one collection that all share.

The configured collection (`documents.collection`) is everybody's. What a person makes is theirs alone: another's is
not found, by its name, its id or its name in the vector store. Where authentication is off there is one person,
whose collections have the same names in the vector store, so that `heliostat ingest --collection NAME` fills what
the API calls NAME; what was filled so and never made through the API is theirs too. Where it is on, admins reach
what the operator filled so by its name.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import TypeVar

from sqlalchemy import Engine

from cluster.documents import CollectionCard
from cluster.errors import CollectionNotFound
from cluster.settings.tree import Settings
from cluster.stores.collection_names import (
    Collection,
    CollectionNames,
    is_operators,
    taken,
    unknown,
)
from cluster.stores.database import now
from cluster.stores.document_jobs import DocumentJobs
from cluster.stores.vector_store_files import StoreFiles
from deployments.clients import Retriever
from deployments.gateway.principal import LOCAL

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A collection that somebody may use. made: how they made it; None for the shared one, and the operator's.

    shared: whether others write to it, so that each document has an owner of its own.
    """

    physical: str
    name: str
    made: Collection | None = None
    shared: bool = False


class Collections:
    """The collections of one cluster, by who asks. clock: this moment, in UTC."""

    def __init__(
        self, engine: Engine, retriever: Retriever, settings: Settings, *, clock: Callable[[], datetime] = now
    ) -> None:
        self._names = CollectionNames(engine)
        self._store_files = StoreFiles(engine)
        self._jobs = DocumentJobs(engine)
        self._retriever = retriever
        self._default = settings.documents.collection
        self._clock = clock

    @property
    def default(self) -> str:
        """The name of the collection that all share."""
        return self._default

    async def resolve(self, owner: str, name_or_id: str | None, *, operator: bool = False) -> str:
        """The name that the vector store knows somebody's collection by. None: the shared one.

        operator: whether they may reach what was filled without the API. Raises CollectionNotFound for what is
        unknown, another's, or expired.
        """
        return (await self.find(owner, name_or_id, operator=operator)).physical

    async def find(self, owner: str, name_or_id: str | None, *, operator: bool = False) -> Place:
        """The same, with what is known of it; this counts as a use. Raises CollectionNotFound."""
        if name_or_id is None or name_or_id == self._default:
            return Place(physical=self._default, name=self._default, shared=True)
        try:
            found = await self.do(lambda names: names.get(name_or_id, owner=owner))
        except CollectionNotFound:
            if (operator or owner == LOCAL.owner) and await self._filled(name_or_id):
                return Place(physical=name_or_id, name=name_or_id, shared=True)
            raise
        if found.expired(self._clock()):
            raise CollectionNotFound(
                f"The collection {found.name!r} has expired",
                hint=f"it was not used for {found.expires_days} days; make a new one",
                param="collection",
            )
        await self.do(lambda names: names.use(found))
        return Place(physical=found.physical, name=found.name, made=found)

    async def make(
        self,
        owner: str,
        *,
        name: str | None = None,
        title: str | None = None,
        description: str | None = None,
        notes: dict[str, str] | None = None,
        expires_days: int | None = None,
    ) -> Collection:
        """A new collection, empty. name: its id, where None. Raises Conflict for a name that is in use."""
        physical = None
        if name is not None and name == self._default:
            raise taken(name)
        if name is not None and owner == LOCAL.owner:
            if await self._filled(name):
                raise taken(name)
            physical = name
        return await self.do(
            lambda names: names.create(
                owner=owner,
                name=name,
                physical=physical,
                title=title,
                description=description,
                notes=notes,
                expires_days=expires_days,
            )
        )

    async def remove(self, owner: str, name_or_id: str, *, operator: bool = False) -> Place:
        """Forget a collection and all that it holds. Raises CollectionNotFound.

        What it holds goes first: a crash between the two leaves an empty collection, and no documents that
        nobody can name.
        """
        try:
            made = await self.do(lambda names: names.get(name_or_id, owner=owner))
            place = Place(physical=made.physical, name=made.name, made=made)
        except CollectionNotFound:
            place = await self.find(owner, name_or_id, operator=operator)
        if place.physical == self._default:
            raise unknown(name_or_id)
        # First: a job that ends after this takes out again what it stored.
        await asyncio.to_thread(self._jobs.remove_of, place.physical)
        await self.clear(place.physical)
        if (known := place.made) is not None:
            await asyncio.to_thread(self._store_files.clear, known.id)
            await self.do(lambda names: names.remove(known.id, owner=owner))
        return place

    async def settle(self, place: Place) -> None:
        """After a write: where the collection was removed meanwhile, what was written goes too.

        Raises CollectionNotFound then.
        """
        made = place.made
        if made is None:
            return
        try:
            await self.do(lambda names: names.get(made.id, owner=made.owner))
        except CollectionNotFound:
            await self.clear(place.physical)
            raise

    async def clear(self, physical: str) -> None:
        """Remove what a collection holds; nothing where it never held anything."""
        try:
            await self._retriever.remove_collection(physical)
        except CollectionNotFound:
            return

    async def cards(self) -> dict[str, CollectionCard]:
        """What the vector store knows of each collection that holds something, by physical names."""
        return {card.name: card for card in await self._retriever.collections()}

    async def do(self, work: Callable[[CollectionNames], Result]) -> Result:
        """Something with the names, in a thread."""
        return await asyncio.to_thread(work, self._names)

    async def _filled(self, name: str) -> bool:
        """Whether the operator filled a collection of that name without the API."""
        return is_operators(name) and name in await self.cards()
