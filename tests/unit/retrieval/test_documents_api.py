"""The documents' routes over a real library, large uploads over a fake of Ray's jobs."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from cluster.config import resolve
from cluster.errors import NotFound
from cluster.stores.database import open_database
from deployments.clients import Backends
from deployments.gateway import errors
from deployments.gateway.chats import Chats
from deployments.gateway.collections.directory import Collections
from deployments.gateway.documents import routes as documents
from deployments.gateway.middleware import RequestIds
from deployments.gateway.rag import routes as rag
from deployments.gateway.rag.searching import open_searches
from deployments.gateway.surface import take
from pipelines.documents.job_progress import JobProgress, write_progress
from tests.unit.retrieval.library_parts import Chat, library


@dataclass
class FakeJobs:
    """Ray's jobs: keeps what was submitted; `over` is what each job became."""

    submitted: list[dict[str, Any]] = field(default_factory=list)
    over: str | None = None
    known: bool = True
    sizes: list[int] = field(default_factory=list)

    def submit(self, entrypoint: list[str], *, submission_id: str, metadata: dict[str, str], home: Path) -> str:
        self.sizes.append(Path(entrypoint[4]).stat().st_size)
        self.submitted.append({"entrypoint": entrypoint, "id": submission_id, "metadata": metadata})
        return submission_id

    def ended(self, submission_id: str, *, home: Path) -> str | None:
        if not self.known:
            raise NotFound("no job")
        return self.over


@pytest.fixture
def jobs() -> FakeJobs:
    return FakeJobs()


@pytest.fixture
async def api(tmp_path: Path, jobs: FakeJobs) -> AsyncIterator[httpx.AsyncClient]:
    args = {
        "home": str(tmp_path),
        "models": [{"id": "hash", "engine": {"kind": "hash"}}, {"id": "echo", "engine": {"kind": "scripted"}}],
        "documents": {"inline_bytes": 1000, "max_file_bytes": 5000, "min_score": 0.1},
    }
    shelf = library(tmp_path)
    app = FastAPI()
    errors.install(app)
    backends = Backends(models={"echo": Chat()}, retriever=shelf)
    settings, engine = resolve(args, {}), open_database("sqlite://")
    chats = Chats(backends, settings)
    searches = open_searches(backends, settings, chats, Collections(engine, shelf, settings))
    take(app, documents.router(backends, settings, engine, jobs=jobs))
    take(app, rag.router(backends, settings, chats, searches))
    app.add_middleware(RequestIds)
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://test/api/v1") as client:
        yield client


async def upload(api: httpx.AsyncClient, *files: tuple[str, bytes], name: str = "file") -> httpx.Response:
    return await api.post("/documents", files=[(name, file) for file in files])


async def test_an_upload_is_stored_listed_shown_and_deleted(api: httpx.AsyncClient) -> None:
    stored = await upload(api, ("snow.txt", b"Snow covers the Alps."))
    assert stored.status_code == 201
    document = stored.json()
    told = {"id", "source", "media_type", "chunks", "pages", "characters", "created", "tags", "metadata"}
    assert set(document) == told
    assert (await api.get("/documents")).json() == {"documents": [document], "total": 1, "has_more": False}
    assert (await api.get(f"/documents/{document['id']}")).json() == document
    assert (await api.delete(f"/documents/{document['id']}")).json() == document
    assert (await api.get(f"/documents/{document['id']}")).json()["error"]["code"] == "document_not_found"


async def test_several_files_are_each_stored_or_refused(api: httpx.AsyncClient) -> None:
    answer = await upload(api, ("a.txt", b"words"), ("b.png", b"..."), ("big.txt", b"w " * 1000), name="files")
    assert answer.status_code == 201
    found = answer.json()
    assert [document["source"] for document in found["documents"]] == ["a.txt"]
    assert [(one["source"], one["error"]["code"]) for one in found["errors"]] == [
        ("b.png", "unsupported_document_type")
    ]
    assert [job["source"] for job in found["jobs"]] == ["big.txt"]


@pytest.mark.parametrize(
    ("name", "content", "status", "code"),
    [
        ("a.pdf", b"%PDF-1.4 broken", 400, "broken_document"),
        ("a.txt", b"", 400, "empty_document"),
        ("a.exe", b"MZ", 415, "unsupported_document_type"),
        ("a.txt", b"x" * 5001, 413, "payload_too_large"),
        ("..", b"x", 400, "invalid_request"),
    ],
)
async def test_a_file_that_cannot_be_stored_is_refused(
    api: httpx.AsyncClient, name: str, content: bytes, status: int, code: str
) -> None:
    answer = await upload(api, (name, content))
    assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)
    assert answer.json()["error"]["hint"]


