"""Collections by tenant: each has their own names, another's is not found, one is shared by all."""

from datetime import timedelta
from typing import Any

import pytest

from cluster.errors import CollectionNotFound, Conflict
from cluster.stores.collection_names import CollectionNames
from cluster.stores.database import now
from cluster.stores.recut_names import recut_name
from deployments.gateway.collections.directory import Collections
from tests.unit.gateway.documents.shelf import Api

SNOW = ("snow.txt", b"Snow covers the Alps.")


async def test_a_collection_is_made_shown_described_and_removed(api: Api) -> None:
    made = await api.collection("ann", "manuals", description="of machines", metadata={"team": "a"})
    assert made["id"].startswith("vs_")
    assert (made["documents"], made["chunks"], made["embedder"], made["shared"]) == (0, 0, None, False)
    await api.upload("ann", SNOW, collection="manuals")
    shown = await api.get("ann", "/collections/manuals")
    assert (shown["documents"], shown["chunks"]) == (1, 1)
    assert shown["embedder"] == {"model": "hash", "revision": "r", "dimensions": 16}
    changed = await api.ask("ann", "PATCH", f"/collections/{made['id']}", json={"description": None})
    assert (changed.json()["description"], changed.json()["metadata"]) == (None, {"team": "a"})
    gone = await api.ask("ann", "DELETE", "/collections/manuals")
    assert gone.json() == {"name": "manuals", "deleted": True}
    assert (await api.get("ann", "/collections/manuals")).json()["error"]["code"] == "collection_not_found"
    assert api.retriever.kept == {}


async def test_two_tenants_have_collections_of_one_name(api: Api) -> None:
    for who, text in (("ann", b"Snow."), ("bob", b"Rain.")):
        await api.collection(who, "weather")
        await api.upload(who, ("now.txt", text), collection="weather")
    assert len(api.retriever.kept) == 2
    for who, characters in (("ann", 5), ("bob", 5)):
        listed = (await api.get(who, "/documents?collection=weather"))["documents"]
        assert [document["characters"] for document in listed] == [characters]
    assert (await api.get("ann", "/documents?collection=weather")) != (
        await api.get("bob", "/documents?collection=weather")
    )


async def test_anothers_collection_is_not_found_by_any_name_in_any_route(api: Api) -> None:
    made = await api.collection("ann", "secret")
    document = (await api.upload("ann", SNOW, collection="secret")).json()["id"]
    physical = next(iter(api.retriever.kept))
    for name in ("secret", made["id"], physical):
        for who in ("bob", "root", "local"):
            asked: list[tuple[str, str, dict[str, Any]]] = [
                ("GET", f"/collections/{name}", {}),
                ("PATCH", f"/collections/{name}", {"json": {}}),
                ("DELETE", f"/collections/{name}", {}),
                ("GET", f"/documents?collection={name}", {}),
                ("GET", f"/documents/{document}?collection={name}", {}),
                ("GET", f"/documents/{document}/chunks?collection={name}", {}),
                ("PATCH", f"/documents/{document}?collection={name}", {"json": {"tags": ["x"]}}),
                ("DELETE", f"/documents/{document}?collection={name}", {}),
                ("POST", "/documents/delete", {"json": {"ids": [document], "collection": name}}),
                ("POST", "/documents", {"files": {"file": SNOW}, "data": {"collection": name}}),
            ]
            for method, path, options in asked:
                answer = await api.ask(who, method, path, **options)
                found = (answer.status_code, answer.json()["error"]["code"])
                assert found == (404, "collection_not_found"), (who, method, path)
    assert len(api.retriever.kept[physical]) == 1
    assert [one["name"] for one in (await api.get("bob", "/collections"))["collections"]] == ["documents"]


async def test_a_document_of_ones_collection_is_in_no_other(api: Api) -> None:
    await api.collection("ann", "one")
    await api.collection("ann", "two")
    document = (await api.upload("ann", SNOW, collection="one")).json()["id"]
    for place in ("", "?collection=two"):
        answer = await api.ask("ann", "GET", f"/documents/{document}{place}")
        assert answer.json()["error"]["code"] == "document_not_found"


async def test_the_shared_collection_is_listed_and_nobody_makes_or_removes_it(api: Api) -> None:
    listed = (await api.get("ann", "/collections"))["collections"]
    assert [(one["name"], one["shared"], one["id"]) for one in listed] == [("documents", True, "documents")]
    taken = await api.ask("ann", "POST", "/collections", json={"name": "documents"})
    assert (taken.status_code, taken.json()["error"]["param"]) == (409, "name")
    for who in ("ann", "root", "local"):
        assert (await api.ask(who, "DELETE", "/collections/documents")).status_code == 404


async def test_a_name_is_taken_once(api: Api) -> None:
    await api.collection("ann", "manuals")
    assert (await api.ask("ann", "POST", "/collections", json={"name": "manuals"})).status_code == 409


