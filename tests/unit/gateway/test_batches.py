"""OpenAI's batches over HTTP: a database in memory, jobs that run in the test's own loop or not at all."""

import json
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest
from fastapi import FastAPI
from sqlalchemy import Engine, update

from cluster.errors import ClusterError, NotFound
from cluster.stores.batches import Batches
from cluster.stores.batches import batches as table
from cluster.stores.database import now, open_database
from cluster.stores.files import Files
from deployments.clients import Backends
from deployments.gateway import errors
from deployments.gateway.app import build_lines
from deployments.gateway.chats import Chats
from deployments.gateway.openai import batches, files, routes
from deployments.gateway.surface import take
from pipelines.batches.folder import BatchFolder
from pipelines.batches.run import BatchJob, Workshop
from tests.unit.gateway.conftest import LocalEmbedder, LocalModel, client_of, settings_with
from tests.unit.gateway.test_files import Owners

CHAT = "/v1/chat/completions"


def line(number: int, **body: Any) -> dict[str, Any]:
    chat = {"model": "echo", "messages": [{"role": "user", "content": f"say {number}"}], **body}
    return {"custom_id": f"c{number}", "method": "POST", "url": CHAT, "body": chat}


def problems(batch: openai.types.Batch) -> list[openai.types.BatchError]:
    assert batch.errors is not None
    return batch.errors.data or []


class Jobs:
    """Jobs that do nothing by themselves. ends: what Ray would say, by submission id."""

    def __init__(self) -> None:
        self.submitted: dict[str, list[str]] = {}
        self.ends: dict[str, str] = {}
        self.broken = False

    def submit(self, arguments: list[str], *, submission_id: str, metadata: dict[str, str]) -> None:
        if self.broken:
            raise ClusterError("Ray's job server: does not answer")
        self.submitted[submission_id] = arguments

    def ended(self, submission_id: str) -> str | None:
        if submission_id not in self.submitted:
            raise NotFound("no such job")
        return self.ends.get(submission_id)

    def stop(self, submission_id: str) -> None:
        raise AssertionError("a cancelled batch is ended by its own job")


class Office:
    """The app with its jobs, and what a job does when the test lets it."""

    def __init__(self, model: LocalModel, engine: Engine, home: Path, **changes: Any) -> None:
        self.settings = settings_with(home=str(home), **changes)
        self.backends = Backends(models={"echo": model}, embedder=LocalEmbedder())
        self.jobs = Jobs()
        self.batches = Batches(engine)
        self.files = Files(engine, home)
        self.home = home
        self.app = FastAPI()
        errors.install(self.app)
        chats = Chats(self.backends, self.settings)
        take(
            self.app,
            routes.router(self.backends, self.settings, chats),
            files.router(self.settings, engine),
            batches.router(self.settings, engine, self.jobs),
        )
        self.app.add_middleware(Owners)
        self.http = client_of(self.app)

    async def upload(self, *lines: dict[str, Any], raw: bytes = b"", **headers: str) -> str:
        content = b"".join(json.dumps(one).encode() + b"\n" for one in lines) + raw
        form = {"files": {"file": ("in.jsonl", content)}, "data": {"purpose": "batch"}, "headers": headers}
        file_id: str = (await self.http.post("/v1/files", **form)).json()["id"]
        return file_id

    async def ask(self, file_id: str, **changes: Any) -> httpx.Response:
        body = {"input_file_id": file_id, "endpoint": CHAT, "completion_window": "24h", **changes}
        return await self.http.post("/v1/batches", json=body)

    async def create(self, *lines: dict[str, Any], **changes: Any) -> openai.types.Batch:
        response = await self.ask(await self.upload(*(lines or (line(1),))), **changes)
        assert response.status_code == 200, response.text
        return openai.types.Batch.model_validate(response.json())

    async def get(self, batch_id: str) -> openai.types.Batch:
        response = await self.http.get(f"/v1/batches/{batch_id}")
        assert response.status_code == 200, response.text
        return openai.types.Batch.model_validate(response.json())

    async def work(self, batch_id: str) -> None:
        """What the batch's newest job does."""
        submission = self.batches.get(batch_id).submission_id
        assert submission is not None
        assert self.jobs.submitted[submission] == ["batch", "run", batch_id, "--submission", submission]
        shop = Workshop(
            home=self.home,
            batches=self.batches,
            files=self.files,
            served=frozenset({"echo", "hash"}),
            settings=self.settings.batches,
            max_line_bytes=10_000,
            timeout_s=5,
            poll_s=0.01,
            flush_s=0.01,
        )
        await BatchJob(batch_id, submission, shop, build_lines(self.backends, self.settings).answer).run()

    async def lines(self, file_id: str | None) -> dict[str, Any]:
        content = (await self.http.get(f"/v1/files/{file_id}/content")).text
        return {row["custom_id"]: row for row in map(json.loads, content.splitlines())}


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setattr("os.fsync", lambda _: None)
    opened = open_database("sqlite://")
    yield opened
    opened.dispose()


