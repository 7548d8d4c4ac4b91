"""Vector stores that expire."""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import openai
import pytest

from cluster.errors import Unavailable
from cluster.stores.vector_store_files import StoreFiles
from deployments.gateway.openai.vector_stores.desk import Desk
from deployments.gateway.openai.vector_stores.expiry import Expiry
from tests.unit.gateway.documents.shelf import Api
from tests.unit.gateway.documents.vector_stores.weather import Clients, filled
from tests.unit.waiting import until


def later(days: float) -> Callable[[], datetime]:
    return lambda: datetime.now(UTC) + timedelta(days=days)


def expiry(api: Api, days: float) -> Expiry:
    work = Desk(api.retriever, api.settings, api.engine, api.collections, api.jobs).attaching
    return Expiry(api.collections, work, clock=later(days))


async def test_an_expired_store_says_so_and_holds_nothing(
    ann: openai.AsyncOpenAI, api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = await filled(ann)
    await ann.vector_stores.update(store, expires_after={"anchor": "last_active_at", "days": 1})
    monkeypatch.setattr("cluster.stores.collection_names.Collection.expired", lambda *_: True)
    expired = await ann.vector_stores.retrieve(store)
    assert (expired.status, expired.file_counts.total) == ("expired", 0)
    with pytest.raises(openai.NotFoundError, match="expired"):
        await ann.vector_stores.search(store, query="Alps")
    assert not any(api.retriever.kept.values())
    assert (await ann.vector_stores.delete(store)).deleted


async def test_what_expired_is_emptied_though_nobody_looks_and_forgotten_a_month_later(
    ann: openai.AsyncOpenAI, client: Clients, api: Api
) -> None:
    store, kept = await filled(ann), await filled(client("bob"))
    await ann.vector_stores.update(store, expires_after={"anchor": "last_active_at", "days": 2})
    assert await expiry(api, 1.9).sweep() == 0
    assert await expiry(api, 2.1).sweep() == 1
    assert await expiry(api, 2.1).sweep() == 0
    assert StoreFiles(api.engine).counts([store])[store].usage_bytes == 0
    assert (await ann.vector_stores.retrieve(store)).file_counts.total == 0
    assert [store.id async for store in ann.vector_stores.list()] == [store]
    assert await expiry(api, 33).sweep() == 1
    assert [store.id async for store in ann.vector_stores.list()] == []
    assert (await client("bob").vector_stores.search(kept, query="Alps")).data
    assert sum(map(bool, api.retriever.kept.values())) == 1


async def test_sweeps_go_on_after_one_that_failed(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("deployments.gateway.openai.vector_stores.expiry.SWEEP_S", 0.001)
    swept: list[int] = []

    class Failing(Expiry):
        async def sweep(self) -> int:
            swept.append(len(swept))
            raise Unavailable("the database is away")

    watch = asyncio.create_task(Failing(api.collections, expiry(api, 0)._attaching).watch())
    await until(lambda: len(swept) > 2)
    watch.cancel()
