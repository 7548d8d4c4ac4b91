"""Models as GraphQL shows them: what may be asked for, loaded or not."""

import asyncio
from collections.abc import Mapping
from typing import Self

import strawberry

from cluster.catalog import GIB
from cluster.errors import NotFound
from cluster.stores.model_records import LastLoad, ModelRecord, Sums
from cluster.types import LoadedModel, ModelEvent, ModelState
from deployments.clients import Fleet
from deployments.gateway.graphql.asking import Asking, Info, asking
from deployments.gateway.graphql.scalars import Moment, moment
from deployments.gateway.models.on_demand import Available
from deployments.gateway.openai.model_list import READY, UNLOADED, Listed

FLEET = "/api/v1/models"
MS = 1000


@strawberry.type(name="ModelMetadata", description="What is known of a model beside its name. Sizes in bytes.")
class Metadata:
    """See the description."""

    task: str
    size: float | None = strawberry.field(description="The memory that it takes when it is loaded.")
    memory_usage: float | None = strawberry.field(description="The memory that it takes now: 0 when not loaded.")
    last_used_at: Moment | None


@strawberry.type(name="ModelRecord", description="What came of the requests to a model. Times in milliseconds.")
class Record:
    """See the description."""

    request_count: int
    error_count: int = strawberry.field(description="Requests in which the model, or what serves it, failed.")
    average_response_time: float | None
    p95_response_time: float | None
    average_first_token_time: float | None
    p95_first_token_time: float | None
    prompt_tokens: float
    completion_tokens: float
    last_used_at: Moment | None
    loaded_at: Moment | None
    load_time: float | None

    @classmethod
    def of(cls, found: ModelRecord) -> Self:
        """A stored one."""
        load = found.load or LastLoad()
        return cls(
            request_count=found.sums.requests,
            error_count=found.error_count,
            average_response_time=_ms(found.mean_response_s),
            p95_response_time=_ms(found.p95_response_s),
            average_first_token_time=_ms(found.mean_first_token_s),
            p95_first_token_time=_ms(found.p95_first_token_s),
            prompt_tokens=found.sums.prompt_tokens,
            completion_tokens=found.sums.completion_tokens,
            last_used_at=moment(found.last_used_at),
            loaded_at=moment(load.loaded_at),
            load_time=_ms(load.load_s),
        )


@strawberry.type(description="A model that may be asked for.")
class Model:
    """See the description."""

    id: strawberry.ID
    name: str
    provider: str = strawberry.field(description="Whose it is: local, or of a provider elsewhere.")
    engine: str = strawberry.field(description="What runs it: vllm, transformers, ollama …")
    state: str = strawberry.field(description="unloaded, loading, ready, unloading or unavailable.")
    is_loaded: bool
    metadata: Metadata
    context_length: int | None
    capabilities: list[str]
    revision: str | None
    device: str | None = strawberry.field(description="cpu, cuda or remote, where it is loaded.")
    replicas: int | None
    in_use: int | None = strawberry.field(description="Gateways that use it now.")
    waiting: int | None = strawberry.field(description="Requests that wait for it to load.")
    pinned: bool
    fixed: bool = strawberry.field(description="Whether it is part of the configuration, and can't be unloaded.")
    expires_at: Moment | None = strawberry.field(description="When it goes if nobody asks for it; null: it stays.")
    load_seconds: float | None

    @strawberry.field(description="What came of the requests to it; null where nobody counts.")  # type: ignore[untyped-decorator]
    async def record(self, info: Info) -> Record | None:
        """Looked up for those that ask."""
        book = asking(info, "GET", FLEET).desks.book
        if book is None or book.store is None:
            return None
        await book.flush()
        name = str(self.id)
        found = await asyncio.to_thread(book.store.of, [name])
        return Record.of(found.get(name) or ModelRecord(model=name, sums=Sums()))


@strawberry.type(name="ModelEvent", description="What happened to a model, and why.")
class Event:
    """See the description."""

    number: int = strawberry.field(description="Counts up: `after` takes it.")
    at: Moment | None
    model: str
    what: str = strawberry.field(description="wanted, loading, ready, unloading, unloaded, failed …")
    reason: str


async def available(asked: Asking) -> list[Model]:
    """The models that exist for whoever asks, those that are always there first."""
    loaded = await _loaded(asked)
    return [
        _model(one, loaded.get(one.card.id)) for one in await asked.desks.models.models(asked.principal.may_ask)
    ]


async def found(asked: Asking, name: str) -> Model:
    """One model, by any of its names; asking for it loads nothing. Raises ModelNotFound."""
    models, may_ask = asked.desks.backends.models, asked.principal.may_ask
    own = models.name_of(name) if isinstance(models, Available) and may_ask(name) else name
    for one in await asked.desks.models.models(lambda other: may_ask(other) or (other == own and may_ask(name))):
        if one.card.id == own:
            return _model(one, (await _loaded(asked)).get(one.card.id))
    raise asked.desks.chats.unknown(name, asked.principal)


def fleet_of(asked: Asking) -> tuple[Available, Fleet]:
    """What loads models. Raises NotFound where nothing does."""
    backends = asked.desks.backends
    if backends.fleet is None or not isinstance(backends.models, Available):
        raise NotFound("No model comes or goes here", hint="those of the configuration are always loaded")
    return backends.models, backends.fleet


def shown(event: ModelEvent) -> Event:
    """A fleet's event."""
    return Event(number=event.number, at=moment(event.at), model=event.model, what=event.what, reason=event.reason)


async def _loaded(asked: Asking) -> Mapping[str, LoadedModel]:
    fleet = asked.desks.backends.fleet
    return {} if fleet is None else {model.id: model for model in await fleet.loaded()}


def _ms(seconds: float | None) -> float | None:
    return None if seconds is None else round(MS * seconds, 2)


def _model(listed: Listed, loaded: LoadedModel | None) -> Model:
    """loaded: what the fleet says of it, where it does."""
    card = listed.card
    is_loaded = listed.state == READY if loaded is None else loaded.state is ModelState.READY
    memory = card.memory_gib if loaded is None or not loaded.memory_gib else loaded.memory_gib
    size = None if memory is None else round(memory * GIB)
    state = listed.state if loaded is None or listed.reason is not None else loaded.state
    return Model(
        id=strawberry.ID(card.id),
        name=card.id,
        provider=listed.provider,
        engine=card.engine,
        state=str(state),
        is_loaded=is_loaded,
        metadata=Metadata(
            task=str(card.capabilities.task),
            size=size,
            memory_usage=size if is_loaded else 0,
            last_used_at=None if loaded is None else moment(loaded.used_at),
        ),
        context_length=card.capabilities.context_length,
        capabilities=list(card.capabilities.names),
        revision=card.revision or None,
        device=None if loaded is None else loaded.device,
        replicas=None if loaded is None else loaded.replicas,
        in_use=None if loaded is None else loaded.in_use,
        waiting=None if loaded is None else loaded.waiting,
        pinned=loaded is not None and loaded.pinned,
        fixed=listed.state != UNLOADED if loaded is None else loaded.fixed,
        expires_at=None if loaded is None else moment(loaded.until),
        load_seconds=None if loaded is None else round(loaded.load_s, 3),
    )
