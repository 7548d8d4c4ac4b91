"""The model of a provider that a request means: the one it names, or one that can do what it asks."""

from cluster.engines.remote.providers import Providers
from cluster.errors import BadRequest, ModelNotFound
from cluster.settings.routing import AUTO
from deployments.gateway.chats import Chats
from deployments.gateway.principal import Principal
from deployments.gateway.routing.auto_policy import Need


async def model_of(
    provider: str,
    model: str | None,
    need: Need,
    *,
    chats: Chats,
    providers: Providers,
    principal: Principal,
    request_id: str,
) -> str:
    """Its name as chat takes it. model: None, or `auto`, leaves the choice to us; need: what is asked of it.

    Raises ProviderNotFound, ModelNotFound, and what `Auto.of` raises where none of the provider's can do it.
    """
    providers.check(provider)
    if chats.auto.means(model or AUTO):
        pick = await chats.auto.of(need, principal, request_id=request_id, provider=provider)
        return pick.model
    if model is None:
        raise BadRequest("Missing required parameter: model", hint="`auto` is off here", param="model")
    full = providers.full_name(provider, model)
    if full is None:
        message = f"{model[:128]!r} is not a model of the provider {provider}"
        raise ModelNotFound(message, hint="GET /api/llm/models lists them", param="model")
    return full
