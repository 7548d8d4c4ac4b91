"""Several gateways that count together, in a real Redis."""

import asyncio
import logging
import os
import random
import shutil
import socket
import subprocess
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from deployments.gateway.limits import redis as redis_limits
from deployments.gateway.limits.account import Account, Limited
from deployments.gateway.limits.gate import Gate
from deployments.gateway.limits.limiter import Limiter
from deployments.gateway.limits.redis import RedisLimits
from deployments.gateway.limits.store import StoreAway
from deployments.gateway.principal import Limits
from tests.unit.gateway.conftest import client_of, settings_with, started
from tests.unit.gateway.limits.conftest import HELLO, app_behind, key

SERVER = shutil.which("redis-server")
pytestmark = pytest.mark.skipif(SERVER is None, reason="no redis-server: apt-get install redis-server")

LIMITS = Limits(requests_per_minute=5, tokens_per_minute=600, concurrent_requests=2)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The socket of a server that keeps nothing."""
    path = tmp_path_factory.mktemp("redis") / "s"
    arguments = ["--port", "0", "--unixsocket", str(path), "--save", "", "--appendonly", "no"]
    process = subprocess.Popen([str(SERVER), *arguments], stdout=subprocess.DEVNULL, cwd=path.parent)
    until = time.monotonic() + 10
    while not _listens(path):
        assert process.poll() is None, "redis-server did not start"
        assert time.monotonic() < until, "redis-server does not listen"
        time.sleep(0.005)
    yield path
    process.terminate()
    process.wait()


def _listens(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as asked:
        return asked.connect_ex(str(path)) == 0


@pytest.fixture
async def stores(server: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[tuple[RedisLimits, RedisLimits]]:
    """The stores of two gateways, patient: the machine that runs the tests may have other work."""
    monkeypatch.setattr(redis_limits, "ANSWER_S", 10.0)
    prefix = os.urandom(4).hex()
    pair = (RedisLimits(f"unix://{server}", prefix=prefix), RedisLimits(f"unix://{server}", prefix=prefix))
    yield pair
    for store in pair:
        await store.close()


async def test_two_gateways_count_together(stores: tuple[RedisLimits, RedisLimits]) -> None:
    limits = Limits(requests_per_minute=3)
    verdicts = [await stores[n % 2].take("key", limits, tokens=0, lease=str(n)) for n in range(4)]
    assert [verdict.refused for verdict in verdicts] == [None, None, None, Limited.REQUESTS]
    assert 10 < verdicts[-1].wait_s <= 20
    assert (await stores[0].take("other", limits, tokens=0, lease="x")).refused is None


async def test_takes_at_the_same_time_never_take_more_than_there_is(
    stores: tuple[RedisLimits, RedisLimits],
) -> None:
    limits = Limits(requests_per_minute=20)
    asked = [stores[n % 2].take("key", limits, tokens=0, lease=str(n)) for n in range(60)]
    verdicts = await asyncio.gather(*asked)
    assert sum(verdict.refused is None for verdict in verdicts) == 20


async def test_the_script_says_what_the_account_says(stores: tuple[RedisLimits, RedisLimits]) -> None:
    store, chance = stores[0], random.Random(7)
    for round_number in range(20):
        name, account, running = f"key-{round_number}", Account(), []
        late = 0.0  # seconds in all by which Redis counted after us: so much more is refilled there
        limits = Limits(
            requests_per_minute=chance.choice([None, 1, 5, 1000]),
            tokens_per_minute=chance.choice([None, 100, 5000]),
            concurrent_requests=chance.choice([None, 0, 1, 3]),
        )
        for number in range(12):
            now, lease, tokens = time.time(), str(number), chance.randrange(1, 120)
            theirs = await store.take(name, limits, tokens=tokens, lease=lease)
            late += time.time() - now
            ours = account.take(limits, tokens=tokens, lease=lease, now=now)
            assert (theirs.refused, theirs.standing.limits) == (ours.refused, limits)
            assert theirs.wait_s == pytest.approx(ours.wait_s, abs=1)
            assert _figures(theirs.standing) == pytest.approx(_figures(ours.standing), abs=1 + late * 5000 / 60)
            if ours.refused is None:
                running.append((lease, tokens))
            if running and chance.random() < 0.5:
                lease, given = running.pop(), chance.randrange(-60, 60)
                store.settle(name, limits, tokens=given, lease=lease[0])
                account.settle(limits, tokens=given, lease=lease[0], now=now)
                await _settled(store)
                late += time.time() - now
        now = time.time()
        theirs = await store.standing(name, limits)
        late += time.time() - now
        ours = account.standing(limits, now)
        assert _figures(theirs) == pytest.approx(_figures(ours), abs=1 + late * 5000 / 60)


def _figures(standing: Any) -> list[float]:
    limits = standing.limits
    requests = standing.requests if limits.requests_per_minute else 0.0
    return [requests, standing.tokens if limits.tokens_per_minute else 0.0]


async def _settled(store: RedisLimits) -> None:
    if store._tasks:
        await asyncio.wait(store._tasks)


async def test_places_are_freed_by_settling_and_by_the_end_of_a_gateways_lease(
    stores: tuple[RedisLimits, RedisLimits], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(redis_limits, "LEASE_S", 0.4)
    monkeypatch.setattr(redis_limits, "RENEWED_S", 0.03)
    limits = Limits(concurrent_requests=2)
    alive, dies = stores
    await alive.take("key", limits, tokens=0, lease="a")
    await dies.take("key", limits, tokens=0, lease="b")
    assert (await alive.take("key", limits, tokens=0, lease="c")).refused is Limited.CONCURRENT
    assert dies._renewing is not None
    dies._renewing.cancel()  # what is left of a gateway that was killed
    await asyncio.sleep(0.5)
    assert (await alive.take("key", limits, tokens=0, lease="c")).refused is None
    # The living one's place was renewed all the while.
    assert (await alive.take("key", limits, tokens=0, lease="d")).refused is Limited.CONCURRENT
    alive.settle("key", limits, tokens=0, lease="a")
    await _settled(alive)
    assert (await alive.take("key", limits, tokens=0, lease="d")).refused is None


async def test_a_server_that_is_away_is_said_to_be_and_never_waited_for(tmp_path: Path) -> None:
    store = RedisLimits(f"unix://{tmp_path / 'nobody'}")
    with pytest.raises(StoreAway):
        await store.take("key", LIMITS, tokens=1, lease="a")
    await store.close()


async def test_a_server_that_accepts_and_says_nothing_is_not_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(redis_limits, "ANSWER_S", 0.02)
    with socket.socket(socket.AF_UNIX) as silent:
        silent.bind(str(tmp_path / "s"))
        silent.listen()
        store = RedisLimits(f"unix://{tmp_path / 's'}")
        begun = time.monotonic()
        with pytest.raises(StoreAway):
            await store.take("key", LIMITS, tokens=1, lease="a")
        assert time.monotonic() - begun < 10
        await store.close()


async def test_a_gateway_over_redis_answers_limits_and_settles(stores: tuple[RedisLimits, RedisLimits]) -> None:
    model, limited = await started(), key(requests_per_minute=3, tokens_per_minute=1000)
    gates = [Gate(limiter=Limiter(store)) for store in stores]
    apps = [client_of(app_behind(gate, model, settings_with(), limited)) for gate in gates]
    headers = {"x-key": "key"}
    statuses = []
    for number in range(4):
        answer = await apps[number % 2].post("/v1/chat/completions", json=HELLO, headers=headers)
        statuses.append(answer.status_code)
        await _settled(stores[number % 2])
    assert statuses == [200, 200, 200, 429]
    assert answer.headers["x-ratelimit-remaining-requests"] == "0"
    # Three of 3 tokens read and 3 written; and the time that it took has given some back.
    assert 982 <= int(answer.headers["x-ratelimit-remaining-tokens"]) < 1000


async def test_scripts_that_redis_forgot_are_sent_again(stores: tuple[RedisLimits, RedisLimits]) -> None:
    limits = Limits(requests_per_minute=3)
    await stores[0].take("key", limits, tokens=0, lease="a")
    await stores[0]._redis.script_flush()
    assert (await stores[0].take("key", limits, tokens=0, lease="b")).standing.requests < 2


async def test_an_account_that_is_not_one_is_a_store_that_is_away(stores: tuple[RedisLimits, RedisLimits]) -> None:
    await stores[0]._redis.set(stores[0]._keys("key")[0], "somebody else's")
    with pytest.raises(StoreAway, match="WRONGTYPE"):
        await stores[0].take("key", LIMITS, tokens=1, lease="a")


async def test_no_request_fails_because_redis_is_away(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    store = RedisLimits(f"unix://{tmp_path / 'nobody'}")
    app = app_behind(Gate(limiter=Limiter(store)), await started(), settings_with(), key(requests_per_minute=1))
    async with client_of(app) as client:
        for stream in (False, True):
            answer = await client.post(
                "/v1/chat/completions", json={**HELLO, "stream": stream}, headers={"x-key": "key"}
            )
            assert answer.status_code == 200
    assert "requests go on without" in caplog.text
    await store.close()


async def test_redis_that_ends_between_take_and_settle_is_a_line_in_the_log(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    store = RedisLimits(f"unix://{tmp_path / 'nobody'}")
    with caplog.at_level(logging.WARNING, "deployments.gateway"):
        store.settle("key", LIMITS, tokens=5, lease="a")
        await _settled(store)
    assert "could not be settled" in caplog.text
    await store.close()