async def test_a_request_without_a_file_says_how_to_send_one(api: httpx.AsyncClient) -> None:
    answers = [
        await api.post("/documents"),
        await api.post("/documents", json={"file": "x"}),
        await api.post("/documents", data={"file": "text"}),
        await api.post("/documents", data={"colour": "x"}, files={"file": ("a.txt", b"x")}),
    ]
    assert [answer.status_code for answer in answers] == [400] * 4
    assert [answer.json()["error"]["param"] for answer in answers] == ["file", "file", "file", "colour"]


async def test_a_name_that_climbs_is_reduced_to_its_last_part(api: httpx.AsyncClient) -> None:
    answer = await upload(api, ("../../etc/cron.txt", b"words"))
    assert answer.json()["source"] == "cron.txt"


async def test_a_large_upload_becomes_a_job_whose_progress_is_shown(
    api: httpx.AsyncClient, jobs: FakeJobs, tmp_path: Path
) -> None:
    answer = await upload(api, ("../big.txt", b"w " * 1000))
    assert answer.status_code == 202
    job_id = answer.json()["job_id"]
    command = jobs.submitted[0]["entrypoint"]
    assert jobs.sizes == [2000]
    assert Path(command[4]) == tmp_path / "uploads" / job_id / "big.txt"
    assert command[1:4] == ["-m", "pipelines", "ingest"]
    assert command[5:] == ["--job", job_id]
    shown = (await api.get(answer.json()["status_url"].removeprefix("/api/v1"))).json()
    assert (shown["state"], shown["files"]) == ("queued", {"done": 0, "total": 1})
    progress = JobProgress(
        job_id=job_id, state="running", files_total=1, files_done=1, chunks_total=8, chunks_done=3
    )
    write_progress(tmp_path, progress)
    assert (await api.get(f"/documents/jobs/{job_id}")).json()["chunks"] == {"done": 3, "total": 8}


@pytest.mark.parametrize("known", [True, False])
async def test_a_job_that_died_is_shown_as_failed(api: httpx.AsyncClient, jobs: FakeJobs, known: bool) -> None:
    answer = await upload(api, ("big.txt", b"w " * 1000))
    jobs.over, jobs.known = "FAILED: killed", known
    shown = (await api.get(f"/documents/jobs/{answer.json()['job_id']}")).json()
    assert shown["state"] == "failed"
    assert ("killed" if known else "restarted") in shown["reason"]


@pytest.mark.parametrize("job_id", ["ingest-0000000000000000", "nonsense", "..%2f..%2fsecret"])
async def test_an_unknown_job_is_not_found(api: httpx.AsyncClient, job_id: str) -> None:
    assert (await api.get(f"/documents/jobs/{job_id}")).status_code == 404


async def test_search_gives_passages_with_their_place(api: httpx.AsyncClient) -> None:
    await upload(api, ("snow.md", b"# Weather\n\nSnow covers the Alps."))
    found = (await api.post("/rag/search", json={"query": "Alps snow", "limit": 1})).json()["passages"]
    assert found[0]["index"] == 1
    assert (found[0]["source"], found[0]["heading"], found[0]["page"]) == ("snow.md", "Weather", None)
    assert found[0]["text"] == "# Weather\n\nSnow covers the Alps."[found[0]["start"] : found[0]["end"]]


async def test_a_question_is_answered_with_citations(api: httpx.AsyncClient) -> None:
    await upload(api, ("snow.txt", b"Snow covers the Alps."))
    answer = (await api.post("/rag/query", json={"query": "What covers the Alps?"})).json()
    assert {"answer", "model", "citations", "finish_reason", "usage"} <= set(answer)
    assert [citation["source"] for citation in answer["citations"]] == ["snow.txt"]
    assert answer["usage"]["total_tokens"] > 0


async def test_a_question_about_nothing_stored_is_answered_honestly(api: httpx.AsyncClient) -> None:
    answer = (await api.post("/rag/query", json={"query": "What covers the Alps?"})).json()
    assert (answer["answer"], answer["citations"]) == ("The documents don't say.", [])


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({}, "query"),
        ({"query": ""}, "query"),
        ({"query": "q", "limit": 0}, "limit"),
        ({"query": "q", "limit": "3"}, "limit"),
        ({"query": "q", "top_k": 3}, "top_k"),
        ({"query": "q" * 9000}, "query"),
    ],
)
@pytest.mark.parametrize("path", ["/rag/search", "/rag/query"])
async def test_wrong_fields_are_named(api: httpx.AsyncClient, path: str, body: dict[str, Any], param: str) -> None:
    answer = await api.post(path, json=body)
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, param)


async def test_an_unknown_model_is_404(api: httpx.AsyncClient) -> None:
    answer = await api.post("/rag/query", json={"query": "q", "model": "gpt"})
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "model_not_found")
