"""`/api/llm`: which provider answers where a request names no model, switching it, and everybody's models."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

from fastapi import APIRouter, FastAPI, Request

from cluster.engines.remote.providers import Providers
from cluster.errors import BadRequest, Conflict, ModelNotFound
from cluster.settings.routing import AUTO
from cluster.settings.tree import Settings
from cluster.stores.database import now
from cluster.stores.provider_choices import ProviderChoice
from cluster.types import Task
from deployments.clients import Backends
from deployments.gateway.bodies import json_body
from deployments.gateway.chats import Chats
from deployments.gateway.openai.model_list import UNAVAILABLE, Listed, ModelList
from deployments.gateway.parsing import parse
from deployments.gateway.principal import Principal, principal_of
from deployments.gateway.providers import generate
from deployments.gateway.providers.wire import SwitchRequest


def routers(backends: Backends, settings: Settings, chats: Chats) -> tuple[APIRouter, ...]:
    """All routes of providers. The lists of their models are asked for from the start, and until the stop."""
    providers = backends.providers or Providers(settings)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        providers.look()
        yield
        await providers.stop()

    models = ModelList(settings, backends, chats)
    watching = APIRouter(lifespan=lifespan)
    return router(chats, models, providers), generate.router(chats, providers), watching


def router(chats: Chats, models: ModelList, providers: Providers) -> APIRouter:
    """The routes under `/api/llm`."""
    routes = APIRouter(prefix="/api/llm", tags=["Providers"])
    desk = Desk(chats, models, providers)

    @routes.get("/provider", summary="The provider that answers where no model is named, and the others")
    async def provider(request: Request) -> dict[str, Any]:
        return await desk.shown(principal_of(request))

    @routes.post("/provider/switch", summary="Choose it, for everybody", openapi_extra=json_body(SwitchRequest))
    async def switch(request: Request) -> dict[str, Any]:
        wanted, principal = parse(SwitchRequest, await request.body()), principal_of(request)
        await desk.switch(wanted, principal, request_id=request.state.request_id)
        return await desk.shown(principal)

    @routes.get("/models", summary="The models of all providers")
    async def list_models(request: Request) -> dict[str, Any]:
        return await desk.models(principal_of(request))

    return routes


class Desk:
    """Shows and switches."""

    def __init__(self, chats: Chats, models: ModelList, providers: Providers) -> None:
        self._auto = chats.auto
        self._models = models
        self._providers = providers

    async def shown(self, principal: Principal) -> dict[str, Any]:
        """The choice, and all providers with how they are."""
        choice = await self._auto.chosen.now()
        found = await self._models.models(principal.may_ask)
        return {
            "provider": AUTO if choice is None else choice.provider,
            "model": None if choice is None else choice.model,
            "chosen_at": None if choice is None else _moment(choice.chosen_at.timestamp()),
            "providers": [self._provider(name, found) for name in self._providers.ids],
        }

    async def models(self, principal: Principal) -> dict[str, Any]:
        """What each model is, whose it is, and whether it would answer now."""
        choice = await self._auto.chosen.now()
        found = await self._models.models(principal.may_ask)
        return {
            "provider": AUTO if choice is None else choice.provider,
            "models": [
                {
                    "id": one.card.id,
                    "provider": one.provider,
                    "engine": one.card.engine,
                    "task": str(one.card.capabilities.task),
                    "capabilities": list(one.card.capabilities.names),
                    "context_length": one.card.capabilities.context_length,
                    "state": one.state,
                    "reason": one.reason,
                }
                for one in found
            ],
        }

    async def switch(self, wanted: SwitchRequest, principal: Principal, *, request_id: str) -> None:
        """Choose for all requests that name no model. Raises ProviderNotFound, ModelNotFound, DatabaseAway."""
        if not self._auto.means(AUTO):
            raise Conflict("routing.auto is off, so that nothing follows a choice", hint="name models in requests")
        before = await self._auto.chosen.now()
        choice = None if wanted.provider in (None, AUTO) else self._choice(wanted, principal)
        if choice is None and wanted.model is not None:
            raise BadRequest("A model is chosen with its provider", hint="name the provider", param="provider")
        await self._auto.chosen.switch(choice)
        self._auto.events.record(
            "provider",
            AUTO if choice is None else choice.model or AUTO,
            "switched",
            request_id=request_id,
            provider=AUTO if choice is None else choice.provider,
            before=AUTO if before is None else before.provider,
            by=principal.id,
        )

    def _choice(self, wanted: SwitchRequest, principal: Principal) -> ProviderChoice:
        provider = str(wanted.provider)
        self._providers.check(provider)
        model = None
        if wanted.model is not None:
            name = self._providers.full_name(provider, wanted.model)
            model = None if name is None else self._auto.id_of(name)
            if model is None or not principal.may_ask(model):
                message = f"{wanted.model[:128]!r} is not a chat model of the provider {provider}"
                raise ModelNotFound(message, hint="GET /api/llm/models lists them", param="model")
        return ProviderChoice(provider=provider, model=model, chosen_by=principal.id, chosen_at=now())

    def _provider(self, name: str, models: list[Listed]) -> dict[str, Any]:
        own = [one for one in models if one.provider == name]
        chat = [one for one in own if one.card.capabilities.task is Task.CHAT]
        shown: dict[str, Any] = {"id": name, "kind": name, "status": "running", "detail": "", "listed_at": None}
        state = next((one for one in self._providers.states() if one.id == name), None)
        if state is not None:
            at = None if state.listed_at is None else _moment(state.listed_at)
            shown |= {"kind": state.kind, "status": state.reason or "running", "detail": state.detail}
            shown["listed_at"] = at
        elif chat and all(one.state == UNAVAILABLE for one in chat):
            shown["status"] = chat[0].reason
        return {**shown, "models": len(own)}


def _moment(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
