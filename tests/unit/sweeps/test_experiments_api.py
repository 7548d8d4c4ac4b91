"""The experiments API over a database in memory and jobs that a test ends by hand: no Ray, no sockets."""

from collections.abc import AsyncIterator, Iterator
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from sqlalchemy import Engine

from cluster.config import resolve
from cluster.errors import ClusterError, NotFound
from cluster.stores.database import now, open_database
from cluster.stores.experiments import COMPLETED, Experiments, Standing
from deployments.gateway import errors
from deployments.gateway.lab import batches
from deployments.gateway.surface import take
from tests.unit.sweeps.test_spec import BATCH, SPEC


class Jobs:
    """Jobs that never run. ends: what Ray would say, by submission id."""

    def __init__(self) -> None:
        self.submitted: dict[str, list[str]] = {}
        self.stopped: list[str] = []
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
        self.stopped.append(submission_id)


@pytest.fixture
def jobs() -> Jobs:
    return Jobs()


@pytest.fixture
def database() -> Iterator[Engine]:
    engine = open_database("sqlite://")
    yield engine
    engine.dispose()


@pytest.fixture
def store(database: Engine) -> Experiments:
    return Experiments(database)


@pytest.fixture
async def api(jobs: Jobs, database: Engine) -> AsyncIterator[httpx.AsyncClient]:
    settings = resolve({"models": [{"id": "gpt-4", "engine": {"kind": "scripted"}}]}, {})
    app = FastAPI()
    errors.install(app)
    take(app, batches.router(settings, {"gpt-4": None}, database, jobs))  # type: ignore[dict-item]
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://x/api/experiments") as client:
        yield client


async def created(api: httpx.AsyncClient, **changes: Any) -> int:
    response = await api.post("/batch", json={**BATCH, **changes})
    assert response.status_code == 201
    number: int = response.json()["id"]
    return number


def note(store: Experiments, number: int, done: int) -> None:
    standing = Standing(
        completed=done,
        failed=0,
        cells_per_minute=10.0,
        current_parameters={"temperature": 0.7},
        summary={"best_quality_score": 87.5, "average_quality_score": 76.2, "optimal_parameters": None},
        estimated_completion=now(),
    )
    assert store.advance(number, None, standing)


async def test_a_batch_is_created_in_the_agreed_shape(api: httpx.AsyncClient) -> None:
    answer = (await api.post("/batch", json=BATCH)).json()
    assert answer["status"] == "pending"
    assert answer["total_combinations"] == 10 * 5 * 3 * 3
    assert answer["estimated_duration"] is None  # nothing has run here yet, so nobody knows
    assert answer["created_at"].endswith("Z")
    assert isinstance(answer["id"], int)


async def test_sizes_of_chunks_are_axes_and_impossible_ones_are_named(api: httpx.AsyncClient) -> None:
    spec = {"name": "sizes", "models": ["gpt-4"], "prompts": ["Why?"]}
    good = {**spec, "retrieval": {"chunk_tokens": [32, 64], "chunk_overlap": [0, 8]}}
    planned = (await api.post("/batch/plan", json=good)).json()
    assert planned["total_combinations"] == 4
    for retrieval, param in (
        ({"chunk_tokens": [16, 64], "chunk_overlap": 16}, "retrieval.chunk_overlap"),
        ({"chunk_tokens": [16, 64]}, "retrieval.chunk_overlap"),  # the config's is 16
        ({"chunk_tokens": 8}, "retrieval.chunk_tokens"),
    ):
        for route in ("/batch", "/batch/plan"):
            refused = await api.post(route, json={**spec, "retrieval": retrieval})
            assert (refused.status_code, refused.json()["error"]["param"]) == (400, param)


async def test_the_duration_is_estimated_from_what_ran_before(api: httpx.AsyncClient, store: Experiments) -> None:
    first = await created(api)
    await api.post(f"/batch/{first}/start")
    note(store, first, 450)
    assert (await api.post("/batch", json=BATCH)).json()["estimated_duration"] == "45 minutes"


async def test_our_own_shape_is_taken_too(api: httpx.AsyncClient) -> None:
    answer = await api.post("/batch", json={**SPEC, "models": ["gpt-4"], "repeats": 4})
    assert answer.json()["total_combinations"] == 8


@pytest.mark.parametrize(
    ("change", "status", "code", "param"),
    [
        ({"response_count": "3"}, 400, "invalid_request", "response_count"),
        ({"parameter_ranges": {"temperature": "hot"}}, 400, "invalid_request", "parameter_ranges.temperature"),
        ({"parameter_ranges": {"temprature": 1}}, 400, "invalid_request", "parameter_ranges.temprature"),
        ({"nope": 1}, 400, "invalid_request", "nope"),
        ({"prompt": ""}, 400, "invalid_request", "prompt"),
        ({"model": "gpt-5"}, 404, "model_not_found", "model"),
        ({"response_count": 0}, 400, "empty_plan", None),
        ({"response_count": 10_000_000}, 400, "plan_too_large", None),
    ],
)
async def test_what_cannot_run_is_refused(
    api: httpx.AsyncClient, change: dict[str, Any], status: int, code: str, param: str | None
) -> None:
    response = await api.post("/batch", json={**BATCH, **change})
    error = response.json()["error"]
    assert (response.status_code, error["code"], error.get("param")) == (status, code, param)
    assert (await api.get("/batch")).json()["total"] == 0


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"3", b'{"name": NaN}', b"\xff"])
async def test_a_body_that_is_no_json_object_is_refused(api: httpx.AsyncClient, body: bytes) -> None:
    assert (await api.post("/batch", content=body)).status_code == 400


