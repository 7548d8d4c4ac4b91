"""One provider's HTTP side: where it is, what may be sent and waited for, and its faults in our words.

Redirects are not followed, TLS certificates are verified, proxies that the environment names are not used, and
nothing is decompressed: compression is not asked for, and an answer that comes with it is refused unread. All
that is read is bounded in bytes and in time. Nothing is tried twice.
"""

import asyncio
import logging
import re
import ssl
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING

from cluster.errors import EngineDead, ProviderAway, ProviderFailure, StartFailed
from cluster.settings.remote import PlaceSettings, TimeoutSettings

if TYPE_CHECKING:
    import httpx

logger = logging.getLogger(__name__)

FACTS_S = 5.0  # for what a provider says of its models: a start may not hang on it
DRAIN_S = 0.5  # for the end of an answer after its last event, so that the connection can serve the next request
ERROR_BYTES = 64 * 1024  # of the body of an error
LINE_BYTES = 4 * 1024**2  # of one event: a whole tool call, or 20 log probabilities of each token, fits well
STREAM_BYTES = 256 * 1024**2  # of one stream: a million tokens with what is around each
WHOLE_BYTES = 32 * 1024**2  # of an answer that is held whole, as limits.max_body_bytes has it for a request
KEPT_CONNECTIONS = 32  # that wait for the next request
KEY = re.compile(r"[\x21-\x7e]{1,4096}")  # what a header can carry


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a provider is. base: its address, with what all paths begin with. name: how errors call it."""

    base: str
    name: str
    key: str | None = field(default=None, repr=False)


class Connection:
    """Speaks HTTP with one provider, over connections that it keeps. Life: `start`, any calls at once, `stop`."""

    def __init__(self, place: Place, settings: PlaceSettings) -> None:
        """Raises StartFailed for a key that no header can carry."""
        if place.key is not None and not KEY.fullmatch(place.key):
            raise StartFailed(
                f"{place.name}: the key in {settings.api_key_env} holds what no header can carry",
                hint="it is one line of ASCII without spaces",
            )
        self._place = place
        self._settings = settings
        self._client: httpx.AsyncClient | None = None
        self._told: str | None = None  # of its being away, so that a log says it once

    @property
    def name(self) -> str:
        """How errors call the provider."""
        return self._place.name

    @property
    def timeouts(self) -> TimeoutSettings:
        """How long it is waited for."""
        return self._settings.timeouts

    def hide(self, text: str) -> str:
        """The text without our key, should it hold that: providers repeat what they were sent."""
        return text.replace(self._place.key, "…") if self._place.key else text

    async def start(self) -> None:
        """Make a client; nothing is asked yet. Raises StartFailed for a `ca_file` that cannot be used."""
        import httpx

        settings, wait = self._settings, self._settings.timeouts
        plain = self._place.base.startswith("http://") and settings.proxy is None  # then nothing is to be verified
        try:
            verify = False if plain else _trusted(settings.ca_file)
        except (OSError, ssl.SSLError) as error:
            raise StartFailed(f"{self.name}: {settings.ca_file} cannot be used: {error}") from None
        self._client = httpx.AsyncClient(
            headers=self._headers(),
            verify=verify,
            trust_env=False,
            proxy=settings.proxy,
            follow_redirects=False,
            # Reading is bounded in Reply, by what is being waited for; a place in the pool is never waited for.
            timeout=httpx.Timeout(None, connect=wait.connect_ms / 1000, write=wait.idle_ms / 1000),
            limits=httpx.Limits(max_connections=None, max_keepalive_connections=KEPT_CONNECTIONS),
        )

    async def stop(self) -> None:
        """Close all connections; calling it twice is harmless."""
        client, self._client = self._client, None
        if client is not None:
            await client.aclose()

    @asynccontextmanager
    async def ask(
        self, path: str, body: bytes | None = None, *, first_s: float | None = None, total_s: float | None = None
    ) -> "AsyncGenerator[Reply, None]":
        """Send a request, a POST where it has a body, and give its reply; leaving the block hangs up.

        first_s: until it begins to be answered; None: as long as the whole may take. total_s: for the whole.
        Raises ProviderAway where nothing was sent, ProviderFailure, EngineDead where it is not started.
        """
        import httpx

        client = self._client
        if client is None:
            raise EngineDead(f"{self.name} is not asked any more: the engine is stopped")
        clock = asyncio.get_running_loop().time
        total_s = self.timeouts.total_ms / 1000 if total_s is None else total_s
        ends = clock() + total_s
        begins = ends if first_s is None else min(ends, clock() + first_s)
        request = client.build_request("GET" if body is None else "POST", self._url(path), content=body)
        try:
            async with asyncio.timeout_at(begins):
                response = await client.send(request, stream=True)
        except TimeoutError:
            waited = total_s if first_s is None else first_s
            raise ProviderFailure(f"{self.name} did not begin to answer within {waited:g} s") from None
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.ProxyError) as error:
            raise self._away(error) from None
        except httpx.TransportError as error:
            logger.warning("%s hung up: %s", self.name, self.hide(repr(error)))
            raise ProviderFailure(f"{self.name} hung up without an answer") from None
        self._told = None
        try:
            yield Reply(response, self, begins=begins, ends=ends)
        finally:
            await response.aclose()

    def _away(self, error: Exception) -> ProviderAway:
        if (told := self.hide(repr(error))) != self._told:
            logger.warning("%s cannot be reached: %s", self.name, told)
            self._told = told
        why = "its certificate is not valid" if "CERTIFICATE" in str(error) else "no connection"
        return ProviderAway(f"{self.name} cannot be reached: {why}", hint="its address is in the config")

    def _headers(self) -> Mapping[str, str]:
        settings, key = self._settings, self._place.key
        headers = {**settings.headers, "accept-encoding": "identity", "content-type": "application/json"}
        headers.setdefault("user-agent", "heliostat")
        if key is not None:
            name = settings.api_key_header.lower()
            headers[name] = f"Bearer {key}" if name == "authorization" else key
        return headers

    def _url(self, path: str) -> "httpx.URL":
        """The address of a path. What the base asks for after `?`, such as a version, stays."""
        import httpx

        base = httpx.URL(self._place.base)
        return base.copy_with(path=base.path.rstrip("/") + path)


@cache
def _trusted(ca_file: str | None) -> ssl.SSLContext:
    """Making one takes many milliseconds."""
    if ca_file is not None:
        return ssl.create_default_context(cafile=ca_file)
    import httpx

    return httpx.create_ssl_context(trust_env=False)


class Reply:
    """An answer as it comes. begins: when it must have begun, by the loop's clock. ends: when it must be whole.

    begun: set it once something came that is more than a sign of life.
    """

    def __init__(self, response: "httpx.Response", connection: Connection, *, begins: float, ends: float) -> None:
        self._response = response
        self._connection = connection
        self._chunks = response.aiter_raw()
        self._begins, self._ends = begins, ends
        self._read = 0
        self.begun = False

    @property
    def status(self) -> int:
        """The HTTP status."""
        return self._response.status_code

    @property
    def media_type(self) -> str:
        """What it says it is, in small letters and without parameters."""
        return str(self._response.headers.get("content-type", "")).partition(";")[0].strip().lower()

    def header(self, name: str) -> str | None:
        """A header, or None."""
        value = self._response.headers.get(name)
        return None if value is None else str(value)

    async def read(self, limit: int = STREAM_BYTES) -> bytes | None:
        """The next bytes, None at the end. Raises ProviderFailure where they are late, too many, or break off."""
        import httpx

        name, wait = self._connection.name, self._connection.timeouts
        if self._response.headers.get("content-encoding", "identity").lower() not in ("", "identity"):
            raise ProviderFailure(f"{name} answered with compression, which it was not asked for")
        now = asyncio.get_running_loop().time()
        idle = now + wait.idle_ms / 1000 if self.begun else self._begins
        try:
            async with asyncio.timeout_at(min(idle, self._ends)):
                chunk = await anext(self._chunks, None)
        except TimeoutError:
            raise self._late(idle) from None
        except httpx.HTTPError as error:
            logger.warning("%s broke off: %s", name, self._connection.hide(repr(error)))
            raise ProviderFailure(f"{name} broke off in the middle of its answer") from None
        self._read += len(chunk or b"")
        if self._read > limit:
            raise ProviderFailure(f"{name} answered with more than {limit} bytes")
        return chunk

    async def whole(self, limit: int = WHOLE_BYTES) -> bytes:
        """All of it. Raises as `read` does."""
        chunks = bytearray()
        while (chunk := await self.read(limit)) is not None:
            chunks += chunk
        return bytes(chunks)

    async def drain(self) -> None:
        """Wait a moment for the end after the last event; what comes before it is thrown away."""
        self._ends = min(self._ends, asyncio.get_running_loop().time() + DRAIN_S)
        try:
            while await self.read(self._read + ERROR_BYTES):
                pass
        except ProviderFailure:  # it costs a new connection, and nobody their answer
            return

    def _late(self, idle: float) -> ProviderFailure:
        name, wait = self._connection.name, self._connection.timeouts
        if self._ends <= idle:
            return ProviderFailure(f"{name} did not end its answer in time", hint="ask for fewer tokens")
        if not self.begun:
            return ProviderFailure(f"{name} sent no token within {wait.first_token_ms / 1000:g} s")
        return ProviderFailure(f"{name} fell silent in the middle of its answer, for {wait.idle_ms / 1000:g} s")
