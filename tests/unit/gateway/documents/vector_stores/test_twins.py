"""Files of the same bytes in one store, and one file put in again: what is searched is what the files say."""

import asyncio
from contextlib import suppress
from typing import Any

import openai
import pytest

from cluster.documents import Document
from tests.unit.gateway.documents.shelf import Api
from tests.unit.gateway.documents.vector_stores.weather import SNOW
from tests.unit.waiting import until


def equal(key: str, value: Any) -> Any:
    return {"type": "eq", "key": key, "value": value}


async def names(ann: openai.AsyncOpenAI, store: str, filters: Any = openai.omit) -> list[str]:
    return [hit.filename for hit in (await ann.vector_stores.search(store, query="Alps", filters=filters)).data]


async def upload(ann: openai.AsyncOpenAI, name: str) -> str:
    return (await ann.files.create(file=(name, SNOW), purpose="assistants")).id


async def put(ann: openai.AsyncOpenAI, store: str, file: str, **attributes: Any) -> str:
    done = await ann.vector_stores.files.create_and_poll(
        file, vector_store_id=store, attributes=attributes, poll_interval_ms=1
    )
    return done.status


async def test_a_file_put_in_again_while_it_comes_in_is_there_once_it_is_completed(
    ann: openai.AsyncOpenAI, api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first coming in found its row gone, and forgot the document that the second had just stored."""
    add, remove, forgetting = api.retriever.add, api.retriever.remove, asyncio.Event()

    async def late(**fields: Any) -> Document:
        if api.retriever.adds == 1:
            with suppress(TimeoutError):  # nobody forgets anything: what is to be shown
                await asyncio.wait_for(forgetting.wait(), 0.3)
        return await add(**fields)

    async def later(*where: Any) -> Document:
        forgetting.set()
        await until(lambda: api.retriever.adds == 2)
        return await remove(*where)

    monkeypatch.setattr(api.retriever, "add", late)
    monkeypatch.setattr(api.retriever, "remove", later)
    api.retriever.slow = asyncio.Event()
    store = (await ann.vector_stores.create()).id
    file = await upload(ann, "snow.txt")
    await ann.vector_stores.files.create(store, file_id=file)
    await until(lambda: api.retriever.entered == 1)
    await ann.vector_stores.files.create(store, file_id=file)
    api.retriever.slow.set()
    done = await ann.vector_stores.files.poll(file, vector_store_id=store, poll_interval_ms=1)
    assert (done.status, api.retriever.adds) == ("completed", 2)
    assert await names(ann, store) == ["snow.txt"]


async def test_a_file_taken_out_while_its_twin_comes_in_leaves_it_the_document(
    ann: openai.AsyncOpenAI, api: Api
) -> None:
    store = (await ann.vector_stores.create()).id
    first, second = await upload(ann, "snow.txt"), await upload(ann, "again.txt")
    assert await put(ann, store, first) == "completed"
    api.retriever.slow = asyncio.Event()
    await ann.vector_stores.files.create(store, file_id=second)
    await until(lambda: api.retriever.entered == 2)
    await ann.vector_stores.files.delete(first, vector_store_id=store)
    api.retriever.slow.set()
    await ann.vector_stores.files.poll(second, vector_store_id=store, poll_interval_ms=1)
    assert await names(ann, store) == ["again.txt"]


async def test_a_twin_that_failed_keeps_no_document(ann: openai.AsyncOpenAI) -> None:
    """What was taken out was still found, as long as the same bytes under a name of another kind had failed."""
    store = (await ann.vector_stores.create()).id
    good, bad = await upload(ann, "snow.txt"), await upload(ann, "snow.exe")
    assert [await put(ann, store, good), await put(ann, store, bad)] == ["completed", "failed"]
    assert await names(ann, store) == ["snow.txt"]
    await ann.vector_stores.files.delete(good, vector_store_id=store)
    assert await names(ann, store) == []


async def test_a_file_put_in_again_says_what_it_says_now_and_nothing_else(ann: openai.AsyncOpenAI) -> None:
    """Its attributes were laid over the older ones, by which filters went on finding it."""
    store = (await ann.vector_stores.create()).id
    file = await upload(ann, "snow.txt")
    await put(ann, store, file, year=1)
    await put(ann, store, file, place="Alps")
    assert await names(ann, store, equal("year", 1)) == []
    assert await names(ann, store, equal("place", "Alps")) == ["snow.txt"]


async def test_attributes_set_while_a_file_comes_in_are_in_filters(ann: openai.AsyncOpenAI, api: Api) -> None:
    api.retriever.slow = asyncio.Event()
    store = (await ann.vector_stores.create()).id
    file = await upload(ann, "snow.txt")
    await ann.vector_stores.files.create(store, file_id=file, attributes={"year": 1})
    await until(lambda: api.retriever.entered == 1)
    await ann.vector_stores.files.update(file, vector_store_id=store, attributes={"year": 2})
    api.retriever.slow.set()
    await ann.vector_stores.files.poll(file, vector_store_id=store, poll_interval_ms=1)
    assert await names(ann, store, equal("year", 2)) == ["snow.txt"]
    assert await names(ann, store, equal("year", 1)) == []