async def test_a_collection_made_again_is_empty(api: Api) -> None:
    await api.collection("ann", "manuals")
    await api.upload("ann", SNOW, collection="manuals")
    await api.ask("ann", "DELETE", "/collections/manuals")
    await api.collection("ann", "manuals")
    assert (await api.get("ann", "/documents?collection=manuals"))["documents"] == []


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({}, "name"),
        ({"name": "ab"}, "name"),
        ({"name": "../up"}, "name"),
        ({"name": "with space"}, "name"),
        ({"name": "vs_mine"}, "name"),
        ({"name": "t-mine"}, "name"),
        ({"name": "manuals", "colour": "red"}, "colour"),
        ({"name": "manuals", "metadata": {"a": 1}}, "metadata.a"),
        ({"name": "manuals", "description": "\0"}, "description"),
    ],
)
async def test_a_wrong_field_is_named(api: Api, body: dict[str, Any], param: str) -> None:
    answer = await api.ask("ann", "POST", "/collections", json=body)
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, param)


@pytest.mark.parametrize("name", ["nothing", "%00", "a" * 600, "vs_000000000000000000000000"])
async def test_an_unknown_name_is_not_found(api: Api, name: str) -> None:
    assert (await api.ask("ann", "GET", f"/collections/{name}")).status_code in (404, 422, 400)
    assert (await api.ask("ann", "GET", "/documents", params={"collection": name})).status_code in (404, 400)


async def test_where_nobody_signs_in_the_operators_names_are_the_apis(api: Api) -> None:
    made = await api.collection("local", "manuals")
    await api.upload("local", SNOW, collection=made["id"])
    assert set(api.retriever.kept) == {"manuals"}
    await api.retriever.add(source="b.txt", content=b"Rain.", collection="filled")
    names = [one["name"] for one in (await api.get("local", "/collections"))["collections"]]
    assert names == ["documents", "manuals", "filled"]
    assert len((await api.get("local", "/documents?collection=filled"))["documents"]) == 1
    assert (await api.ask("local", "POST", "/collections", json={"name": "filled"})).status_code == 409
    assert (await api.ask("local", "DELETE", "/collections/filled")).status_code == 200
    assert set(api.retriever.kept) == {"manuals"}


async def test_nobody_sees_or_reaches_a_recut(api: Api) -> None:
    """Also where the store lists one, and for those who reach all that the operator filled."""
    recut = recut_name("documents", tokens=64, overlap=8)
    await api.retriever.add(source="b.txt", content=b"Rain.", collection=recut)
    for who in ("local", "root", "ann"):
        assert recut not in {one["name"] for one in (await api.get(who, "/collections"))["collections"]}
        assert (await api.ask(who, "GET", f"/collections/{recut}")).status_code == 404
        assert (await api.ask(who, "DELETE", f"/collections/{recut}")).status_code == 404
        assert (await api.ask(who, "GET", f"/documents?collection={recut}")).status_code == 404
        made = await api.ask(who, "POST", "/collections", json={"name": recut})
        assert made.status_code == 400


async def test_admins_reach_what_the_operator_filled_and_others_do_not(api: Api) -> None:
    await api.retriever.add(source="b.txt", content=b"Rain.", collection="filled")
    assert (await api.get("root", "/collections/filled"))["shared"]
    assert (await api.ask("ann", "GET", "/collections/filled")).status_code == 404
    assert (await api.ask("ann", "DELETE", "/collections/filled")).status_code == 404


async def test_resolving_gives_the_name_in_the_vector_store(api: Api) -> None:
    made = await api.collections.make("ann", name="manuals")
    assert made.physical.startswith("t-")
    assert await api.collections.resolve("ann", "manuals") == made.physical
    assert await api.collections.resolve("ann", made.id) == made.physical
    assert await api.collections.resolve("ann", None) == "documents"
    for owner, name in (("bob", "manuals"), ("bob", made.id), ("ann", made.physical), ("ann", "t-x")):
        with pytest.raises(CollectionNotFound):
            await api.collections.resolve(owner, name)


async def test_an_expired_collection_is_found_no_more_and_a_use_keeps_it(api: Api) -> None:
    moment = now()
    later = Collections(api.engine, api.retriever, api.settings, clock=lambda: moment)
    made = await api.collections.make("ann", name="manuals", expires_days=1)
    moment = made.used_at + timedelta(hours=23)
    assert await later.resolve("ann", "manuals") == made.physical
    moment = made.used_at + timedelta(hours=25)
    with pytest.raises(CollectionNotFound, match="expired"):
        await later.resolve("ann", "manuals")
    await later.remove("ann", "manuals")  # it can still be removed


def test_pages_go_both_ways(api: Api) -> None:
    names = CollectionNames(api.engine)
    ids = [names.create(owner="ann", name=f"c-{at}").id for at in range(5)]
    names.create(owner="bob", name="other")

    def page(**options: Any) -> list[str]:
        return [one.id for one in names.page(owner="ann", **options).collections]

    assert page(limit=2) == [ids[4], ids[3]]
    assert page(limit=2, after=ids[3]) == [ids[2], ids[1]]
    assert page(limit=2, before=ids[1]) == [ids[3], ids[2]]
    assert page(limit=2, newest_first=False, after=ids[0]) == [ids[1], ids[2]]
    assert page(limit=9, newest_first=False, before=ids[2]) == [ids[0], ids[1]]
    assert names.page(owner="ann", limit=5).more is False
    with pytest.raises(CollectionNotFound):
        names.page(owner="bob", limit=2, after=ids[0])


def test_a_name_changes_only_to_a_free_one(api: Api) -> None:
    names = CollectionNames(api.engine)
    names.create(owner="ann", name="one")
    names.create(owner="ann", name="two")
    with pytest.raises(Conflict):
        names.change("one", owner="ann", name="two")
