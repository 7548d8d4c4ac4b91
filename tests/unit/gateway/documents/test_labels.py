"""Tags and metadata of documents: sent with an upload, changed, listed by; and documents' chunks."""

import json
from typing import Any

import pytest

from tests.unit.gateway.documents.shelf import Api

SNOW = ("snow.txt", b"Snow covers the Alps.\nIt melts in May.")
RAIN = ("rain.txt", b"Rain falls in Wales.")


async def test_an_upload_carries_tags_and_metadata(api: Api) -> None:
    metadata = {"year": 2024, "draft": False, "team": "a", "share": 0.5}
    fields = {"tags": ["cold", "white, soft"], "metadata": json.dumps(metadata)}
    stored = (await api.upload("ann", SNOW, **fields)).json()
    assert (stored["tags"], stored["metadata"]) == (["cold", "white", "soft"], metadata)
    again = (await api.upload("ann", SNOW, tags="new", metadata='{"year": 2025}')).json()
    assert again["tags"] == ["cold", "white", "soft", "new"]
    assert again["metadata"] == {**metadata, "year": 2025}
    assert len((await api.get("ann", "/documents"))["documents"]) == 1


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"tags": "x" * 65}, "tags[0]"),
        ({"tags": "a\x07"}, "tags[0]"),
        ({"tags": ",".join(f"t{n}" for n in range(33))}, "tags"),
        ({"metadata": "{"}, "metadata"),
        ({"metadata": "[1]"}, "metadata"),
        ({"metadata": '{"a": {"b": 1}}'}, "metadata.a"),
        ({"metadata": '{"a": NaN}'}, "metadata"),
        ({"metadata": '{"a": null}'}, "metadata.a"),
        ({"metadata": '{"source": "x"}'}, "metadata.source"),
        ({"metadata": '{"a": 90071992547409920}'}, "metadata.a"),
        ({"metadata": json.dumps({str(n): n for n in range(17)})}, "metadata"),
        ({"metadata": '{"a": 1}, "tags": ["x"]'}, "metadata"),
        ({"collection": ["a-b", "c-d"]}, "collection"),
        ({"wait": "perhaps"}, "wait"),
        ({"sources": '["a.txt", "b.txt"]'}, "sources"),
        ({"sources": "a.txt"}, "sources"),
        ({"sources": "[1]"}, "sources[0]"),
        ({"colour": "red"}, "colour"),
    ],
)
async def test_a_wrong_field_of_a_form_is_named(api: Api, fields: dict[str, Any], param: str) -> None:
    answer = await api.upload("ann", SNOW, **fields)
    assert (answer.status_code, answer.json()["error"].get("param")) == (400, param), answer.text
    assert api.retriever.adds == 0


async def test_documents_are_listed_in_pages_and_by_what_is_said_of_them(api: Api) -> None:
    for at in range(5):
        await api.upload(
            "ann", (f"part-{at}.txt", b"text %d" % at), tags=f"n{at % 2},all", metadata=f'{{"n": {at}}}'
        )
    first = await api.get("ann", "/documents?limit=2")
    assert ([one["source"] for one in first["documents"]], first["total"]) == (["part-4.txt", "part-3.txt"], 5)
    assert first["has_more"]
    rest = await api.get("ann", f"/documents?limit=9&after={first['documents'][-1]['id']}")
    assert (len(rest["documents"]), rest["has_more"]) == (3, False)
    where = json.dumps({"type": "gte", "key": "n", "value": 3})
    for query, names in [
        ({"tag": ["n1", "all"]}, [3, 1]),
        ({"tag": ["n1", "n0"]}, []),
        ({"source": "PART-2"}, [2]),
        ({"where": where}, [4, 3]),
        ({"where": where, "tag": "n0"}, [4]),
    ]:
        found = (await api.get("ann", "/documents", params=query))["documents"]
        assert [one["source"] for one in found] == [f"part-{n}.txt" for n in names]


@pytest.mark.parametrize(
    ("query", "status", "param"),
    [
        ("where={", 400, "where"),
        ("where=[]", 400, "where"),
        ('where={"type": "eq"}', 400, "where.key"),
        ("after=" + "0" * 64, 404, "after"),
        ("limit=0", 400, "limit"),
        ("limit=9999", 400, "limit"),
        ("colour=red", 200, None),
    ],
)
async def test_a_wrong_query_is_named(api: Api, query: str, status: int, param: str | None) -> None:
    answer = await api.ask("ann", "GET", f"/documents?{query}")
    assert answer.status_code == status
    if param:
        assert answer.json()["error"]["param"].endswith(param)


async def test_chunks_are_read_in_pages(api: Api) -> None:
    document = (await api.upload("ann", SNOW)).json()["id"]
    first = await api.get("ann", f"/documents/{document}/chunks?limit=1")
    assert [chunk["text"] for chunk in first["chunks"]] == ["Snow covers the Alps."]
    assert (first["total"], first["has_more"]) == (2, True)
    last = await api.get("ann", f"/documents/{document}/chunks?first=1")
    assert ([chunk["ordinal"] for chunk in last["chunks"]], last["has_more"]) == ([1], False)
    assert (await api.ask("ann", "GET", f"/documents/{'0' * 64}/chunks")).status_code == 404


async def test_tags_and_metadata_are_changed_by_who_may(api: Api) -> None:
    document = (await api.upload("ann", SNOW, tags="a", metadata='{"n": 1}')).json()["id"]
    path = f"/documents/{document}"
    changed = await api.ask("ann", "PATCH", path, json={"tags": ["b", "b"]})
    assert (changed.json()["tags"], changed.json()["metadata"]) == (["b"], {"n": 1})
    changed = await api.ask("root", "PATCH", path, json={"metadata": {}})
    assert (changed.json()["tags"], changed.json()["metadata"]) == (["b"], {})
    assert (await api.ask("bob", "PATCH", path, json={"tags": []})).status_code == 403
    wrong = await api.ask("ann", "PATCH", path, json={"tags": ["a,b"]})
    assert (wrong.status_code, wrong.json()["error"]["param"]) == (400, "tags[0]")
    assert (await api.ask("ann", "PATCH", f"/documents/{'0' * 64}", json={})).status_code == 404


async def test_several_documents_are_deleted_and_each_refusal_says_why(api: Api) -> None:
    await api.collection("ann", "mine")
    snow, rain = [(await api.upload("ann", file, collection="mine")).json()["id"] for file in (SNOW, RAIN)]
    body = {"ids": [snow, "0" * 64, snow], "collection": "mine"}
    answer = (await api.ask("ann", "POST", "/documents/delete", json=body)).json()
    assert [one["id"] for one in answer["deleted"]] == [snow]
    assert [(one["id"], one["error"]["code"]) for one in answer["errors"]] == [("0" * 64, "document_not_found")]
    left = (await api.get("ann", "/documents?collection=mine"))["documents"]
    assert [one["id"] for one in left] == [rain]
    assert (await api.ask("ann", "POST", "/documents/delete", json={"ids": []})).status_code == 400
