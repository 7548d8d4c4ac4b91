"""What the remote chat engines share: their life, their health, and what they cannot do from afar."""

from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import contextmanager
from hashlib import blake2b
from typing import Any, Generic, TypeVar

from cluster.engines.chat_request import check_generation, check_known, read_object
from cluster.engines.images import has_pictures, read_aside, with_pictures
from cluster.engines.remote.connection import Connection, Place
from cluster.engines.remote.presence import AGAIN_S, Presence
from cluster.engines.vllm_request import check_messages
from cluster.errors import BadRequest, EngineDead, ProviderAway, StartFailed, UnsupportedParameter
from cluster.settings.limits import LimitSettings
from cluster.settings.remote import PlaceSettings, RemoteSettings
from cluster.types import CallKind, Capabilities, ChatCall, TokenizeCall, Tokenized

SettingsOf = TypeVar("SettingsOf", bound=RemoteSettings)


def place_of(base: str, settings: PlaceSettings, model: str, key: str | None) -> Place:
    """Where a model is. key: what the environment holds. Raises StartFailed where a key is named and not there."""
    if settings.api_key_env is not None and key is None:
        raise StartFailed(
            f"{model}: the variable {settings.api_key_env} is not set",
            hint="set it on every node before `heliostat up` or `join`, or leave api_key_env out",
        )
    return Place(base=base, name=f"The provider of {model}", key=key)


class RemoteEngine(ABC, Generic[SettingsOf]):
    """A chat engine whose model runs elsewhere. Subclasses speak the provider's language.

    Its health: `start` asks the provider for its facts, for at most five seconds, and returns whatever it says: a
    provider that is away must not keep a cluster from starting. Until it answers, and again after a call that found
    nobody, `check_health` raises why (ProviderAway, or ProviderRefused for a wrong key), and it is asked every few
    seconds in the background. Calls are sent all the same: that nobody is asked for a while is the breaker's to
    decide. Until its facts are known the engine lets all through that it could pass on; the provider then decides.
    """

    def __init__(
        self,
        settings: SettingsOf,
        model: str,
        *,
        place: Place,
        context_length: int | None = None,
        limits: LimitSettings | None = None,
        again_s: float = AGAIN_S,
    ) -> None:
        """model: the id that answers carry. context_length: None takes what the provider says."""
        self._settings = settings
        self._model = model
        self._wanted_context = context_length
        self._limits = limits or LimitSettings()
        self._connection = Connection(place, settings)
        self._presence = Presence(self._learn, again_s=again_s)
        self._identity = f"{place.base}\n{settings.model}"
        self._started = False
        self._running = 0

    @property
    @abstractmethod
    def capabilities(self) -> Capabilities:
        """What the model can do, as far as config and provider say."""

    @property
    def revision(self) -> str:
        """A hash of where the model is and what it is called there: nobody tells which weights those are."""
        return blake2b(self._identity.encode(), digest_size=6).hexdigest()

    @property
    def running(self) -> int:
        """Calls that are being answered now."""
        return self._running

    async def start(self, *, ask: bool = True) -> None:
        """Ask the provider what the model can do. Raises StartFailed only for what is wrong on our side.

        ask: False where the engine has been told already.
        """
        await self._connection.start()
        self._started = True
        if ask:
            await self._presence.start()

    async def stop(self) -> None:
        """Close all connections and refuse further calls."""
        self._started = False
        await self._presence.stop()
        await self._connection.stop()

    async def check_health(self) -> None:
        """Raise EngineDead while it is not started, else why the provider is away, if it is. Nobody is asked."""
        self._check_running()
        self._presence.check()

    @abstractmethod
    async def chat(self, call: ChatCall) -> bytes:
        """Answer with one `chat.completion`."""

    @abstractmethod
    def stream(self, call: ChatCall) -> AsyncGenerator[bytes, None]:
        """Answer with server-sent events, each as it comes."""

    async def tokenize(self, call: TokenizeCall) -> Tokenized:  # noqa: ARG002  # the promise has it
        """Refused: the tokenizer is at the provider."""
        self._check_running()
        raise UnsupportedParameter(
            f"{self._model} runs elsewhere, and its tokens are not known here", hint="ask a model that runs here"
        )

    async def detokenize(self, tokens: Sequence[int]) -> str:  # noqa: ARG002  # the promise has it
        """Refused: the tokenizer is at the provider."""
        self._check_running()
        raise UnsupportedParameter(
            f"{self._model} runs elsewhere, and its tokens are not known here",
            hint="ask a model that runs here",
            param="tokens",
        )

    @abstractmethod
    async def _learn(self) -> None:
        """Ask the provider for its facts. Raises EngineFailure, Unavailable, Overloaded where it gives none."""

    async def _read(self, call: ChatCall, honoured: frozenset[str], *, images: bool) -> dict[str, Any]:
        """The parameters that are given, checked, with pictures as this cluster reads them.

        Raises BadRequest and UnsupportedParameter with the JSON path, EngineDead.
        """
        self._check_running()
        if call.kind is not CallKind.CHAT:
            raise UnsupportedParameter(f"{self._model} takes no raw prompts", hint="send messages", param="prompt")
        given = {name: value for name, value in read_object(call.body).items() if value is not None}
        check_known(given, honoured)
        check_generation(given)
        if given.get("top_logprobs") is not None and not given.get("logprobs"):
            raise BadRequest("top_logprobs is only for logprobs: true", param="top_logprobs")
        check_messages(given.get("messages"), images=images)
        if images and has_pictures(given["messages"]):
            given["messages"] = with_pictures(given["messages"], await read_aside(given["messages"], self._limits))
        return given

    @contextmanager
    def _counted(self) -> Iterator[None]:
        """Count a call, and learn from how it went whether anybody is there."""
        self._running += 1
        try:
            yield
        except ProviderAway as error:
            self._presence.lost(error)
            raise
        else:
            self._presence.answered()
        finally:
            self._running -= 1

    def _check_running(self) -> None:
        if not self._started:
            raise EngineDead(f"The engine of {self._model} is not running")
