"""Everybody reads documents; only who uploaded one, and admins, replace it or take it out."""

import hashlib
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from fastapi import FastAPI
from sqlalchemy import Engine

from cluster.config import resolve
from cluster.stores.database import open_database
from cluster.stores.document_owners import DocumentOwners
from deployments.clients import Backends
from deployments.gateway import errors
from deployments.gateway.documents import routes as documents
from deployments.gateway.documents.belongings import id_of
from deployments.gateway.middleware import RequestIds
from deployments.gateway.principal import Principal, Role
from deployments.gateway.surface import take
from tests.unit.gateway.limits.conftest import Known
from tests.unit.retrieval.library_parts import library
from tests.unit.retrieval.test_documents_api import FakeJobs

WHO = {
    name: Principal(id=name, owner=name, role=Role.ADMIN if name == "root" else Role.USER)
    for name in ("ann", "bob", "local", "root")
}
SNOW = b"Snow covers the Alps."


class Shelf:
    """The documents' API, asked by several people."""

    def __init__(self, client: httpx.AsyncClient, owners: DocumentOwners, library: object) -> None:
        self.client = client
        self.owners = owners
        self.library = library

    async def upload(self, who: str, name: str, content: bytes = SNOW) -> httpx.Response:
        return await self.client.post("/documents", files={"file": (name, content)}, headers={"x-key": who})

    async def delete(self, who: str, document_id: str) -> httpx.Response:
        return await self.client.delete(f"/documents/{document_id}", headers={"x-key": who})

    async def names(self, who: str) -> list[str]:
        answer = await self.client.get("/documents", headers={"x-key": who})
        return [document["source"] for document in answer.json()["documents"]]


@pytest.fixture
def engine() -> Engine:
    return open_database("sqlite://")


@pytest.fixture
async def shelf(tmp_path: Path, engine: Engine) -> AsyncIterator[Shelf]:
    args = {
        "home": str(tmp_path),
        "models": [{"id": "hash", "engine": {"kind": "hash"}}],
        "documents": {"inline_bytes": 1000, "max_file_bytes": 5000},
    }
    books = library(tmp_path)
    app = FastAPI()
    errors.install(app)
    backends = Backends(models={}, retriever=books)
    take(app, documents.router(backends, resolve(args, {}), engine, jobs=FakeJobs()))
    app.add_middleware(Known, keys=WHO)
    app.add_middleware(RequestIds)
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://test/api/v1") as client:
        yield Shelf(client, DocumentOwners(engine), books)


async def test_all_see_a_document_and_its_owner_takes_it_out(shelf: Shelf) -> None:
    document = (await shelf.upload("ann", "snow.txt")).json()
    assert "owner" not in document
    assert await shelf.names("bob") == ["snow.txt"]
    refused = await shelf.delete("bob", document["id"])
    assert (refused.status_code, refused.json()["error"]["code"]) == (403, "permission_denied")
    assert (await shelf.delete("ann", document["id"])).json() == document
    assert await shelf.names("ann") == []


async def test_an_admin_takes_any_out(shelf: Shelf) -> None:
    document = (await shelf.upload("ann", "snow.txt")).json()
    assert (await shelf.delete("root", document["id"])).status_code == 200


@pytest.mark.parametrize("content", [b"Rain falls in Wales.", SNOW])
async def test_nobody_replaces_anothers_document_by_its_name(shelf: Shelf, content: bytes) -> None:
    await shelf.upload("ann", "snow.txt")
    refused = await shelf.upload("bob", "snow.txt", content)
    assert (refused.status_code, refused.json()["error"]["param"]) == (403, "file")
    assert (await shelf.upload("ann", "snow.txt", b"More snow.")).status_code == 201


async def test_the_same_bytes_of_two_people_are_nobodys_alone(shelf: Shelf) -> None:
    document = (await shelf.upload("ann", "snow.txt")).json()
    assert (await shelf.upload("bob", "schnee.txt")).json()["id"] == document["id"]
    assert (await shelf.delete("ann", document["id"])).status_code == 403
    assert (await shelf.delete("root", document["id"])).status_code == 200


async def test_what_came_another_way_is_locals(shelf: Shelf) -> None:
    document = await shelf.library.add(source="old.txt", content=SNOW)  # type: ignore[attr-defined]
    assert (await shelf.delete("ann", document.id)).status_code == 403
    assert (await shelf.upload("ann", "old.txt", b"new")).status_code == 403
    assert (await shelf.delete("local", document.id)).status_code == 200


async def test_a_name_is_free_again_when_its_document_is_gone(shelf: Shelf) -> None:
    document = (await shelf.upload("ann", "snow.txt")).json()
    await shelf.library.remove(document["id"])  # type: ignore[attr-defined]  # not through the API
    assert (await shelf.upload("bob", "snow.txt")).status_code == 201
    assert (await shelf.delete("bob", document["id"])).status_code == 200


async def test_a_document_that_is_not_there_is_404_for_all(shelf: Shelf) -> None:
    for who in ("ann", "root"):
        assert (await shelf.delete(who, "0" * 64)).status_code == 404


async def test_a_large_upload_is_its_owners_before_a_job_has_stored_it(shelf: Shelf) -> None:
    content = b"w " * 1000
    assert (await shelf.upload("ann", "big.txt", content)).status_code == 202
    digest = hashlib.sha256(content).hexdigest()
    assert shelf.owners.of("documents", digest) == {"ann"}


def test_a_files_id_is_that_of_its_bytes(tmp_path: Path) -> None:
    file = tmp_path / "a"
    file.write_bytes(SNOW)
    with file.open("rb") as source:
        source.read(3)
        assert id_of(source) == hashlib.sha256(SNOW).hexdigest()
        assert source.tell() == 0
