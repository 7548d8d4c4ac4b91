"""A retriever that keeps everything in dicts and finds passages by their words; and the API over it."""

import asyncio
import hashlib
import re
from collections.abc import Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import httpx
from fastapi import FastAPI

from cluster.config import resolve
from cluster.documents import (
    Added,
    Chunk,
    CollectionCard,
    Document,
    EmbedderIdentity,
    NewDocument,
    Passage,
    SearchCall,
)
from cluster.errors import CollectionNotFound, DocumentNotFound, EmptyDocument, HeliostatError, NotFound
from cluster.filters import parse_filter
from cluster.settings.tree import Settings
from cluster.stores.database import open_database
from cluster.types import Health
from deployments.clients import Backends
from deployments.gateway import errors
from deployments.gateway.collections import routes as collection_routes
from deployments.gateway.collections.directory import Collections
from deployments.gateway.documents import routes as documents
from deployments.gateway.middleware import RequestIds
from deployments.gateway.principal import Principal, Role
from deployments.gateway.surface import take
from tests.unit.gateway.limits.conftest import Known

WHO = {
    name: Principal(id=name, owner=name, role=Role.ADMIN if name == "root" else Role.USER)
    for name in ("ann", "bob", "local", "root")
}
DEFAULT = "documents"
IDENTITY = EmbedderIdentity(model="hash", revision="r", dimensions=16)


@dataclass
class ScriptedRetriever:
    """See deployments.clients.Retriever. A chunk is a line. slow: every `add` waits until it is set.

    passes: the names that each `add_many` was given.
    """

    kept: dict[str, dict[str, tuple[Document, tuple[Chunk, ...]]]] = field(default_factory=dict)
    entered: int = 0
    adds: int = 0
    slow: asyncio.Event | None = None
    passes: list[list[str]] = field(default_factory=list)

    async def add(
        self,
        *,
        source: str,
        content: bytes,
        collection: str | None = None,
        tags: tuple[str, ...] = (),
        metadata: Mapping[str, Any] | None = None,
    ) -> Document:
        self.entered += 1
        if self.slow is not None:
            await self.slow.wait()
        self.adds += 1
        text = content.decode()
        if not text.strip():
            raise EmptyDocument(f"{source}: the file is empty", hint="send a file with text in it")
        shelf = self.kept.setdefault(collection or DEFAULT, {})
        key = hashlib.sha256(content).hexdigest()
        for other, (document, _) in list(shelf.items()):
            if document.source == source and other != key:
                del shelf[other]
        chunks = tuple(
            Chunk(
                id=f"{key[:8]}-{at}",
                document_id=key,
                source=source,
                ordinal=at,
                start=text.index(line),
                end=text.index(line) + len(line),
                text=line,
                tokens=len(line.split()),
            )
            for at, line in enumerate(text.splitlines())
        )
        before = shelf[key][0] if key in shelf else None
        document = Document(
            id=key,
            source=source,
            media_type="text/plain",
            chunks=len(chunks),
            characters=len(text),
            created=1,
            tags=tuple(dict.fromkeys((*(before.tags if before else ()), *tags))),
            metadata={**(before.metadata if before else {}), **(metadata or {})},
        )
        shelf[key] = (document, chunks)
        return document

    async def add_many(
        self,
        files: Sequence[NewDocument],
        collection: str | None = None,
        *,
        tags: tuple[str, ...] = (),
        metadata: Mapping[str, Any] | None = None,
    ) -> tuple[Added, ...]:
        self.passes.append([file.source for file in files])
        found: list[Added] = []
        for file in files:
            try:
                found.append(
                    await self.add(
                        source=file.source,
                        content=file.content,
                        collection=collection,
                        tags=tags,
                        metadata=metadata,
                    )
                )
            except HeliostatError as error:
                found.append(error)
        return tuple(found)

    async def documents(self, collection: str | None = None) -> tuple[Document, ...]:
        return tuple(document for document, _ in reversed(list(self._shelf(collection).values())))

    async def document(self, document_id: str, collection: str | None = None) -> Document:
        return self._find(document_id, collection)[0]

    async def chunks(
        self, document_id: str, collection: str | None = None, *, first: int = 0, limit: int = 100
    ) -> tuple[Chunk, ...]:
        return self._find(document_id, collection)[1][first : first + limit]

    async def annotate(
        self,
        document_id: str,
        collection: str | None = None,
        *,
        tags: tuple[str, ...] | None,
        metadata: Mapping[str, Any] | None,
    ) -> Document:
        document, chunks = self._find(document_id, collection)
        if tags is not None:
            document = replace(document, tags=tags)
        if metadata is not None:
            document = replace(document, metadata=dict(metadata))
        self._shelf(collection)[document_id] = (document, chunks)
        return document

    async def remove(self, document_id: str, collection: str | None = None) -> Document:
        document, _ = self._find(document_id, collection)
        del self._shelf(collection)[document_id]
        return document

    async def search(self, call: SearchCall) -> tuple[Passage, ...]:
        words = set(re.findall(r"\w+", call.query.lower()))
        passes = None if call.where is None else parse_filter(call.where, param="where")
        found = []
        for document, chunks in self._shelf(call.collection).values():
            if passes is not None and not passes.matches(document):
                continue
            for chunk in chunks:
                shared = len(words & set(re.findall(r"\w+", chunk.text.lower())))
                if shared:
                    score = shared / len(words)
                    chunk = replace(chunk, source=document.source)
                    found.append(Passage(chunk=chunk, score=score, cosine=score))
        found.sort(key=lambda passage: -passage.score)
        return tuple(found[: call.limit])

    async def collections(self) -> tuple[CollectionCard, ...]:
        return tuple(
            CollectionCard(
                name=name,
                documents=len(shelf),
                chunks=sum(len(chunks) for _, chunks in shelf.values()),
                identity=IDENTITY,
            )
            for name, shelf in sorted(self.kept.items())
            if shelf
        )

    async def remove_collection(self, collection: str) -> None:
        if self.kept.pop(collection, None) is None:
            raise CollectionNotFound(f"No collection {collection!r}")

    async def reindex(self, collection: str | None = None) -> int:
        return 0

    async def health(self) -> Health:
        return Health(status="running")

    def _shelf(self, collection: str | None) -> dict[str, tuple[Document, tuple[Chunk, ...]]]:
        return self.kept.get(collection or DEFAULT, {})

    def _find(self, document_id: str, collection: str | None) -> tuple[Document, tuple[Chunk, ...]]:
        shelf = self._shelf(collection)
        if document_id not in shelf:
            raise DocumentNotFound(f"No document with the id {document_id!r}", hint="list them")
        return shelf[document_id]


