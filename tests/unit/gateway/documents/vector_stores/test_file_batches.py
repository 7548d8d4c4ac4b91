"""Batches of files on their way into a vector store."""

import asyncio
from typing import Any

import openai

from tests.unit.gateway.documents.shelf import Api
from tests.unit.waiting import until


async def test_a_batch_of_files_comes_in_and_says_what_failed(ann: openai.AsyncOpenAI) -> None:
    store = await ann.vector_stores.create()
    uploads: Any = [("a.txt", b"one"), ("b.txt", b"two"), ("c.png", b"three"), ("d.txt", b" ")]
    batch = await ann.vector_stores.file_batches.upload_and_poll(store.id, files=uploads, poll_interval_ms=1)
    assert batch.status == "completed"
    assert (batch.file_counts.completed, batch.file_counts.failed, batch.file_counts.total) == (2, 2, 4)
    listed = ann.vector_stores.file_batches.list_files(batch.id, vector_store_id=store.id, filter="failed")
    errors = sorted([file.last_error.code async for file in listed if file.last_error])
    assert errors == ["invalid_file", "unsupported_file"]
    ids = [file.id async for file in ann.vector_stores.files.list(store.id, limit=1, order="asc")]
    assert len(ids) == 4
    first = await ann.vector_stores.files.list(store.id, order="asc", before=ids[2])
    assert [file.id for file in first.data] == ids[:2]


async def test_files_of_a_batch_have_their_own_attributes(ann: openai.AsyncOpenAI) -> None:
    store = await ann.vector_stores.create()
    made = [await ann.files.create(file=(f"{n}.txt", b"text %d" % n), purpose="user_data") for n in range(2)]
    each: Any = [{"file_id": file.id, "attributes": {"n": n}} for n, file in enumerate(made)]
    await ann.vector_stores.file_batches.create(store.id, files=each)
    shown_files = [file async for file in ann.vector_stores.files.list(store.id, order="asc")]
    assert [file.attributes for file in shown_files] == [{"n": 0}, {"n": 1}]


async def test_a_cancelled_batch_begins_nothing_more(ann: openai.AsyncOpenAI, api: Api) -> None:
    api.retriever.slow = asyncio.Event()
    store = await ann.vector_stores.create()
    ids = [(await ann.files.create(file=(f"{n}.txt", b"text %d" % n), purpose="user_data")).id for n in range(6)]
    batch = await ann.vector_stores.file_batches.create(store.id, file_ids=ids)
    assert batch.status == "in_progress"
    assert (await ann.vector_stores.retrieve(store.id)).status == "in_progress"
    cancelled = await ann.vector_stores.file_batches.cancel(batch.id, vector_store_id=store.id)
    assert (cancelled.status, cancelled.file_counts.cancelled) == ("cancelled", 6)
    api.retriever.slow.set()
    await until(lambda: api.retriever.adds <= 4 and not any(api.retriever.kept.values()))
