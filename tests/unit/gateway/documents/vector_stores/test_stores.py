"""OpenAI's vector stores, asked by OpenAI's own client."""

from typing import Any

import openai
import pytest

from tests.unit.gateway.documents.shelf import Api
from tests.unit.gateway.documents.vector_stores.weather import SNOW, Clients, filled


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


async def test_the_collection_that_all_share_is_no_store(ann: openai.AsyncOpenAI) -> None:
    for call in (
        ann.vector_stores.retrieve("documents"),
        ann.vector_stores.search("documents", query="snow"),
        ann.vector_stores.update("documents", name="mine"),
        ann.vector_stores.delete("documents"),
    ):
        with pytest.raises(openai.NotFoundError):
            await call


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
