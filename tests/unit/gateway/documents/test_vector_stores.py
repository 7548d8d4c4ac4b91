"""OpenAI's vector stores, asked by OpenAI's own client."""

import asyncio
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest

from cluster.errors import Unavailable
from cluster.stores.vector_store_files import StoreFiles
from deployments.gateway.openai import files
from deployments.gateway.openai.vector_stores import attaching, routes, shown
from deployments.gateway.openai.vector_stores.desk import Desk
from deployments.gateway.openai.vector_stores.expiry import Expiry
from deployments.gateway.surface import take
from pipelines.documents.job_progress import Failure, JobProgress, write_progress
from tests.unit.gateway.documents.shelf import Api, api_at
from tests.unit.waiting import until

SNOW = b"Snow covers the Alps.\nIt melts in May."
RAIN = b"Rain falls in Wales.\nIt covers the hills."

Clients = Callable[[str], openai.AsyncOpenAI]


@pytest.fixture
async def api(tmp_path: Path) -> AsyncIterator[Api]:
    async with api_at(tmp_path) as api:
        desk = Desk(api.retriever, api.settings, api.engine, api.collections, api.jobs)
        take(api.app, files.router(api.settings, api.engine, desk.forget_file), routes.router(desk))
        yield api


@pytest.fixture
def client(api: Api) -> Clients:
    http = httpx.AsyncClient(transport=httpx.ASGITransport(api.app, raise_app_exceptions=False))

    def of(who: str) -> openai.AsyncOpenAI:
        return openai.AsyncOpenAI(
            base_url="http://test/v1",
            api_key="k",
            max_retries=0,
            http_client=http,
            default_headers={"x-key": who},
        )

    return of


@pytest.fixture
def ann(client: Clients) -> openai.AsyncOpenAI:
    return client("ann")


async def filled(ann: openai.AsyncOpenAI, **attributes: Any) -> str:
    store = await ann.vector_stores.create(name="Weather")
    for name, content in (("snow.txt", SNOW), ("rain.txt", RAIN)):
        file = await ann.files.create(file=(name, content), purpose="assistants")
        said = {"about": name.split(".")[0], **attributes}
        await ann.vector_stores.files.create_and_poll(
            file.id, vector_store_id=store.id, attributes=said, poll_interval_ms=1
        )
    return store.id


async def test_a_store_is_made_shown_changed_listed_and_deleted(ann: openai.AsyncOpenAI) -> None:
    made = await ann.vector_stores.create(
        name="Weather",
        description="of today",
        metadata={"team": "a"},
        expires_after={"anchor": "last_active_at", "days": 2},
    )
    assert (made.name, made.status, made.metadata, made.usage_bytes) == ("Weather", "completed", {"team": "a"}, 0)
    assert made.expires_after is not None
    assert made.expires_after.days == 2
    assert made.expires_at == (made.last_active_at or 0) + 2 * 24 * 3600
    assert made.file_counts.total == 0
    assert await ann.vector_stores.retrieve(made.id) == made
    changed = await ann.vector_stores.update(made.id, name="Climate", expires_after=None)
    assert (changed.name, changed.expires_at, changed.metadata) == ("Climate", None, {"team": "a"})
    others = [(await ann.vector_stores.create(name="Weather")).id for _ in range(3)]  # a name may come again
    assert [store.id async for store in ann.vector_stores.list(limit=2)] == [*others[::-1], made.id]
    assert [store.id async for store in ann.vector_stores.list(limit=2, order="asc")] == [made.id, *others]
    assert (await ann.vector_stores.delete(made.id)).deleted
    with pytest.raises(openai.NotFoundError):
        await ann.vector_stores.retrieve(made.id)


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


async def test_attributes_filter_and_change(ann: openai.AsyncOpenAI) -> None:
    store = await filled(ann, year=2024, draft=False)
    only: Any = {"type": "eq", "key": "about", "value": "rain"}
    found = await ann.vector_stores.search(store, query="what covers it", filters=only, max_num_results=5)
    assert {hit.filename for hit in found.data} == {"rain.txt"}
    assert found.data[0].attributes == {"about": "rain", "year": 2024, "draft": False}
    changed = await ann.vector_stores.files.update(
        found.data[0].file_id, vector_store_id=store, attributes={"about": "drizzle"}
    )
    assert changed.attributes == {"about": "drizzle"}
    assert (await ann.vector_stores.search(store, query="covers", filters=only)).data == []


async def test_several_queries_are_one_search(ann: openai.AsyncOpenAI) -> None:
    store = await filled(ann)
    found = await ann.vector_stores.search(store, query=["Alps snow", "Wales rain"], max_num_results=2)
    assert {hit.filename for hit in found.data} == {"snow.txt", "rain.txt"}
    assert len(found.data) == 2


