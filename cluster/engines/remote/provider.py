"""All models of one provider: its list, asked for in the background, and an engine for each model in use."""

import asyncio
import logging
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from cluster.engines.remote.connection import Connection, Place
from cluster.engines.remote.engine import place_of
from cluster.engines.remote.facts import ASSUMED_CONTEXT, Facts
from cluster.engines.remote.listing import ListedModel, listed
from cluster.errors import HeliostatError, Overloaded, ProviderAway, ProviderFailure, StartFailed
from cluster.settings.limits import LimitSettings
from cluster.settings.providers import AnyProvider, OllamaProvider

if TYPE_CHECKING:
    from cluster.engines.remote.embedding import RemoteEmbedder
    from cluster.engines.remote.ollama import OllamaEngine
    from cluster.engines.remote.openai import OpenAIEngine

logger = logging.getLogger(__name__)

RETRY_S = 15.0  # until a provider that gave no list is asked again, where its ttl_s is not less
KEPT = 32  # engines, each with a client of its own; of those that nobody uses, the longest unused goes


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderState:
    """How a provider is. reason: the code of what is wrong, None where it listed its models.

    listed_at: Unix seconds of the last list that came; None before the first.
    """

    id: str
    kind: str
    models: int
    listed_at: float | None
    reason: str | None = None
    detail: str = ""


