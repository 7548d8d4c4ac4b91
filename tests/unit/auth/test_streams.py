"""What goes on after its asker's credentials ended: nothing, for more than seconds."""

import asyncio
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from cluster.errors import HeliostatError, InvalidApiKey, Unavailable
from cluster.stores.accounts import Changes
from deployments.clients import Backends
from deployments.gateway import errors
from deployments.gateway.anthropic import routes as anthropic
from deployments.gateway.auth.guard import Asker, Guard
from deployments.gateway.auth.middleware import Authentication
from deployments.gateway.chats import Chats
from deployments.gateway.middleware import RequestIds
from deployments.gateway.openai import routes as openai
from deployments.gateway.surface import take
from tests.unit.auth.conftest import House
from tests.unit.gateway.conftest import LocalModel, client_of, started
from tests.unit.waiting import until

ASKED = {"model": "echo", "messages": [{"role": "user", "content": "one two"}], "max_tokens": 60}


@dataclass
class Slow:
    """An app whose answers take a second, and its engine."""

    model: LocalModel
    client: httpx.AsyncClient

    def post(self, headers: dict[str, str], *, stream: bool = True, path: str = "/v1/chat/completions") -> Any:
        asked = self.client.post(path, headers=headers, json={**ASKED, "stream": stream})
        return asyncio.ensure_future(asked)

    async def until(self, running: int) -> None:
        await until(lambda: self.model.engine.running == running)


@pytest.fixture
async def slow(house: House) -> Slow:
    model = await started(tokens=60, token_delay_s=0.02)
    backends = Backends(models={"echo": model})
    chats = Chats(backends, house.settings)
    app = FastAPI()
    errors.install(app)
    take(app, openai.router(backends, house.settings, chats))
    take(app, anthropic.router(backends.models, chats))
    app.add_middleware(Authentication, authenticator=house.directory.authenticator, watch_s=0.01)
    app.add_middleware(RequestIds)
    return Slow(model=model, client=client_of(app))


def revoke(house: House) -> None:
    for key in house.directory.keys.list():
        house.directory.keys.revoke(key.id)


def disable(house: House) -> None:
    accounts = house.directory.accounts
    accounts.change(accounts.named("ann@example.org").id, Changes(disabled=True))


def delete(house: House) -> None:
    accounts = house.directory.accounts
    accounts.remove(accounts.named("ann@example.org").id)


@pytest.mark.parametrize("end", [revoke, disable, delete])
async def test_a_stream_ends_with_an_error_event_and_its_generation_stops(
    house: House, slow: Slow, end: Callable[[House], None]
) -> None:
    account = house.account()
    answer = slow.post(house.key(account.id))
    await slow.until(running=1)
    end(house)
    house.directory.authenticator.forget()
    events = [line.removeprefix("data: ") for line in (await answer).text.split("\n\n") if line]
    assert (await answer).status_code == 200
    assert 1 < len(events) < 50
    assert json.loads(events[-1])["error"]["code"] == "invalid_api_key"
    assert slow.model.engine.running == 0


async def test_an_anthropic_stream_ends_with_an_event_of_its_own_kind(house: House, slow: Slow) -> None:
    answer = slow.post(house.key(), path="/v1/messages")
    await slow.until(running=1)
    revoke(house)
    house.directory.authenticator.forget()
    last = (await answer).text.strip().split("\n\n")[-1]
    assert last.startswith("event: error\n")
    assert "authentication_error" in last


async def test_a_person_who_signs_out_everywhere_gets_no_more(house: House, slow: Slow) -> None:
    account = house.account()
    answer = slow.post(await house.token())
    await slow.until(running=1)
    house.directory.sessions.revoke_all(account.id)
    assert '"invalid_api_key"' in (await answer).text.split("\n\n")[-2]


async def test_a_stream_outlives_the_access_token_of_a_session_that_goes_on(house: House, slow: Slow) -> None:
    account = house.account()
    person = await house.token()
    authenticator = house.directory.authenticator
    identity = await authenticator.identify(person["authorization"].removeprefix("Bearer "))
    await authenticator.confirm("an expired token", identity)  # or it would raise, as it does in a moment
    house.directory.sessions.revoke_all(account.id)
    authenticator.forget()
    with pytest.raises(InvalidApiKey):
        await authenticator.confirm("an expired token", identity)


async def test_a_whole_answer_of_a_revoked_key_is_401_and_its_generation_stops(house: House, slow: Slow) -> None:
    answer = slow.post(house.key(), stream=False)
    await slow.until(running=1)
    revoke(house)
    house.directory.authenticator.forget()
    assert ((await answer).status_code, (await answer).json()["error"]["code"]) == (401, "invalid_api_key")
    await slow.until(running=0)


async def test_an_undisturbed_stream_ends_as_ever(house: House, slow: Slow) -> None:
    answer = await slow.post(house.key())
    assert answer.text.endswith("data: [DONE]\n\n")


def asker(*answers: HeliostatError | None, every_s: float = 0.005) -> tuple[Asker, list[int]]:
    """Somebody whose credentials are confirmed, or not; and how often they were looked at."""
    looks: list[int] = []
    left = list(answers)

    async def confirm() -> None:
        looks.append(1)
        error = left.pop(0) if left else None
        if error is not None:
            raise error

    return Asker(confirm=confirm, every_s=every_s), looks


async def test_work_that_ends_before_the_first_look_is_never_looked_at() -> None:
    who, looks = asker(every_s=0.1)
    with Guard(lambda: None, asker=who):
        await asyncio.sleep(0)
    await asyncio.sleep(0.12)
    assert looks == []


async def test_a_guard_goes_on_looking_until_it_is_left() -> None:
    who, looks = asker()
    with Guard(lambda: None, asker=who) as guard:
        await until(lambda: len(looks) >= 2)
    seen = len(looks)
    await asyncio.sleep(0.02)
    assert 2 <= seen == len(looks)
    assert guard.lost is None


async def test_a_database_that_is_away_cuts_nobody() -> None:
    who, looks = asker(Unavailable("away"), Unavailable("away"), InvalidApiKey("revoked"))
    cut = asyncio.Event()
    with Guard(cut.set, asker=who) as guard:
        await asyncio.wait_for(cut.wait(), 20)
    assert len(looks) == 3
    assert guard.lost is not None
    assert guard.lost.code == "invalid_api_key"


async def test_without_credentials_nothing_is_guarded() -> None:
    with Guard(lambda: None) as guard:
        await asyncio.sleep(0)
    assert guard.lost is None