@pytest.fixture
async def office(model: LocalModel, engine: Engine, tmp_path: Path) -> AsyncIterator[Office]:
    made = Office(model, engine, tmp_path, batches={"max_running": 2, "restarts": 2})
    async with made.http:
        yield made


async def test_a_batch_is_created_run_and_read_back(office: Office) -> None:
    made = await office.create(line(1), line(2, temperature=9), line(3), metadata={"a": "b"})
    assert (made.status, made.endpoint, made.metadata, made.errors) == ("validating", CHAT, {"a": "b"}, None)
    assert made.expires_at == made.created_at + 24 * 3600
    await office.work(made.id)
    done = await office.get(made.id)
    assert done.status == "completed"
    assert done.request_counts is not None
    assert done.request_counts.to_dict() == {"total": 3, "completed": 2, "failed": 1}
    assert None not in (done.in_progress_at, done.finalizing_at, done.completed_at)
    good, bad = await office.lines(done.output_file_id), await office.lines(done.error_file_id)
    assert set(good) == {"c1", "c3"}
    openai.types.chat.ChatCompletion.model_validate(good["c1"]["response"]["body"])
    assert good["c3"]["response"]["body"]["choices"][0]["message"]["content"] == "say 3"
    assert bad["c2"]["response"]["status_code"] == 400
    assert bad["c2"]["response"]["body"]["error"]["param"] == "temperature"
    listed = (await office.http.get("/v1/files", params={"purpose": "batch_output"})).json()["data"]
    assert {file["id"] for file in listed} == {done.output_file_id, done.error_file_id}


async def test_embeddings_run_too(office: Office) -> None:
    one = {"custom_id": "x", "method": "POST", "url": "/v1/embeddings", "body": {"model": "hash", "input": "a"}}
    made = await office.create(one, endpoint="/v1/embeddings")
    await office.work(made.id)
    output = await office.lines((await office.get(made.id)).output_file_id)
    assert (output["x"]["custom_id"], output["x"]["response"]["status_code"]) == ("x", 200)
    answer = openai.types.CreateEmbeddingResponse.model_validate(output["x"]["response"]["body"])
    assert (answer.model, [len(item.embedding) for item in answer.data]) == ("hash", [16])


async def test_a_bad_file_fails_the_batch_and_not_the_call(office: Office) -> None:
    file_id = await office.upload(line(1), line(1), raw=b"nope")
    made = (await office.ask(file_id)).json()
    await office.work(made["id"])
    done = await office.get(made["id"])
    assert done.status == "failed"
    assert [(error.code, error.line) for error in problems(done)] == [
        ("duplicate_custom_id", 2),
        ("invalid_json_line", 3),
    ]
    assert done.output_file_id is None


@pytest.mark.parametrize(
    ("change", "status", "param"),
    [
        ({"input_file_id": "file-none"}, 404, "id"),
        ({"endpoint": "/v1/moderations"}, 400, "endpoint"),
        ({"endpoint": "/v1/responses"}, 400, "endpoint"),  # this app has none
        ({"completion_window": "1h"}, 400, "completion_window"),
        ({"metadata": {"a": 1}}, 400, "metadata.a"),
        ({"metadata": {str(number): "" for number in range(17)}}, 400, "metadata"),
        ({"output_expires_after": {"anchor": "created_at", "seconds": 1}}, 400, "output_expires_after.seconds"),
        ({"nope": 1}, 400, "nope"),
    ],
)
async def test_a_wrong_request_is_refused(office: Office, change: dict[str, Any], status: int, param: str) -> None:
    response = await office.ask(await office.upload(line(1)), **change)
    assert (response.status_code, response.json()["error"]["param"]) == (status, param)
    assert office.jobs.submitted == {}


async def test_a_file_of_another_purpose_is_refused(office: Office) -> None:
    form = {"files": {"file": ("a", b"x")}, "data": {"purpose": "user_data"}}
    file_id = (await office.http.post("/v1/files", **form)).json()["id"]
    response = await office.ask(file_id)
    assert (response.status_code, response.json()["error"]["param"]) == (400, "input_file_id")


async def test_another_owners_batch_and_file_do_not_exist(office: Office) -> None:
    made = await office.create()
    bob = {"headers": {"x-owner": "bob"}}
    assert (await office.http.get("/v1/batches", **bob)).json()["data"] == []
    assert (await office.http.get(f"/v1/batches/{made.id}", **bob)).status_code == 404
    assert (await office.http.post(f"/v1/batches/{made.id}/cancel", **bob)).status_code == 404
    assert (await office.http.get("/v1/batches", params={"after": made.id}, **bob)).status_code == 404
    response = await office.ask(await office.upload(line(1), **{"x-owner": "bob"}))
    assert response.status_code == 404
    assert (await office.get(made.id)).status == "validating"


async def test_a_key_gets_no_further_through_a_batch_than_without(office: Office) -> None:
    body = {"input_file_id": await office.upload(line(1)), "endpoint": CHAT, "completion_window": "24h"}
    for scopes, status in (("batches files embeddings", 403), ("batches files chat", 200)):
        response = await office.http.post("/v1/batches", json=body, headers={"x-scopes": scopes})
        assert response.status_code == status