async def test_a_threshold_leaves_out_what_is_far(ann: openai.AsyncOpenAI) -> None:
    store = await filled(ann)
    options: Any = {"score_threshold": 0.99, "ranker": "auto"}
    found = await ann.vector_stores.search(store, query="snow covers the alps", ranking_options=options)
    assert [hit.content[0].text for hit in found.data] == ["Snow covers the Alps."]


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"query": ""}, "query"),
        ({"query": []}, "query"),
        ({"query": "q" * 9000}, "query"),
        ({"query": "q", "max_num_results": 51}, "max_num_results"),
        ({"query": "q", "filters": {"type": "eq", "key": "a"}}, "filters.value"),
        ({"query": "q", "filters": {"type": "and", "filters": [{"type": "x"}]}}, "filters.filters[0].type"),
        ({"query": "q", "ranking_options": {"score_threshold": 2}}, "ranking_options.score_threshold"),
        ({"query": "q", "rewrite_query": True}, "rewrite_query"),
        ({"query": "q", "colour": "red"}, "colour"),
    ],
)
async def test_a_wrong_field_of_a_search_is_named(
    ann: openai.AsyncOpenAI, fields: dict[str, Any], param: str
) -> None:
    store = await ann.vector_stores.create()
    with pytest.raises(openai.BadRequestError) as refused:
        await ann.post(f"/vector_stores/{store.id}/search", body=fields, cast_to=object)
    assert refused.value.param == param


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


async def test_anothers_store_file_and_batch_are_not_found_in_any_route(
    ann: openai.AsyncOpenAI, client: Clients
) -> None:
    store = await filled(ann)
    file = (await ann.vector_stores.search(store, query="Alps")).data[0].file_id
    batch = (await ann.vector_stores.file_batches.create(store, file_ids=[file])).id
    bob = client("bob")
    own = (await bob.vector_stores.create()).id
    asked = [
        bob.vector_stores.retrieve(store),
        bob.vector_stores.update(store, name="mine"),
        bob.vector_stores.delete(store),
        bob.vector_stores.search(store, query="Alps"),
        bob.vector_stores.files.list(store),
        bob.vector_stores.files.create(vector_store_id=store, file_id=file),
        bob.vector_stores.files.create(vector_store_id=own, file_id=file),
        bob.vector_stores.create(file_ids=[file]),
        bob.vector_stores.files.retrieve(file, vector_store_id=store),
        bob.vector_stores.files.retrieve(file, vector_store_id=own),
        bob.vector_stores.files.update(file, vector_store_id=store, attributes={}),
        bob.vector_stores.files.content(file, vector_store_id=store),
        bob.vector_stores.files.delete(file, vector_store_id=store),
        bob.vector_stores.file_batches.create(store, file_ids=[file]),
        bob.vector_stores.file_batches.create(own, file_ids=[file]),
        bob.vector_stores.file_batches.retrieve(batch, vector_store_id=store),
        bob.vector_stores.file_batches.retrieve(batch, vector_store_id=own),
        bob.vector_stores.file_batches.cancel(batch, vector_store_id=store),
        bob.vector_stores.file_batches.list_files(batch, vector_store_id=own),
        bob.vector_stores.list(after=store),
        bob.vector_stores.files.list(own, after=file),
    ]
    for at, one in enumerate(asked):
        with pytest.raises(openai.NotFoundError):
            pytest.fail(f"question {at} was answered: {await one}")
    assert [one.id async for one in bob.vector_stores.list()] == [own]
    assert (await ann.vector_stores.retrieve(store)).file_counts.total == 2


async def test_a_collection_is_a_vector_store_too(ann: openai.AsyncOpenAI, api: Api) -> None:
    made = await api.collection("ann", "manuals")
    await api.upload("ann", ("snow.txt", SNOW), collection="manuals", metadata='{"n": 1}')
    found = await ann.vector_stores.search(made["id"], query="Alps")
    assert (found.data[0].filename, found.data[0].attributes) == ("snow.txt", {"n": 1})
    store = await filled(ann)
    listed = (await api.get("ann", f"/documents?collection={store}"))["documents"]
    assert len(listed) == 2
    await api.ask("ann", "DELETE", f"/documents/{listed[0]['id']}?collection={store}")
    (left,) = [file async for file in ann.vector_stores.files.list(store)]
    await api.ask("ann", "DELETE", f"/collections/{store}")
    assert (await ann.files.delete(left.id)).deleted


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"name": 1}, "name"),
        ({"expires_after": {"anchor": "created_at", "days": 1}}, "expires_after.anchor"),
        ({"expires_after": {"anchor": "last_active_at", "days": 366}}, "expires_after.days"),
        ({"metadata": {"a": 1}}, "metadata.a"),
        ({"chunking_strategy": {"type": "static"}}, "chunking_strategy"),
        ({"colour": "red"}, "colour"),
    ],
)
async def test_a_wrong_field_of_a_store_is_named(ann: openai.AsyncOpenAI, body: dict[str, Any], param: str) -> None:
    with pytest.raises(openai.BadRequestError) as refused:
        await ann.post("/vector_stores", body=body, cast_to=object)
    assert refused.value.param == param


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


def later(days: float) -> Callable[[], datetime]:
    return lambda: datetime.now(UTC) + timedelta(days=days)


def expiry(api: Api, days: float) -> Expiry:
    work = Desk(api.retriever, api.settings, api.engine, api.collections, api.jobs).attaching
    return Expiry(api.collections, work, clock=later(days))


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


def test_a_documents_text_is_put_together_without_what_chunks_share() -> None:
    from cluster.documents import Chunk

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
