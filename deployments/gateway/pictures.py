"""Pictures by http(s) address: fetched here, so that a replica is only ever sent the pictures themselves.

A client's URL may not make this server talk to its own network. Every address that a host has must be public
(addresses.py), and the connection goes to the very address that was checked, so that a name cannot mean another one
a moment later; each redirect is judged anew. Ports, time, bytes and how many run at once are bounded.
"""

import asyncio
import base64
import json
import re
import ssl
from collections.abc import AsyncGenerator, Iterator
from contextlib import asynccontextmanager
from functools import cache
from typing import Any

import httpx
from pydantic_core import from_json

from cluster.errors import (
    BadRequest,
    HeliostatError,
    ImageFetchFailed,
    ImageTooLarge,
    ImageUrlNotAllowed,
    Overloaded,
    UnsupportedImage,
)
from cluster.settings.limits import LimitSettings
from deployments.gateway.addresses import Resolve, is_public, resolve
from deployments.gateway.wire import ChatRequest, ImagePart

SCHEMES = {"http": 80, "https": 443}
REDIRECTS = 3  # of one picture
TRIED = 3  # of a host's addresses, where the first do not answer
CONNECT_S = 3.0  # to each of them
AT_ONCE = 16  # fetches in a process: with `limits.max_image_bytes` this bounds what they hold
FOR_ONE = 4  # of these, for one request
RAW, ENCODED = 3, 4  # bytes and their length in base64
MEDIA_TYPE = re.compile(r"image/[a-z0-9.+-]{1,64}")
PUBLIC = "use a public http(s) address, or send the picture as data:image/png;base64,…"
SEND = "check the address, or send the picture as data:image/png;base64,…"
Found = tuple[str, dict[str, Any]]
"""An image's place in a request, and the object that holds its `url`."""


def has_addresses(wanted: ChatRequest) -> bool:
    """Whether a request shows a picture by its http(s) address."""
    return any(
        isinstance(part, ImagePart) and _is_address(part.image_url.url)
        for message in wanted.messages
        if isinstance(message.content, list)
        for part in message.content
    )