async def test_start_submits_the_sweep_as_a_job(api: httpx.AsyncClient, jobs: Jobs) -> None:
    number = await created(api)
    answer = (await api.post(f"/batch/{number}/start")).json()
    assert (answer["id"], answer["status"], answer["progress"]) == (number, "running", 0)
    assert list(jobs.submitted.values()) == [["sweep", "run", "--batch", str(number), "--yes"]]


async def test_a_running_batch_cannot_be_started_again(api: httpx.AsyncClient, jobs: Jobs) -> None:
    number = await created(api)
    await api.post(f"/batch/{number}/start")
    response = await api.post(f"/batch/{number}/start")
    assert (response.status_code, response.json()["error"]["code"]) == (409, "conflict")
    assert len(jobs.submitted) == 1


async def test_status_has_the_agreed_shape_and_null_for_what_is_not_known(
    api: httpx.AsyncClient, store: Experiments
) -> None:
    number = await created(api)
    fields = {"current_parameters", "estimated_completion", "results_preview"}
    before = (await api.get(f"/batch/{number}/status")).json()
    assert {before[name] for name in fields} == {None}
    await api.post(f"/batch/{number}/start")
    note(store, number, 293)
    status = (await api.get(f"/batch/{number}/status")).json()
    assert (status["progress"], status["completed_combinations"], status["total_combinations"]) == (65, 293, 450)
    assert status["current_parameters"] == {"temperature": 0.7}
    assert status["results_preview"]["best_quality_score"] == 87.5
    assert status["estimated_completion"].endswith("Z")


async def test_a_batch_whose_job_died_has_failed_and_may_go_on(api: httpx.AsyncClient, jobs: Jobs) -> None:
    number = await created(api)
    await api.post(f"/batch/{number}/start")
    jobs.ends[next(iter(jobs.submitted))] = "Job failed: killed"
    status = (await api.get(f"/batch/{number}/status")).json()
    assert status["status"] == "failed"
    assert "killed" in status["error_message"]
    assert (await api.post(f"/batch/{number}/start")).json()["status"] == "running"
    assert len(jobs.submitted) == 2


async def test_a_completed_batch_stays_completed_when_its_job_has_ended(
    api: httpx.AsyncClient, jobs: Jobs, store: Experiments
) -> None:
    number = await created(api)
    await api.post(f"/batch/{number}/start")
    store.finish(number, None, status=COMPLETED)
    jobs.ends[next(iter(jobs.submitted))] = "SUCCEEDED"
    assert (await api.get(f"/batch/{number}/status")).json()["status"] == COMPLETED


async def test_a_job_that_could_not_be_submitted_is_a_failed_batch(api: httpx.AsyncClient, jobs: Jobs) -> None:
    number = await created(api)
    jobs.broken = True
    assert (await api.post(f"/batch/{number}/start")).status_code == 500
    assert (await api.get(f"/batch/{number}/status")).json()["status"] == "failed"


async def test_delete_cancels_a_running_batch_and_forgets_any_other(api: httpx.AsyncClient, jobs: Jobs) -> None:
    number = await created(api)
    await api.post(f"/batch/{number}/start")
    first = (await api.delete(f"/batch/{number}")).json()
    assert (first["status"], first["deleted"]) == ("cancelled", False)
    assert jobs.stopped == list(jobs.submitted)
    assert (await api.delete(f"/batch/{number}")).json()["deleted"]
    assert (await api.get(f"/batch/{number}")).status_code == 404


async def test_details_show_what_was_asked(api: httpx.AsyncClient) -> None:
    number = await created(api)
    found = (await api.get(f"/batch/{number}")).json()
    for name in ("name", "description", "prompt", "model", "parameter_ranges", "response_count"):
        assert found[name] == BATCH[name]


async def test_the_list_is_paged_newest_first(api: httpx.AsyncClient) -> None:
    numbers = [await created(api, response_count=count) for count in (1, 2, 3)]
    page = (await api.get("/batch", params={"limit": 2, "offset": 1})).json()
    assert [entry["id"] for entry in page["experiments"]] == [numbers[1], numbers[0]]
    assert page["total"] == 3
    assert (await api.get("/batch", params={"limit": 0})).json()["error"]["param"] == "limit"


@pytest.mark.parametrize("number", ["7", "0", "-1", "99999999999999999999"])
async def test_an_unknown_batch_is_not_found(api: httpx.AsyncClient, number: str) -> None:
    for response in (
        await api.get(f"/batch/{number}"),
        await api.get(f"/batch/{number}/status"),
        await api.post(f"/batch/{number}/start"),
        await api.delete(f"/batch/{number}"),
    ):
        assert (response.status_code, response.json()["error"]["code"]) == (404, "experiment_not_found")


async def test_an_id_that_is_no_number_is_refused(api: httpx.AsyncClient) -> None:
    assert (await api.get("/batch/x")).status_code == 400


async def test_the_body_is_described_without_dangling_references(api: httpx.AsyncClient) -> None:
    document = (await api.get("http://x/openapi.json")).json()
    described = document["paths"]["/api/experiments/batch"]["post"]["requestBody"]
    assert "$ref" not in str(described)
    assert "parameter_ranges" in str(described)
