"""`/api/v1/models/{id}/record`: how often a model was asked, what came of it, and how long it took."""

import asyncio
from functools import partial
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request

from cluster.errors import ModelNotFound
from cluster.settings.tree import Settings
from cluster.stores.model_records import ModelRecord, ModelRecords, Sums
from deployments.clients import Backends
from deployments.gateway.model_records import shown
from deployments.gateway.model_records.book import KEEP_DAYS, Book
from deployments.gateway.model_records.facts import Known
from deployments.gateway.principal import Role, principal_of

Days = Annotated[
    int | None,
    Query(ge=1, le=KEEP_DAYS, description=f"Only of the last so many days, in UTC; all {KEEP_DAYS} by default."),
]


def router(book: Book, backends: Backends, settings: Settings) -> APIRouter:
    """The records' routes."""
    assert book.store is not None
    store: ModelRecords = book.store
    known = Known(backends, settings)
    routes = APIRouter(prefix="/api/v1/models", tags=["Models"])

    @routes.get("/records", summary="What came of the requests to all models")
    async def list_records(request: Request, days: Days = None) -> dict[str, Any]:
        principal = principal_of(request)
        await book.flush()
        records = await asyncio.to_thread(partial(store.of, days=days))
        entries = await asyncio.to_thread(known.entries)
        rows = await known.loaded()
        names = sorted(filter(principal.may_ask, {*known.names(), *records}))
        found = await asyncio.gather(
            *(
                known.facts(name, row=rows.get(name), entry=entries.get(name), paths=principal.role is Role.ADMIN)
                for name in names
            )
        )
        data = [
            shown.record(records.get(name) or _none(name), facts, days=days)
            for name, facts in zip(names, found, strict=True)
        ]
        return {"object": "list", "data": data}

    @routes.get("/{model_id:path}/record", summary="What came of the requests to a model")
    async def show_record(model_id: str, request: Request, days: Days = None) -> dict[str, Any]:
        principal = principal_of(request)
        name = known.name_of(model_id) if principal.may_ask(model_id) else None
        await book.flush()
        asked = name or model_id
        record = (await asyncio.to_thread(partial(store.of, [asked], days=days))).get(asked)
        if name is None and (record is None or not principal.may_ask(model_id)):
            hint = "GET /api/v1/models/records lists them all"
            raise ModelNotFound(f"No model is called {model_id[:128]!r}", hint=hint, param="model_id")
        entries = await asyncio.to_thread(known.entries)
        row, entry = (await known.loaded()).get(asked), entries.get(asked)
        facts = await known.facts(asked, row=row, entry=entry, paths=principal.role is Role.ADMIN)
        return shown.record(record or _none(asked), facts, days=days)

    return routes


def _none(name: str) -> ModelRecord:
    """The record of a model that nobody has asked."""
    return ModelRecord(model=name, sums=Sums())
