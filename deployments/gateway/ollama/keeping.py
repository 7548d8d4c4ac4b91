"""A request without a prompt: its model is loaded, or with `keep_alive: 0` goes."""

from fastapi import Request

from cluster.errors import ModelInUse
from cluster.types import LoadedModel
from deployments.clients import Backends, Fleet
from deployments.gateway import lifetimes
from deployments.gateway.auth.areas import refusal
from deployments.gateway.chats import Chats
from deployments.gateway.models.on_demand import Available
from deployments.gateway.principal import Principal, principal_of

FLEET = "/api/v1/models"  # whoever may unload there may do so here


async def kept(request: Request, backends: Backends, chats: Chats, name: str, keep_alive_s: float | None) -> str:
    """Have a model loaded, or go: `load` or `unload`, as Ollama calls the reason of such an answer.

    Raises ModelNotFound, BadRequest, ModelInUse for what stays, PermissionDenied, and what loading raises.
    """
    principal = principal_of(request)
    models, fleet = backends.models, backends.fleet
    if keep_alive_s == 0:
        await _go(backends, chats, name, principal)
        return "unload"
    found = models.name_of(name) if isinstance(models, Available) and principal.may_ask(name) else None
    if fleet is None or found is None:
        await chats.card(name, principal)  # it is always there, or nowhere
    else:
        work = fleet.load(found, pin=None, keep_alive_s=keep_alive_s)
        await lifetimes.while_connected(request, work, timeout_s=chats.timeout_s)
    return "load"


async def _go(backends: Backends, chats: Chats, name: str, principal: Principal) -> None:
    """Have a model go as soon as nobody uses it. One that is not loaded is left as it is."""
    if (refused := refusal(principal, "POST", FLEET)) is not None:
        raise refused
    models = backends.models
    if not principal.may_ask(name) or name not in models:
        raise chats.unknown(name, principal)
    if not isinstance(models, Available) or backends.fleet is None:
        raise _stays(name, "part of the configuration")
    found = models.name_of(name) or name
    loaded = await _loaded(backends.fleet, found)
    if loaded is None:
        return
    if loaded.fixed or loaded.pinned:
        raise _stays(name, "part of the configuration" if loaded.fixed else "pinned")
    await models.let_go(found)


async def _loaded(fleet: Fleet, name: str) -> LoadedModel | None:
    return next((one for one in await fleet.loaded() if one.id == name), None)


def _stays(name: str, why: str) -> ModelInUse:
    return ModelInUse(f"{name} is {why}, and stays loaded", param="keep_alive")
