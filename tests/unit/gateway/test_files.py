"""OpenAI's files over HTTP, through the official client: no Ray, no sockets."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest
from fastapi import FastAPI, Request

from cluster.settings.tree import Settings
from cluster.stores.database import engine_of
from deployments.gateway import errors
from deployments.gateway.openai import files
from deployments.gateway.principal import Principal, Role
from deployments.gateway.surface import take
from tests.unit.gateway.conftest import client_of, settings_with


class Owners:
    """Middleware of tests: who asks, and with which scopes, is what headers say."""

    def __init__(self, app: Any) -> None:
        self._app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            headers = Request(scope).headers
            owner, scopes = headers.get("x-owner", "ann"), headers.get("x-scopes")
            scope.setdefault("state", {})["principal"] = Principal(
                id=owner, owner=owner, role=Role.USER, scopes=frozenset(scopes.split()) if scopes else None
            )
        await self._app(scope, receive, send)


def app_of(settings: Settings) -> FastAPI:
    app = FastAPI()
    errors.install(app)
    take(app, files.router(settings, engine_of(settings.database_url)))
    app.add_middleware(Owners)
    return app


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return settings_with(
        home=str(tmp_path), stores={"database": "sqlite://"}, files={"max_bytes": 5000, "max_owner_bytes": 9000}
    )


@pytest.fixture
async def http(settings: Settings) -> AsyncIterator[httpx.AsyncClient]:
    async with client_of(app_of(settings)) as client:
        yield client


def form(content: bytes = b"{}\n", name: str = "in.jsonl", **fields: str) -> dict[str, Any]:
    return {"files": {"file": (name, content)}, "data": {"purpose": "batch", **fields}}


def refusal(response: httpx.Response) -> tuple[int, str | None]:
    return response.status_code, response.json()["error"]["param"]


async def uploaded(http: httpx.AsyncClient, **fields: Any) -> str:
    response = await http.post("/v1/files", **form(**fields))
    assert response.status_code == 200, response.text
    file_id: str = response.json()["id"]
    return file_id


async def test_a_file_comes_back_as_it_was_sent(http: httpx.AsyncClient, tmp_path: Path) -> None:
    content = bytes(range(256)) * 16
    made = (await http.post("/v1/files", **form(content, purpose="user_data"))).json()
    shown = openai.types.FileObject.model_validate(made)
    assert (shown.bytes, shown.purpose, shown.filename, shown.expires_at) == (4096, "user_data", "in.jsonl", None)
    assert (await http.get(f"/v1/files/{shown.id}")).json() == made
    got = await http.get(f"/v1/files/{shown.id}/content")
    assert got.content == content
    assert got.headers["content-type"] == "application/octet-stream"
    assert got.headers["content-disposition"].startswith("attachment")
    assert [path.name for path in (tmp_path / "files").iterdir()] == [shown.id]


async def test_a_deleted_file_is_gone(http: httpx.AsyncClient, tmp_path: Path) -> None:
    file_id = await uploaded(http)
    gone = await http.delete(f"/v1/files/{file_id}")
    assert gone.json() == {"id": file_id, "object": "file", "deleted": True}
    for response in (
        await http.get(f"/v1/files/{file_id}"),
        await http.get(f"/v1/files/{file_id}/content"),
        await http.delete(f"/v1/files/{file_id}"),
        await http.get("/v1/files", params={"after": file_id}),
    ):
        assert response.status_code == 404
        assert response.json()["error"]["code"] == "file_not_found"
    assert list((tmp_path / "files").iterdir()) == []


async def test_a_page_says_whether_there_is_more(http: httpx.AsyncClient) -> None:
    made = [await uploaded(http) for _ in range(3)]
    page = (await http.get("/v1/files", params={"limit": 2})).json()
    assert [file["id"] for file in page["data"]] == [made[2], made[1]]
    assert (page["object"], page["first_id"], page["last_id"], page["has_more"]) == ("list", made[2], made[1], True)
    rest = (await http.get("/v1/files", params={"after": made[1], "order": "desc"})).json()
    assert ([file["id"] for file in rest["data"]], rest["has_more"]) == ([made[0]], False)
    assert (await http.get("/v1/files", params={"purpose": "user_data"})).json()["data"] == []


@pytest.mark.parametrize(
    ("query", "param"),
    [
        ({"limit": 0}, "limit"),
        ({"purpose": "a\0b"}, "purpose"),
        ({"limit": 10_001}, "limit"),
        ({"order": "up"}, "order"),
    ],
)
async def test_a_wrong_page_is_refused(http: httpx.AsyncClient, query: dict[str, Any], param: str) -> None:
    assert refusal(await http.get("/v1/files", params=query)) == (400, param)


async def test_another_owners_file_does_not_exist(http: httpx.AsyncClient) -> None:
    file_id = await uploaded(http)
    other = {"headers": {"x-owner": "bob"}}
    assert (await http.get("/v1/files", **other)).json()["data"] == []
    for path in (f"/v1/files/{file_id}", f"/v1/files/{file_id}/content"):
        assert (await http.get(path, **other)).status_code == 404
    assert (await http.delete(f"/v1/files/{file_id}", **other)).status_code == 404
    assert (await http.get(f"/v1/files/{file_id}")).status_code == 200


async def test_it_expires_when_it_was_told_to(http: httpx.AsyncClient) -> None:
    fields = {"expires_after[anchor]": "created_at", "expires_after[seconds]": "3600"}
    made = (await http.post("/v1/files", **form(**fields))).json()
    assert made["expires_at"] - made["created_at"] in (3600, 3599, 3601)


@pytest.mark.parametrize(
    ("sent", "param"),
    [
        (form(purpose="vision"), "purpose"),
        (form(purpose="fine-tune"), "purpose"),
        (form(colour="red"), "colour"),
        (form(**{"expires_after[anchor]": "last_used", "expires_after[seconds]": "3600"}), "expires_after.anchor"),
        (form(**{"expires_after[seconds]": "3600"}), "expires_after.anchor"),
        (form(**{"expires_after[anchor]": "created_at"}), "expires_after.seconds"),
        (form(**{"expires_after[anchor]": "created_at", "expires_after[seconds]": "60"}), "expires_after.seconds"),
        (form(**{"expires_after[anchor]": "created_at", "expires_after[seconds]": "-1"}), "expires_after.seconds"),
        ({"files": {"file": ("a", b"x")}}, "purpose"),
        ({"data": {"purpose": "batch"}, "files": {"other": ("a", b"x")}}, "other"),
        ({"data": {"purpose": "batch", "file": "text"}}, "file"),
        ({"json": {"purpose": "batch"}}, "file"),
    ],
)
async def test_a_wrong_form_is_refused_and_leaves_nothing(
    http: httpx.AsyncClient, tmp_path: Path, sent: dict[str, Any], param: str
) -> None:
    assert refusal(await http.post("/v1/files", **sent)) == (400, param)
    assert not list((tmp_path / "files").glob("*"))


async def test_a_file_over_the_limits_is_refused(http: httpx.AsyncClient) -> None:
    assert refusal(await http.post("/v1/files", **form(b"x" * 5001))) == (413, "file")
    await uploaded(http, content=b"x" * 5000)
    assert refusal(await http.post("/v1/files", **form(b"x" * 4001))) == (413, "file")
    await uploaded(http, content=b"x" * 4000)


async def test_a_broken_form_is_refused(http: httpx.AsyncClient) -> None:
    headers = {"content-type": "multipart/form-data; boundary=x"}
    response = await http.post("/v1/files", content=b"--y\r\nnothing", headers=headers)
    assert response.status_code == 400


@pytest.mark.parametrize("name", ["../../etc/passwd", 'a"b\r\nx: y', "a" * 400, "ü😀\u202e.jsonl", "nul\x00"])
async def test_an_odd_name_harms_nobody(http: httpx.AsyncClient, tmp_path: Path, name: str) -> None:
    file_id = await uploaded(http, name=name)
    got = await http.get(f"/v1/files/{file_id}/content")
    assert (got.status_code, got.content) == (200, b"{}\n")
    assert [path.name for path in (tmp_path / "files").iterdir()] == [file_id]


async def test_a_strange_id_is_not_found(http: httpx.AsyncClient) -> None:
    for file_id in ("..%2f..%2fheliostat.db", "file-%00", "x" * 500):
        assert (await http.get(f"/v1/files/{file_id}/content")).status_code == 404
