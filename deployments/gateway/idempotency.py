"""`Idempotency-Key`: a request that is sent again, by a client that lost the answer, does not run again.

Per owner, key, method and path. The same body gets the stored answer, with `idempotency-replayed: true`; another
body is refused; a twin that comes while the first runs waits for it and gets its answer. Kept for 24 hours in the
SQL database, so all gateways know them. The end of an answer is sent only once the answer is stored: whoever saw
it whole can rely on it.

Not stored, so that a retry runs: 5xx, 429, other statuses that say "not now", a stream that broke, a generation
whose client hung up, and an answer over MAX_ANSWER_BYTES. Where the database does not answer, a request with a
key gets 503: that it runs once could not be promised.
"""

import asyncio
import json
import logging
import re
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from functools import partial
from time import monotonic
from typing import TypeVar

from sqlalchemy.exc import SQLAlchemyError
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from cluster.errors import (
    BadRequest,
    Conflict,
    DatabaseAway,
    IdempotencyInProgress,
    IdempotencyMismatch,
    Unavailable,
)
from cluster.stores.database import now
from cluster.stores.idempotency import Claimed, IdempotentAnswers, Stored
from deployments.gateway import timing
from deployments.gateway.errors import respond
from deployments.gateway.principal import principal_of
from deployments.gateway.sent_body import SentBody

logger = logging.getLogger(__name__)
Result = TypeVar("Result")

HEADER = b"idempotency-key"
REPLAYED = (b"idempotency-replayed", b"true")
ACCEPTED = re.compile(rb"[\x20-\x7e]{1,255}")
# What creates or computes something. Not here: sign-ins and new keys, whose answers are secrets.
PATHS = re.compile(
    r"/v1/(chat/completions|completions|embeddings|responses|messages|files|uploads|batches|rerank|score|vector_stores)(/.*)?"
    r"|/api/v1/(conversations|documents|collections|experiments|sweeps|rag)(/.*)?|/api/experiments(/.*)?|/api/responses/generate"
)
# What these do is their answer: without a client it is for nobody, and stops. What others make stays, so they go on
# when their client hangs up, and whoever comes back with the key gets the answer.
ENDS_WITH_CLIENT = re.compile(
    r"/v1/(chat/completions|completions|embeddings|responses|messages|rerank|score)(/.*)?|/api/v1/rag(/.*)?"
)
KEPT = timedelta(hours=24)
CLAIM_S = 30.0  # a gateway that has not renewed its claim for so long is dead
RENEWALS = 3  # of a claim in its time
MAX_ANSWER_BYTES = 4 * 1024**2
PURGE_S = 600.0  # how often a gateway clears away what has expired
FIRST_LOOK_S, LONGEST_LOOK_S = 0.02, 0.5  # a twin looks whether its answer is there, less and less often
NOT_NOW = frozenset({408, 409, 425, 429})


