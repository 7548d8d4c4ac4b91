"""Which model answers when the one that was asked cannot, and what is told of such decisions."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from pydantic import Field, field_validator, model_validator

from cluster.settings.strict import Strict

if TYPE_CHECKING:
    from cluster.settings.models import ModelSettings

AUTO = "auto"
"""The model name of clients that leave the choice to the gateway."""
SCOPES = ("general", "context_window", "unavailable", "loading")


class FallbackSettings(Strict):
    """Ids of models that answer in a model's place, in order; a bare list is `general`.

    A failed fallback is followed by the next, then by its own fallbacks; no model is asked twice, so models may
    name each other.
    """

    general: tuple[str, ...] = Field((), description="where the model fails on a request")
    context_window: tuple[str, ...] = Field((), description="where a request is too long for it")
    unavailable: tuple[str, ...] = Field(
        (), description="where nobody can answer: dead, refused by its breaker, full; none: general"
    )

    loading: tuple[str, ...] = Field(
        (), description="while it is not loaded, and loads in the background; none: requests wait for it"
    )

    @model_validator(mode="before")
    @classmethod
    def _listed(cls, data: Any) -> Any:
        return {"general": data} if isinstance(data, list | tuple) else data

    @model_validator(mode="after")
    def _distinct(self) -> "FallbackSettings":
        for scope in SCOPES:
            names = getattr(self, scope)
            if len(set(names)) < len(names):
                raise ValueError(f"{scope} names a model twice")
        return self


class BreakerSettings(Strict):
    """When a model is not asked for a while. A request counts once, however often it was tried."""

    failures: int = Field(5, ge=1, description="failed requests in a row, after which it is not asked")
    cooldown_s: float = Field(60.0, gt=0, description="after that one request tries it")


class EventSettings(Strict):
    """Decision events. They are bounded by both: whichever comes first drops the oldest."""

    kept: int = Field(50_000, ge=100, description="events in the database")
    keep_days: int = Field(7, ge=1)
    recent: int = Field(1000, ge=10, description="events in each gateway's memory")
    every_route: bool = Field(False, description="an event for every request, not only where there was a choice")


class AutoSettings(Strict):
    """The model name `auto`: the gateway picks one that can do what the request asks."""

    enabled: bool = True
    models: tuple[str, ...] = Field(
        (),
        description="what it picks from, the preferred first; none: all chat models, the config's first",
    )
    load: bool = Field(True, description="whether it may pick a model that has to be loaded first")

    @field_validator("models")
    @classmethod
    def _distinct(cls, models: tuple[str, ...]) -> tuple[str, ...]:
        if len(set(models)) < len(models) or AUTO in models:
            raise ValueError(f"names a model twice, or {AUTO!r} itself")
        return models


class RoutingSettings(Strict):
    """The router."""

    breaker: BreakerSettings = BreakerSettings()
    events: EventSettings = EventSettings()
    auto: AutoSettings = AutoSettings()


def check_fallbacks(models: Sequence["ModelSettings"], task_of: Callable[["ModelSettings"], str]) -> None:
    """Raises ValueError where a fallback is unknown, the model itself, or for another task."""
    tasks = {model.id: task_of(model) for model in models}
    for model in models:
        for scope in SCOPES:
            for name in getattr(model.fallbacks, scope):
                where = f"fallbacks.{scope} of {model.id!r}"
                if name == model.id:
                    raise ValueError(f"{where} names the model itself")
                if name not in tasks:
                    raise ValueError(f"{where} names {name!r}, which is not one of the models")
                if tasks[name] != "chat" or tasks[model.id] != "chat":
                    raise ValueError(f"{where}: only chat models have fallbacks, and only chat models are some")