class Provider:
    """Nothing here ever waits for the provider's list: what is known of it is at hand, or nothing is.

    Life: `look` or any question begins asking for the list, `stop` ends it and closes all connections.
    """

    def __init__(
        self,
        settings: AnyProvider,
        *,
        key: str | None = None,
        limits: LimitSettings | None = None,
        retry_s: float = RETRY_S,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """key: what the environment holds. One that is missing or wrong is told with the state, not raised."""
        self.settings = settings
        self.running = 0  # requests that are with it now
        self._limits = limits
        self._retry_s = min(retry_s, settings.ttl_s)
        self._clock = clock
        self._place: Place | None = None
        self._problem: HeliostatError | None = None
        try:
            base = settings.url if isinstance(settings, OllamaProvider) else settings.base_url
            place = place_of(base, settings, settings.id, key)
            self._place = Place(base=place.base, key=place.key, name=f"The provider {settings.id}")
            self._connection = Connection(self._place, settings)
        except StartFailed as error:
            self._problem = error
            logger.error("provider %s: %s", settings.id, error.line())
        self._models: dict[str, ListedModel] = {name: ListedModel(name=name) for name in settings.named}
        self._listed_at: float | None = None
        self._looking: asyncio.Task[None] | None = None
        self._engines: OrderedDict[str, OpenAIEngine | OllamaEngine] = OrderedDict()
        self._embedders: dict[str, RemoteEmbedder] = {}  # few have more than one or two
        self._starting = asyncio.Lock()
        self._stopped = False

    @property
    def id(self) -> str:
        """What clients write before its models' names."""
        return self.settings.id

    @property
    def state(self) -> ProviderState:
        """How it is, and when it last said what it has."""
        error = self._problem
        if error is None and self._listed_at is None:
            error = ProviderAway(f"{self.id} has not been asked yet")
        return ProviderState(
            id=self.id,
            kind=self.settings.kind,
            models=len(self._models),
            listed_at=self._listed_at,
            reason=None if error is None else error.code,
            detail="" if error is None else error.message,
        )

    @property
    def models(self) -> tuple[ListedModel, ...]:
        """What it is known to have: by its last list that came, and by the config."""
        self.look()
        return tuple(self._models.values())

    def has(self, name: str) -> bool:
        """Whether a model may be asked for; before the first list, any that is offered may."""
        self.look()
        return name in self._models or (self._listed_at is None and self.settings.offers(name))

    def facts(self, name: str) -> Facts:
        """What is known of a model: by the provider's word, else by the config's."""
        found = self._models.get(name)
        facts = found.facts if found is not None else Facts()
        if facts.images is not None:
            return facts
        # An Ollama server that has not been asked may yet say so; an OpenAI-compatible list has said all it will.
        unsaid = None if isinstance(self.settings, OllamaProvider) else False
        return replace(facts, images=True if self.settings.sees(name) else unsaid)

    def embeds(self, name: str) -> bool:
        """Whether a model is for embeddings: as the provider says, else by its name."""
        said = self.facts(name).embeds
        return self.settings.embeds(name) if said is None else said

    def created(self, name: str) -> int:
        """Unix seconds that the provider gives for a model; 0 where it gives none."""
        found = self._models.get(name)
        return 0 if found is None else found.created

    def context_length(self, name: str) -> int:
        """Tokens of a model's prompt and answer."""
        return self.facts(name).context_length or self.settings.context_length or ASSUMED_CONTEXT

    def look(self) -> None:
        """See to it that its list is asked for, from now on and again whenever it is old."""
        if self._looking is None and not self._stopped and self._place is not None:
            with suppress(RuntimeError):  # outside of an event loop the next question within one begins it
                self._looking = asyncio.get_running_loop().create_task(self._keep_looking())

    async def engine(self, name: str) -> "OpenAIEngine | OllamaEngine":
        """The engine of a model, started. Raises ProviderAway before the first list."""
        self._check_known(name)
        found = self._engines.get(name)
        if found is None:
            found = self._engines[name] = self._made(name)
            try:
                # What an OpenAI-compatible list says is all there is to know; an Ollama server is asked for more.
                await found.start(ask=isinstance(self.settings, OllamaProvider))
            except StartFailed as error:
                del self._engines[name]
                raise ProviderAway(error.message, hint=error.hint) from None
            await self._tidy(name)
        else:
            self._engines.move_to_end(name)
        return found

    async def embedder(self, name: str) -> "RemoteEmbedder":
        """The embedder of a model, started. Raises ProviderAway before the first list."""
        self._check_known(name)
        async with self._starting:  # it may take seconds: nobody may find one that is half started
            if name not in self._embedders:
                from cluster.engines.remote.embedding import RemoteEmbedder

                made = RemoteEmbedder(
                    self.settings.engine(name), place=self.place(), context_length=self.context_length(name)
                )
                await asyncio.to_thread(made.start)
                self._embedders[name] = made
        return self._embedders[name]

    @contextmanager
    def asking(self) -> Iterator[None]:
        """`with` it while a request is with the provider. Raises Overloaded where too many are."""
        if self.running >= self.settings.max_ongoing:
            raise Overloaded(f"{self.running} requests are with {self.id}", hint="try later", retry_after_s=1.0)
        self.running += 1
        try:
            yield
        finally:
            self.running -= 1

    def place(self) -> Place:
        """Where it is. Raises ProviderAway where its key is missing."""
        if self._place is None:
            assert self._problem is not None
            raise ProviderAway(self._problem.message, hint=self._problem.hint)
        return self._place

    async def stop(self) -> None:
        """Ask no more, and close all connections; calling it twice is harmless."""
        self._stopped = True
        task, self._looking = self._looking, None
        if task is not None:
            task.cancel()
            await asyncio.wait({task})
        engines = list(self._engines.values())
        self._engines.clear()
        for engine in engines:
            await engine.stop()
        embedders = list(self._embedders.values())
        self._embedders.clear()
        for embedder in embedders:
            await asyncio.to_thread(embedder.stop)
        if self._place is not None:
            await self._connection.stop()

    def _check_known(self, name: str) -> None:
        if name not in self._models:
            told = self.state.detail or f"{self.id} does not list {name} any more"
            raise ProviderAway(f"{told}; its models are not known", hint="ask again", retry_after_s=1.0)

    async def _keep_looking(self) -> None:
        try:
            await self._connection.start()
        except StartFailed as error:
            self._failed(error)
            return
        while True:
            wait_s = self.settings.ttl_s if await self._look() else self._retry_s
            await asyncio.sleep(wait_s)

    async def _look(self) -> bool:
        try:
            found = await listed(self._connection, self.settings, self._models.values())
        except HeliostatError as error:
            self._failed(error)
            return False
        except Exception:  # a list that nobody foresaw costs its models, not the gateway
            logger.exception("provider %s: its list could not be read", self.id)
            self._failed(ProviderFailure(f"The list of {self.id} could not be read"))
            return False
        if self._problem is not None:
            logger.warning("provider %s lists its models again", self.id)
        named = {name: ListedModel(name=name) for name in self.settings.named}
        self._models = {
            **{one.name: one for one in found},
            **{n: m for n, m in named.items() if n not in _names(found)},
        }
        self._listed_at, self._problem = self._clock(), None
        for name, engine in self._engines.items():
            _tell(engine, self.facts(name))
        return True

    def _failed(self, error: HeliostatError) -> None:
        if self._problem is None or self._problem.message != error.message:
            logger.warning("provider %s gives no list of its models: %s", self.id, error.line())
        self._problem = error

    def _made(self, name: str) -> "OpenAIEngine | OllamaEngine":
        from cluster.engines.remote.ollama import OllamaEngine
        from cluster.engines.remote.openai import OpenAIEngine

        place, full = self.place(), f"{self.id}/{name}"
        context = self.facts(name).context_length or self.settings.context_length
        if isinstance(self.settings, OllamaProvider):
            ollama = self.settings.engine(name)
            return OllamaEngine(
                ollama, full, place=place, context_length=self.settings.context_length, limits=self._limits
            )
        engine = OpenAIEngine(
            self.settings.engine(name), full, place=place, context_length=context, limits=self._limits
        )
        _tell(engine, self.facts(name))
        return engine

    async def _tidy(self, used: str) -> None:
        idle = [name for name, engine in self._engines.items() if not engine.running and name != used]
        for name in idle[: max(len(self._engines) - KEPT, 0)]:
            await self._engines.pop(name).stop()


def _names(found: tuple[ListedModel, ...]) -> set[str]:
    return {one.name for one in found}


def _tell(engine: "OpenAIEngine | OllamaEngine", facts: Facts) -> None:
    from cluster.engines.remote.openai import OpenAIEngine

    if isinstance(engine, OpenAIEngine):
        engine.told(facts)
