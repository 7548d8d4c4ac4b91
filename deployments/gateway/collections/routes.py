"""The collections' routes: made, listed, shown, described, removed."""

from typing import Annotated, Any

from fastapi import APIRouter, Path, Request
from pydantic import AfterValidator, Field

from cluster.documents import CollectionCard
from cluster.settings.tree import Settings
from cluster.stores.collection_names import ID_PREFIX, NAME, TENANT_PREFIX, Collection, is_operators
from deployments.gateway.bodies import json_body
from deployments.gateway.collections.directory import Collections, Place
from deployments.gateway.parsing import parse
from deployments.gateway.principal import LOCAL, Principal, Role, principal_of
from deployments.gateway.wire import Wire

PREFIX = "/api/v1/collections"


def _name(text: str) -> str:
    if not NAME.fullmatch(text):
        raise ValueError("3 to 128 letters, digits, dots, dashes and underscores, the first and last no mark")
    if text.startswith((ID_PREFIX, TENANT_PREFIX)):
        raise ValueError(f"no name begins with {ID_PREFIX} or {TENANT_PREFIX}")
    return text


def _storable(text: str) -> str:
    if "\0" in text:
        raise ValueError("a NUL character cannot be stored")
    return text


Stored = AfterValidator(_storable)
Name = Annotated[str, AfterValidator(_name)]
Description = Annotated[str, Field(max_length=1024), Stored]
Notes = Annotated[
    dict[Annotated[str, Field(min_length=1, max_length=64), Stored], Annotated[str, Field(max_length=512), Stored]],
    Field(max_length=16),
]
Named = Annotated[str, Path(alias="name", max_length=512, description="The collection's name or id.")]


class CollectionRequest(Wire):
    """Body of `POST /api/v1/collections`. metadata: the client's own."""

    name: Name
    description: Description | None = None
    metadata: Notes | None = None


class CollectionChange(Wire):
    """Body of `PATCH /api/v1/collections/{name}`: what is left out stays, a null takes it back."""

    description: Description | None = None
    metadata: Notes | None = None


def router(settings: Settings, collections: Collections) -> APIRouter:
    """The routes under `/api/v1/collections`."""
    routes = APIRouter(prefix=PREFIX, tags=["Documents"])
    shelf = Shelf(collections, settings)

    @routes.post("", status_code=201, summary="Make a collection", openapi_extra=json_body(CollectionRequest))
    async def make(request: Request) -> dict[str, Any]:
        wanted = parse(CollectionRequest, await request.body())
        made = await collections.make(
            principal_of(request).owner,
            name=wanted.name,
            title=wanted.name,
            description=wanted.description,
            notes=wanted.metadata,
        )
        return shown(_own(made), None)

    @routes.get("", summary="Your collections, and the one that all share")
    async def list_collections(request: Request) -> dict[str, Any]:
        return {"collections": await shelf.all(principal_of(request))}

    @routes.get("/{name}", summary="One collection")
    async def show(name: Named, request: Request) -> dict[str, Any]:
        return await shelf.one(name, principal_of(request))

    @routes.patch("/{name}", summary="Describe a collection", openapi_extra=json_body(CollectionChange))
    async def describe(name: Named, request: Request) -> dict[str, Any]:
        change = parse(CollectionChange, await request.body())
        said = {field: getattr(change, field) for field in change.model_fields_set}
        if "metadata" in said:
            said["notes"] = said.pop("metadata")
        owner = principal_of(request).owner
        changed = await collections.do(lambda names: names.change(name, owner=owner, **said))
        return await shelf.one(changed.id, principal_of(request))

    @routes.delete("/{name}", summary="Remove a collection and all its documents")
    async def remove(name: Named, request: Request) -> dict[str, Any]:
        principal = principal_of(request)
        gone = await collections.remove(principal.owner, name, operator=principal.role is Role.ADMIN)
        return {"name": gone.name, "deleted": True}

    return routes


class Shelf:
    """Collections as somebody sees them."""

    def __init__(self, collections: Collections, settings: Settings) -> None:
        self._collections = collections
        self._default = settings.documents.collection

    async def one(self, name: str, principal: Principal) -> dict[str, Any]:
        """A collection. Raises CollectionNotFound."""
        operator = principal.role is Role.ADMIN
        place = await self._collections.find(principal.owner, name, operator=operator)
        return shown(place, (await self._collections.cards()).get(place.physical))

    async def all(self, principal: Principal) -> list[dict[str, Any]]:
        """The shared one, then those that were made, newest first, then those that the operator filled."""
        cards = await self._collections.cards()
        made = await self._collections.do(lambda names: names.all(owner=principal.owner))
        places = [await self._collections.find(principal.owner, None), *map(_own, made)]
        if principal.role is Role.ADMIN or principal.owner == LOCAL.owner:
            seen = {place.physical for place in places}
            filled = sorted(name for name in cards if name not in seen and is_operators(name))
            places += [Place(physical=name, name=name, shared=True) for name in filled]
        return [shown(place, cards.get(place.physical)) for place in places]


def shown(place: Place, card: CollectionCard | None) -> dict[str, Any]:
    """A collection as the API shows it. card: what the vector store knows, None while it is empty."""
    made = place.made
    identity = None if card is None else card.identity
    return {
        "id": place.name if made is None else made.id,
        "name": place.name,
        "description": None if made is None else made.description,
        "metadata": {} if made is None else dict(made.notes),
        "shared": place.shared,
        "documents": 0 if card is None else card.documents,
        "chunks": 0 if card is None else card.chunks,
        "embedder": None
        if identity is None
        else {"model": identity.model, "revision": identity.revision, "dimensions": identity.dimensions},
        "created": None if made is None else int(made.created_at.timestamp()),
        "expires_at": None if made is None or made.expires_at is None else int(made.expires_at.timestamp()),
    }


def _own(made: Collection) -> Place:
    return Place(physical=made.physical, name=made.name, made=made)
