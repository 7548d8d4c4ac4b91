"""A vector store's files: how they come in, are read and leave."""

from typing import Any

import openai
import pytest

from cluster.documents import Chunk
from cluster.stores.vector_store_files import StoreFiles
from deployments.gateway.openai.vector_stores import attaching, shown
from pipelines.documents.job_progress import Failure, JobProgress, write_progress
from tests.unit.gateway.documents.shelf import Api
from tests.unit.gateway.documents.vector_stores.weather import RAIN, SNOW, filled
from tests.unit.waiting import until


async def test_a_file_is_put_in_searched_read_and_taken_out(ann: openai.AsyncOpenAI, api: Api) -> None:
    store = await ann.vector_stores.create(name="Weather")
    file = await ann.vector_stores.files.upload_and_poll(
        vector_store_id=store.id, file=("snow.txt", SNOW), poll_interval_ms=1
    )
    assert (file.status, file.last_error, file.usage_bytes) == ("completed", None, len(SNOW))
    shown_store = await ann.vector_stores.retrieve(store.id)
    assert (shown_store.file_counts.completed, shown_store.usage_bytes) == (1, len(SNOW))
    found = await ann.vector_stores.search(store.id, query="What covers the Alps?")
    assert found.data[0].filename == "snow.txt"
    assert found.data[0].file_id == file.id
    assert found.data[0].content[0].text == "Snow covers the Alps."
    assert 0 < found.data[0].score <= 1
    content = [part async for part in ann.vector_stores.files.content(file.id, vector_store_id=store.id)]
    assert [part.text for part in content] == ["Snow covers the Alps.\nIt melts in May."]
    assert (await ann.vector_stores.files.delete(file.id, vector_store_id=store.id)).deleted
    assert (await ann.vector_stores.search(store.id, query="Alps")).data == []
    assert (await ann.files.retrieve(file.id)).id == file.id
    assert not any(api.retriever.kept.values())


async def test_two_files_of_one_name_are_two_documents_and_twins_are_one(ann: openai.AsyncOpenAI, api: Api) -> None:
    store = await ann.vector_stores.create()
    ids = []
    for content in (SNOW, RAIN, SNOW):
        file = await ann.vector_stores.files.upload_and_poll(
            vector_store_id=store.id, file=("weather.txt", content), poll_interval_ms=1
        )
        ids.append(file.id)
    assert (await ann.vector_stores.retrieve(store.id)).file_counts.completed == 3
    kept = next(shelf for shelf in api.retriever.kept.values() if shelf)
    assert len(kept) == 2
    await ann.vector_stores.files.delete(ids[0], vector_store_id=store.id)
    found = await ann.vector_stores.search(store.id, query="Snow covers the Alps")
    assert found.data[0].file_id == ids[2]
    await ann.vector_stores.files.delete(ids[2], vector_store_id=store.id)
    assert len(kept) == 1


async def test_a_large_file_comes_in_by_a_job(
    ann: openai.AsyncOpenAI, api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("deployments.gateway.documents.intake.LOOK_S", 0.005)
    big = b"w " * 1000
    store = await ann.vector_stores.create()
    for state, failed in (("done", ()), ("done", (Failure(source="x", code="broken", message="no text"),))):
        file = await ann.files.create(file=("big.txt", big), purpose="user_data")
        await ann.vector_stores.files.create(file_id=file.id, vector_store_id=store.id, attributes={"n": 1})
        await until(lambda: bool(api.jobs.submitted))
        command = api.jobs.submitted.pop()
        assert command[4].endswith(f"/{file.id}/big.txt")
        physical = command[7].removeprefix("--collection=")
        await api.retriever.add(source=f"{file.id}/big.txt", content=big, collection=physical)
        progress = JobProgress(job_id=command[6], state=state, failed=failed, updated=9e9)  # type: ignore[arg-type]
        write_progress(api.home, progress)
        done = await ann.vector_stores.files.poll(file.id, vector_store_id=store.id, poll_interval_ms=1)
        assert (done.status, done.last_error and done.last_error.message) == (
            ("failed", "no text") if failed else ("completed", None)
        )


async def test_only_the_servers_chunking_is_honoured(ann: openai.AsyncOpenAI) -> None:
    store = await ann.vector_stores.create()
    file = await ann.files.create(file=("a.txt", b"one"), purpose="user_data")
    ours: Any = {"type": "static", "static": {"max_chunk_size_tokens": 128, "chunk_overlap_tokens": 16}}
    made = await ann.vector_stores.files.create(vector_store_id=store.id, file_id=file.id, chunking_strategy=ours)
    assert made.chunking_strategy is not None
    other: Any = {"type": "static", "static": {"max_chunk_size_tokens": 800, "chunk_overlap_tokens": 400}}
    with pytest.raises(openai.BadRequestError) as refused:
        await ann.vector_stores.files.create(vector_store_id=store.id, file_id=file.id, chunking_strategy=other)
    assert (refused.value.param, refused.value.code) == ("chunking_strategy.static", "unsupported_parameter")


async def test_a_deleted_file_leaves_the_stores(ann: openai.AsyncOpenAI) -> None:
    store = await filled(ann)
    file = (await ann.vector_stores.search(store, query="Alps")).data[0].file_id
    await ann.files.delete(file)
    assert (await ann.vector_stores.search(store, query="Alps")).data == []
    assert (await ann.vector_stores.retrieve(store)).file_counts.total == 1


async def test_what_a_stopped_gateway_left_is_gone_on_with(
    ann: openai.AsyncOpenAI, api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = await ann.vector_stores.create()
    file = await ann.files.create(file=("a.txt", b"one"), purpose="user_data")
    monkeypatch.setattr(attaching.Attaching, "begin", lambda *_: None)
    await ann.vector_stores.files.create(vector_store_id=store.id, file_id=file.id)
    records = StoreFiles(api.engine)
    (waiting,) = records.waiting(store.id)
    assert records.claim(waiting)
    assert not records.claim(waiting)
    assert records.waiting(store.id) == ()
    monkeypatch.undo()
    monkeypatch.setattr("cluster.stores.vector_store_files.SILENT_S", -1)
    done = await ann.vector_stores.files.poll(file.id, vector_store_id=store.id, poll_interval_ms=1)
    assert done.status == "completed"


def test_a_documents_text_is_put_together_without_what_chunks_share() -> None:
    text = "One two three. Four five six."
    spans = [(0, 14, 1), (8, 24, 1), (15, 29, 2)]
    chunks = [
        Chunk(
            id=str(at), document_id="d", source="s", ordinal=at, start=start, end=end, text=text[start:end],
            tokens=1, page=page,
        )
        for at, (start, end, page) in enumerate(spans)
    ]  # fmt: skip
    parts = shown.content(chunks)
    assert [part["text"] for part in parts] == ["One two three. Four five", " six."]