class Idempotency:
    """ASGI middleware, inside of authentication. A request without the header pays for one look at its headers.

    wait_s: how long a twin waits for the first.
    """

    def __init__(
        self, app: ASGIApp, *, answers: IdempotentAnswers, wait_s: float, claim_s: float = CLAIM_S
    ) -> None:
        self._app = app
        self._answers = answers
        self._wait_s = wait_s
        self._claim_s = claim_s
        self._purged = monotonic()
        self._working: set[asyncio.Task[None]] = set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one connection."""
        keys = [value for name, value in scope["headers"] if name == HEADER] if _is_post(scope) else []
        if not keys or PATHS.fullmatch(scope["path"]) is None:
            await self._app(scope, receive, send)
            return
        try:
            if len(keys) > 1 or ACCEPTED.fullmatch(keys[0]) is None:
                raise BadRequest(
                    "Idempotency-Key must be 1 to 255 printable ASCII characters", param="Idempotency-Key"
                )
            with SentBody() as body:
                if not await body.read(scope, receive):
                    return  # the client hung up before it had sent everything
                await self._answer(_id(scope, keys[0]), body, scope, receive, send)
        except (BadRequest, Conflict, Unavailable) as error:  # ours: the app's own are answers by now
            response = respond(error, scope["path"], scope.get("state", {}).get("request_id"))
            await response(scope, receive, send)

    async def _answer(self, answer_id: str, body: SentBody, scope: Scope, receive: Receive, send: Send) -> None:
        answers = self._answers
        await self._purge()
        got = await _aside(partial(answers.claim, answer_id, body.fingerprint, for_s=self._claim_s))
        if isinstance(got, Stored) and got.status is None and got.fingerprint == body.fingerprint:
            found = await self._first_ones(answers, answer_id, body, receive)
            if found is None:
                return
            got = found
        if isinstance(got, Claimed):
            held = _Claim(answers, answer_id, got.claim, self._claim_s)
            await self._run(held, body, scope, receive, send)
        elif got.fingerprint != body.fingerprint:
            raise IdempotencyMismatch(
                "This Idempotency-Key came before with another request", hint="a new request needs a new key"
            )
        else:
            await _replay(got, send)

    async def _first_ones(
        self, answers: IdempotentAnswers, answer_id: str, body: SentBody, receive: Receive
    ) -> Claimed | Stored | None:
        """What the first request was answered, or the claim that it left; None when the client hung up."""
        deadline = monotonic() + self._wait_s
        look_s = FIRST_LOOK_S
        gone = asyncio.ensure_future(_hung_up(receive))
        try:
            while monotonic() < deadline:
                await asyncio.wait({gone}, timeout=look_s)
                if gone.done():
                    return None
                look_s = min(2 * look_s, LONGEST_LOOK_S)
                got: Claimed | Stored | None = await _aside(partial(answers.find, answer_id))
                if got is None:
                    got = await _aside(partial(answers.claim, answer_id, body.fingerprint, for_s=self._claim_s))
                if isinstance(got, Claimed) or got.status is not None or got.fingerprint != body.fingerprint:
                    return got
        finally:
            gone.cancel()
            await asyncio.wait({gone})  # the app may be the next to receive
        raise IdempotencyInProgress(
            "The first request with this Idempotency-Key still runs", hint="ask again later", retry_after_s=1.0
        )

    async def _run(self, held: "_Claim", body: SentBody, scope: Scope, receive: Receive, send: Send) -> None:
        """Run the request within its claim, and beyond its client where it makes something that stays."""
        outlives = ENDS_WITH_CLIENT.fullmatch(scope["path"]) is None
        client = _Client(send)
        work = asyncio.create_task(
            self._work(held, body, scope, body.again(_never if outlives else receive), client.send)
        )
        self._working.add(work)  # nobody else keeps one that outlives its client
        work.add_done_callback(self._working.discard)
        try:
            await asyncio.shield(work)
        except asyncio.CancelledError:
            if outlives:
                client.gone = body.lent = True
            else:
                work.cancel()
                await asyncio.wait({work})
            raise

    async def _work(self, held: "_Claim", body: SentBody, scope: Scope, receive: Receive, send: Send) -> None:
        answer = _Answer()
        stored = False

        async def send_and_store(message: Message) -> None:
            nonlocal stored
            answer.take(message)
            if answer.ended and answer.worth_storing:
                stored = await held.store(answer)
            await send(message)

        try:
            async with held.renewed():
                await self._app(scope, receive, send_and_store)
        except Exception as error:
            if body.lent:  # nobody is there to whom it could be told
                logger.exception("a request failed after its client hung up", exc_info=error)
            raise
        finally:
            body.lent = False
            if not stored:
                await asyncio.shield(held.release())

    async def _purge(self) -> None:
        if monotonic() - self._purged > PURGE_S:
            self._purged = monotonic()
            await _aside(self._answers.purge)


class _Claim:
    """A claim that this gateway holds."""

    def __init__(self, answers: IdempotentAnswers, answer_id: str, claim: str, claim_s: float) -> None:
        self._answers = answers
        self._which = (answer_id, claim)
        self._claim_s = claim_s

    @asynccontextmanager
    async def renewed(self) -> AsyncGenerator[None, None]:
        """Keep it for as long as this lasts."""

        async def renew() -> None:
            while True:
                await asyncio.sleep(self._claim_s / RENEWALS)
                with suppress(Unavailable):  # the next time, or the claim runs out
                    await _aside(partial(self._answers.renew, *self._which, for_s=self._claim_s))

        renewing = asyncio.create_task(renew())
        try:
            yield
        finally:
            renewing.cancel()

    async def store(self, answer: "_Answer") -> bool:
        """Keep the answer under the key."""
        keep = partial(self._answers.store, status=answer.status, headers=answer.headers, until=now() + KEPT)
        try:
            return await _aside(partial(keep, *self._which, body=answer.body))
        except Unavailable:  # said in the log; the answer is as good without
            return False

    async def release(self) -> None:
        """Let the next request run."""
        with suppress(Unavailable):  # then the claim runs out
            await _aside(partial(self._answers.release, *self._which))


class _Client:
    """Who is answered, for as long as they are there."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self.gone = False

    async def send(self, message: Message) -> None:
        if not self.gone:
            await self._send(message)


class _Answer:
    """An answer on its way out, as far as it has come."""

    def __init__(self) -> None:
        self.status = 0
        self.headers = "[]"
        self.ended = False
        self.stored = False
        self._parts: list[bytes] = []
        self._size = 0

    def take(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            pairs = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in message["headers"]]
            self.headers = json.dumps(pairs)
        elif message["type"] == "http.response.body":
            part = message.get("body", b"")
            self._size += len(part)
            if self._size <= MAX_ANSWER_BYTES:
                self._parts.append(part)
            self.ended = not message.get("more_body", False)

    @property
    def worth_storing(self) -> bool:
        watch = timing.current()
        whole = self._size <= MAX_ANSWER_BYTES and (watch is None or watch.broken is None)
        return whole and self.status < 500 and self.status not in NOT_NOW

    @property
    def body(self) -> bytes:
        return b"".join(self._parts)


def _is_post(scope: Scope) -> bool:
    return bool(scope["type"] == "http" and scope["method"] == "POST")


def _id(scope: Scope, key: bytes) -> str:
    from starlette.requests import HTTPConnection

    owner = principal_of(HTTPConnection(scope)).owner
    return IdempotentAnswers.id_of(owner=owner, key=key.decode(), method=scope["method"], path=scope["path"])


async def _replay(answer: Stored, send: Send) -> None:
    headers = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in json.loads(answer.headers)]
    await send({"type": "http.response.start", "status": answer.status, "headers": [*headers, REPLAYED]})
    await send({"type": "http.response.body", "body": answer.body})


async def _never() -> Message:
    await asyncio.Event().wait()
    raise AssertionError


async def _hung_up(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _aside(call: Callable[[], Result]) -> Result:
    """The result of a blocking call of the database. Raises Unavailable where that fails."""
    try:
        return await asyncio.to_thread(call)
    except (DatabaseAway, SQLAlchemyError) as error:
        logger.exception("the database of idempotency keys failed")
        raise Unavailable(
            "Whether this Idempotency-Key came before cannot be looked up just now",
            hint="send it again with the same key",
            retry_after_s=1.0,
        ) from error
