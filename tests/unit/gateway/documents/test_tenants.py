"""Searches and answers keep to the collections of who asks."""

import httpx
import pytest

from cluster.errors import CollectionNotFound
from deployments.clients import Backends
from deployments.gateway.chats import Chats
from deployments.gateway.rag import routes as rag
from deployments.gateway.rag.searching import open_searches
from deployments.gateway.surface import take
from tests.unit.gateway.conftest import LocalEmbedder
from tests.unit.gateway.documents.shelf import Api

SNOW = ("snow.txt", b"Snow covers the Alps.")


@pytest.mark.parametrize("path", ["/rag/search", "/rag/query"])
async def test_anothers_collection_is_neither_searched_nor_answered_from(api: Api, path: str) -> None:
    backends = Backends(models={}, embedder=LocalEmbedder(), retriever=api.retriever)
    chats = Chats(backends, api.settings)
    searches = open_searches(backends, api.settings, chats, api.collections)
    take(api.app, rag.router(backends, api.settings, chats, searches))
    made = await api.collection("ann", "mine")
    await api.upload("ann", SNOW, collection="mine")
    physical = await api.collections.resolve("ann", "mine")

    async def ask(who: str, collection: str) -> httpx.Response:
        return await api.ask(who, "POST", path, json={"query": "Alps", "collection": collection})

    for who in ("bob", "root", "local"):
        for name in ("mine", made["id"], physical):
            refused = await ask(who, name)
            assert (refused.status_code, refused.json()["error"]["code"]) == (404, "collection_not_found")
    if path == "/rag/search":
        found = (await ask("ann", made["id"])).json()["passages"]
        assert [passage["source"] for passage in found] == ["snow.txt"]


async def test_a_physical_name_is_nobodys_way_in(api: Api) -> None:
    """The name in the vector store is random, and even who learns it does not get in by it."""
    await api.collection("ann", "mine")
    await api.upload("ann", SNOW, collection="mine")
    for owner, operator in (("ann", False), ("bob", True), ("local", True)):
        with pytest.raises(CollectionNotFound):
            await api.collections.resolve(owner, next(iter(api.retriever.kept)), operator=operator)
