"""An answer outlives its request, but not the credentials that asked for it."""

import json

from starlette.types import ASGIApp, Receive, Scope, Send

from cluster.errors import HeliostatError, InvalidApiKey
from deployments.gateway.auth.guard import ASKER, Asker
from tests.unit.gateway.conversations.asking import SPOKEN, Gateway, endless
from tests.unit.waiting import until


class Credentials:
    """What requests ask with, until a test ends it."""

    error: HeliostatError | None = None

    async def confirm(self) -> None:
        if self.error is not None:
            raise self.error


class Asking:
    """Middleware: requests of a method ask with credentials."""

    def __init__(self, app: ASGIApp, *, credentials: Credentials, method: str) -> None:
        self._app = app
        self._asker = Asker(confirm=credentials.confirm, every_s=0.005)
        self._method = method

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope.get("method") == self._method:
            ASKER.set(self._asker)
        await self._app(scope, receive, send)


def held(gateway: Gateway, method: str = "POST") -> Credentials:
    """The credentials of all such requests to a gateway from now on."""
    credentials = Credentials()
    gateway.app.add_middleware(Asking, credentials=credentials, method=method)
    return credentials


async def test_a_session_ends_with_its_askers_credentials_and_keeps_what_was_said() -> None:
    gateway, model = await endless()
    credentials = held(gateway)
    conversation = await gateway.conversation()
    number = (await gateway.stream(conversation, SPOKEN).until(3)).session
    credentials.error = InvalidApiKey("revoked")
    await until(lambda: model.engine.running == 0)
    session = await gateway.session_once(lambda one: one["status"] != "active", number)
    assert (session["status"], session["terminationReason"]) == ("error", "invalid_api_key")
    assert session["partialResponse"].startswith("w0 w1")


async def test_it_ends_after_its_client_has_gone_too() -> None:
    gateway, model = await endless()
    credentials = held(gateway)
    read = await gateway.stream(await gateway.conversation(), SPOKEN).until(3)
    await read.hang_up()
    assert model.engine.running == 1
    credentials.error = InvalidApiKey("revoked")
    await until(lambda: model.engine.running == 0)


async def test_who_only_reads_along_gets_a_last_event_and_the_answer_goes_on() -> None:
    gateway, model = await endless()
    credentials = held(gateway, "GET")
    asked = await gateway.stream(await gateway.conversation(), SPOKEN).until(3)
    reader = await gateway.resume(asked.session).until(3)
    credentials.error = InvalidApiKey("revoked")
    await reader.end()
    last = reader._text.rstrip().rpartition("\n\n")[2].split("\n")
    assert last[0] == "event: error"
    assert json.loads(last[1].removeprefix("data: "))["error"]["code"] == "invalid_api_key"
    assert model.engine.running == 1
    await gateway.stop(asked.session)
