"""Which models may answer in another's place, pure: worked out once, when the settings are read."""

from collections.abc import Mapping, Sequence
from enum import StrEnum

from cluster.errors import ContextTooLong, EngineFailure, HeliostatError, Overloaded, Unavailable
from cluster.settings.models import ModelSettings
from cluster.settings.routing import FallbackSettings


class Scope(StrEnum):
    """What kind of failure a fallback is for."""

    GENERAL = "general"
    CONTEXT_WINDOW = "context_window"
    UNAVAILABLE = "unavailable"
    LOADING = "loading"


def scope_of(error: HeliostatError) -> Scope | None:
    """The kind of a failure; None where no other model would help, as with a request that is wrong."""
    if isinstance(error, ContextTooLong):
        return Scope.CONTEXT_WINDOW
    if isinstance(error, Unavailable | Overloaded):
        return Scope.UNAVAILABLE
    return Scope.GENERAL if isinstance(error, EngineFailure) else None


class Fallbacks:
    """The order of fallbacks for each model and scope."""

    def __init__(self, models: Sequence[ModelSettings] = ()) -> None:
        named = {model.id: model.fallbacks for model in models}
        self._orders = {(name, scope): _order(name, scope, named) for name in named for scope in Scope}

    def of(self, model: str, scope: Scope) -> tuple[str, ...]:
        """Who may answer in the model's place, in order."""
        return self._orders.get((model, scope), ())


def _order(asked: str, scope: Scope, named: Mapping[str, FallbackSettings]) -> tuple[str, ...]:
    """The model's own fallbacks, then theirs, none twice: models that name each other end it."""
    order = [asked]
    for model in order:  # which grows meanwhile
        order += [name for name in _listed(named[model], scope) if name not in order]
    return tuple(order[1:])


def _listed(fallbacks: FallbackSettings, scope: Scope) -> tuple[str, ...]:
    if scope is Scope.CONTEXT_WINDOW:
        return fallbacks.context_window
    if scope is Scope.LOADING:
        return fallbacks.loading  # only whom it names: a general fallback is for failures
    return (fallbacks.unavailable if scope is Scope.UNAVAILABLE else ()) or fallbacks.general