@dataclass
class FakeJobs:
    """Ray's jobs: keeps what was submitted; `over` is what each job became."""

    submitted: list[list[str]] = field(default_factory=list)
    over: str | None = None
    known: bool = True

    def submit(self, entrypoint: list[str], *, submission_id: str, metadata: dict[str, str], home: Path) -> str:
        self.submitted.append(entrypoint)
        return submission_id

    def ended(self, submission_id: str, *, home: Path) -> str | None:
        if not self.known:
            raise NotFound("no job")
        return self.over


def settings_at(home: Path) -> Settings:
    args = {
        "home": str(home),
        "models": [{"id": "hash", "engine": {"kind": "hash"}}],
        "documents": {"inline_bytes": 1000, "max_file_bytes": 5000},
    }
    return resolve(args, {})


class Api:
    """The documents' surface, asked by the people of WHO."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.retriever = ScriptedRetriever()
        self.jobs = FakeJobs()
        self.engine = open_database("sqlite://")
        self.settings = settings_at(home)
        self.collections = Collections(self.engine, self.retriever, self.settings)
        self.app = FastAPI()
        errors.install(self.app)
        backends = Backends(models={}, retriever=self.retriever)
        take(
            self.app,
            documents.router(backends, self.settings, self.engine, self.collections, self.jobs),
            collection_routes.router(self.settings, self.collections),
        )
        self.app.add_middleware(Known, keys=WHO)
        self.app.add_middleware(RequestIds)
        transport = httpx.ASGITransport(self.app, raise_app_exceptions=False)
        self.client = httpx.AsyncClient(transport=transport, base_url="http://test/api/v1")

    async def ask(self, who: str, method: str, path: str, **options: Any) -> httpx.Response:
        return await self.client.request(
            method, path, headers={"x-key": who, **options.pop("headers", {})}, **options
        )

    async def get(self, who: str, path: str, **options: Any) -> Any:
        answer = await self.ask(who, "GET", path, **options)
        return answer.json() if answer.status_code == 200 else answer

    async def collection(self, who: str, name: str, **fields: Any) -> dict[str, Any]:
        answer = await self.ask(who, "POST", "/collections", json={"name": name, **fields})
        assert answer.status_code == 201, answer.text
        made: dict[str, Any] = answer.json()
        return made

    async def upload(self, who: str, *files: tuple[str, bytes], **fields: Any) -> httpx.Response:
        return await self.ask(who, "POST", "/documents", files=[("files", file) for file in files], data=fields)


@asynccontextmanager
async def api_at(home: Path) -> Any:
    api = Api(home)
    async with api.client:
        yield api