async def test_pages_are_newest_first(office: Office) -> None:
    made = [(await office.create()).id for _ in range(3)]
    page = (await office.http.get("/v1/batches", params={"limit": 2})).json()
    assert ([batch["id"] for batch in page["data"]], page["has_more"]) == ([made[2], made[1]], True)
    rest = (await office.http.get("/v1/batches", params={"after": made[1]})).json()
    assert ([batch["id"] for batch in rest["data"]], rest["has_more"]) == ([made[0]], False)
    assert (await office.http.get("/v1/batches", params={"limit": 101})).status_code == 400


async def test_a_running_batch_is_cancelled_by_its_own_job(office: Office) -> None:
    made = await office.create()
    cancelled = (await office.http.post(f"/v1/batches/{made.id}/cancel")).json()
    assert cancelled["status"] == "cancelling"
    again = await office.http.post(f"/v1/batches/{made.id}/cancel")
    assert (again.status_code, again.json()["status"]) == (200, "cancelling")
    await office.work(made.id)
    done = await office.get(made.id)
    assert (done.status, bool(done.cancelled_at)) == ("cancelled", True)


async def test_what_has_ended_is_not_cancelled(office: Office) -> None:
    made = await office.create()
    await office.work(made.id)
    response = await office.http.post(f"/v1/batches/{made.id}/cancel")
    assert (response.status_code, response.headers["x-should-retry"]) == (409, "false")
    assert "completed" in response.json()["error"]["message"]


async def test_two_run_at_once_and_the_third_waits_for_a_place(office: Office) -> None:
    made = [await office.create() for _ in range(3)]
    assert len(office.jobs.submitted) == 2
    await office.work(made[0].id)
    assert (await office.get(made[2].id)).status == "validating"  # looking at it gives it the free place
    assert len(office.jobs.submitted) == 3
    await office.work(made[2].id)
    assert (await office.get(made[2].id)).status == "completed"


async def test_one_that_waits_is_cancelled_at_once(office: Office) -> None:
    made = [await office.create() for _ in range(3)]
    assert (await office.http.post(f"/v1/batches/{made[2].id}/cancel")).json()["status"] == "cancelled"
    assert len(office.jobs.submitted) == 2


async def test_a_job_that_died_is_replaced_when_somebody_looks(office: Office) -> None:
    made = await office.create(line(1), line(2))
    (first,) = office.jobs.submitted
    office.jobs.ends[first] = "killed"
    assert (await office.get(made.id)).status == "validating"
    assert len(office.jobs.submitted) == 2
    await office.work(made.id)
    assert (await office.get(made.id)).status == "completed"


async def test_a_list_replaces_dead_jobs_too(office: Office) -> None:
    await office.create()
    (first,) = office.jobs.submitted
    office.jobs.ends[first] = "killed"
    await office.http.get("/v1/batches")
    assert len(office.jobs.submitted) == 2


async def test_a_batch_whose_jobs_die_again_and_again_fails_with_what_it_has(office: Office) -> None:
    made = await office.create(line(1), line(2))
    folder = BatchFolder(office.home, made.id)
    with folder.held(wait_s=0):
        folder.write([{"line": 1, "ok": True, "output": b'{"custom_id": "c1"}'}])
    for _ in range(4):
        said = "exit code 1, last available logs (truncated to 20,000 chars): File /secret"
        office.jobs.ends |= dict.fromkeys(office.jobs.submitted, said)
        batch = await office.get(made.id)
    assert (batch.status, len(office.jobs.submitted)) == ("failed", 3)
    (problem,) = problems(batch)
    assert problem.code == "job_failed"
    assert (problem.message or "").endswith("died 3 times: exit code 1")
    assert set(await office.lines(batch.output_file_id)) == {"c1"}


async def test_a_cluster_that_is_gone_took_its_jobs_along(office: Office, engine: Engine) -> None:
    made = await office.create()
    office.jobs.submitted.clear()
    assert (await office.get(made.id)).status == "validating"
    assert office.jobs.submitted == {}  # a job that Ray does not know yet may be about to start
    with engine.begin() as connection:
        connection.execute(update(table).values(submitted_at=now() - timedelta(minutes=2)))
    await office.get(made.id)
    assert len(office.jobs.submitted) == 1


async def test_a_batch_is_kept_while_no_job_can_start(office: Office) -> None:
    office.jobs.broken = True
    made = await office.create()
    assert (await office.get(made.id)).status == "validating"
    office.jobs.broken = False
    await office.get(made.id)
    await office.work(made.id)
    assert (await office.get(made.id)).status == "completed"


async def test_an_unknown_batch_is_not_found(office: Office) -> None:
    for response in (
        await office.http.get("/v1/batches/batch_0"),
        await office.http.post("/v1/batches/batch_0/cancel"),
    ):
        assert (response.status_code, response.json()["error"]["code"]) == (404, "batch_not_found")