class Room:
    """Bytes that the pictures of one request may still take. limit: of their base64, as in a body that holds it."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._left = limit * RAW // ENCODED

    def take(self, count: int) -> None:
        """Use some. Raises ImageTooLarge when there are not so many."""
        self._left -= count
        if self._left < 0:
            raise ImageTooLarge(
                f"The pictures are together over the limit of {self._limit} bytes a request has",
                hint="send fewer, or smaller ones",
            )


class Pictures:
    """Fetches pictures. resolve: how a host's addresses are found."""

    def __init__(self, limits: LimitSettings, *, resolve: Resolve = resolve) -> None:
        self._limits = limits
        self._resolve = resolve
        self._running = asyncio.Semaphore(AT_ONCE)
        self._timeout_s = limits.image_fetch_timeout_ms / 1000

    async def fetched(self, body: bytes) -> bytes:
        """A checked chat request with a data URL for each picture's http(s) address.

        Raises ImageUrlNotAllowed, ImageFetchFailed, ImageTooLarge, UnsupportedImage and BadRequest, all with
        `param`; Overloaded when too many others are being fetched.
        """
        request = from_json(body)
        images = list(_images(request))
        if len(images) > self._limits.max_images:
            raise BadRequest(f"More than {self._limits.max_images} pictures in one request", param="messages")
        places: dict[str, str] = {}  # of each address, where it stands first
        for place, image in images:
            if _is_address(image["url"]):
                places.setdefault(image["url"], place)
        room, mine = Room(self._limits.max_body_bytes), asyncio.Semaphore(FOR_ONE)
        tasks = [asyncio.ensure_future(self._one(url, place, room, mine)) for url, place in places.items()]
        try:
            urls = dict(zip(places, await asyncio.gather(*tasks), strict=True))
        finally:
            for task in tasks:
                task.cancel()
        for _, image in images:
            image["url"] = urls.get(image["url"], image["url"])
        return json.dumps(request).encode()

    async def _one(self, url: str, place: str, room: Room, mine: asyncio.Semaphore) -> str:
        try:
            async with mine, self._turn(), asyncio.timeout(self._timeout_s):
                return await self._fetch(url, room)
        except TimeoutError:
            late = f"The picture did not come within {self._timeout_s:g} s"
            raise ImageFetchFailed(late, hint=SEND, param=place) from None
        except HeliostatError as error:
            error.param = place
            raise

    @asynccontextmanager
    async def _turn(self) -> AsyncGenerator[None, None]:
        """Be one of the few that fetch. Raises Overloaded when none of those ends in time."""
        try:
            async with asyncio.timeout(self._timeout_s):
                await self._running.acquire()
        except TimeoutError:
            raise Overloaded("Too many pictures are being fetched", retry_after_s=1.0) from None
        try:
            yield
        finally:
            self._running.release()

    async def _fetch(self, url: str, room: Room) -> str:
        target = _parsed(httpx.URL(), url)
        for _ in range(REDIRECTS + 1):
            addresses = await self._allowed(target)
            # A client for each step: none has a connection, or a cookie, that was meant for another host.
            async with httpx.AsyncClient(
                verify=_tls() if target.scheme == "https" else False,
                trust_env=False,  # a proxy would look the name up by itself
                timeout=httpx.Timeout(self._timeout_s, connect=CONNECT_S),
            ) as client:
                try:
                    response = await _sent(client, target, addresses)
                    if not response.has_redirect_location:
                        return await self._read(response, room)
                    target = _parsed(target, response.headers["location"])
                except httpx.HTTPError as error:
                    reason = "its host does not answer" if isinstance(error, httpx.ConnectError) else "it broke off"
                    raise ImageFetchFailed(f"The picture cannot be fetched: {reason}", hint=SEND) from error
        raise ImageFetchFailed(f"The picture's address leads on more than {REDIRECTS} times", hint=SEND)

    async def _allowed(self, target: httpx.URL) -> list[str]:
        """The addresses that may be connected to for a URL. Raises ImageUrlNotAllowed, without telling any."""
        if target.scheme not in SCHEMES or not target.host:
            raise ImageUrlNotAllowed("The picture's address is not http or https", hint=PUBLIC)
        if target.userinfo:
            raise ImageUrlNotAllowed("The picture's address has a user name or password in it", hint=PUBLIC)
        port = SCHEMES[target.scheme] if target.port is None else target.port
        if port not in self._limits.image_ports:
            raise ImageUrlNotAllowed(f"Pictures are not fetched from port {port}", hint=PUBLIC)
        host = target.raw_host.decode("ascii")
        try:
            addresses = await self._resolve(host, port)
        except (OSError, ValueError):
            addresses = []
        if not addresses:
            raise ImageFetchFailed("The picture cannot be fetched: its host is not found", hint=SEND)
        # One private address among public ones is how a name is made to mean either.
        if host not in self._limits.image_hosts and not all(map(is_public, addresses)):
            raise ImageUrlNotAllowed("The picture's address is not a public one", hint=PUBLIC)
        return addresses[:TRIED]

    async def _read(self, response: httpx.Response, room: Room) -> str:
        """The body of a response as a data URL."""
        if response.status_code != httpx.codes.OK:
            raise ImageFetchFailed(f"The picture's host answered with status {response.status_code}", hint=SEND)
        media_type = response.headers.get("content-type", "").partition(";")[0].strip().lower()
        if MEDIA_TYPE.fullmatch(media_type) is None:
            raise UnsupportedImage("What is at the picture's address does not say that it is a picture", hint=SEND)
        if response.headers.get("content-encoding", "identity").lower() != "identity":
            raise ImageFetchFailed("The picture came compressed, which was not asked for", hint=SEND)
        content = bytearray()
        async for piece in response.aiter_raw():
            content += piece
            if len(content) > self._limits.max_image_bytes:
                raise ImageTooLarge(
                    f"The picture is over the limit of {self._limits.max_image_bytes} bytes",
                    hint="send a smaller one",
                )
            room.take(len(piece))
        return f"data:{media_type};base64,{base64.b64encode(content).decode()}"


async def _sent(client: httpx.AsyncClient, target: httpx.URL, addresses: list[str]) -> httpx.Response:
    """The response's head, from the first address that takes a connection; TLS still checks the host's name."""
    headers = {"host": target.netloc.decode("ascii"), "accept": "image/*", "accept-encoding": "identity"}
    headers["user-agent"] = "heliostat"
    for last, address in enumerate(addresses, start=1):
        request = client.build_request(
            "GET",
            target.copy_with(host=address),
            headers=headers,
            extensions={"sni_hostname": target.raw_host.decode("ascii")},
        )
        try:
            return await client.send(request, stream=True)
        except (httpx.ConnectError, httpx.ConnectTimeout):
            if last == len(addresses):
                raise
    raise AssertionError("a host that is asked has addresses")


def _parsed(base: httpx.URL, url: str) -> httpx.URL:
    try:
        return base.join(url)
    except (httpx.InvalidURL, ValueError):
        raise ImageUrlNotAllowed("The picture's address is not a URL", hint=PUBLIC) from None


def _images(request: dict[str, Any]) -> Iterator[Found]:
    for at, message in enumerate(request["messages"]):
        content = message.get("content")
        for index, part in enumerate(content if isinstance(content, list) else ()):
            if part["type"] == "image_url":
                yield f"messages[{at}].content[{index}].image_url", part["image_url"]


def _is_address(url: str) -> bool:
    return url.lstrip()[:8].lower().startswith(("http:", "https:"))


@cache
def _tls() -> ssl.SSLContext:
    """Read once: it holds every authority's certificate."""
    return httpx.create_ssl_context()
