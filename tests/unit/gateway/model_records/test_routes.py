"""The records of models over HTTP: what a request at a gateway leaves, and who may see what."""

import asyncio
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from starlette.types import Receive, Scope, Send

from cluster.config import resolve
from cluster.errors import ContextTooLong, EngineDead, EngineFailure, GenerationTimeout, ReplicaLost
from cluster.settings.tree import Settings
from cluster.stores.database import engine_of
from cluster.stores.model_records import ModelRecords
from deployments.clients import Backends
from deployments.gateway import errors
from deployments.gateway.chats import Chats
from deployments.gateway.middleware import RequestIds
from deployments.gateway.model_records.book import KEEP_DAYS, Book
from deployments.gateway.model_records.routes import router
from deployments.gateway.openai import routes as openai
from deployments.gateway.principal import Principal, Role
from deployments.gateway.surface import take
from tests.unit.gateway.conftest import LocalEmbedder, LocalModel, settings_with, started
from tests.unit.gateway.routing.conftest import House, house

HF_FIELDS = {  # of seed 004's createHFModelMetadata
    "name", "provider", "task", "localPath", "isLoaded", "loadedAt", "lastUsedAt", "memoryUsage", "requestCount",
    "errorCount", "averageResponseTime", "config",
}  # fmt: skip


@pytest.fixture(scope="module")
def home() -> House:
    """One gateway for all that needs no settings of its own; each test has a model for itself."""
    plain = ("whole", "streamed", "dying", "wrong", "malformed", "idle", "quiet")
    models: dict[str, dict[str, Any]] = {name: {} for name in (*plain, "failing", "sound", "breaking", "hurried")}
    models["failing"] = {"fallbacks": ["sound"]}
    models["narrow"] = {"replicas": {"max_queued": 0}}
    scripts = {
        "breaking": {"fail_after_tokens": 1, "tokens": 3},
        "hurried": {"first_token_delay_s": 30.0},
        "narrow": {"first_token_delay_s": 0.05},
    }
    limits = {"queue": {"at_once": 1}}
    return asyncio.run(house(models, scripts=scripts, limits=limits, hub={"max_cached_models": 20}))


async def record(home: House, name: str, **query: Any) -> dict[str, Any]:
    async with home.client() as client:
        answer = await client.get(f"/api/v1/models/{name}/record", params=query)
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found


async def test_an_answered_request_leaves_its_time_and_its_tokens(home: House) -> None:
    usage = (await home.ask("whole")).json()["usage"]
    found = await record(home, "whole")
    assert (found["requestCount"], found["errorCount"], found["outcomes"]) == (1, 0, {"answered": 1})
    assert (found["promptTokens"], found["completionTokens"]) == (
        usage["prompt_tokens"],
        usage["completion_tokens"],
    )
    assert 0 < found["averageResponseTime"] < 10_000
    assert found["p95ResponseTime"] >= 1
    assert (found["averageFirstTokenTime"], found["requestsWithEstimatedTokens"]) == (None, 0)


async def test_a_stream_leaves_its_first_tokens_time_and_tokens_that_are_told_or_estimated(home: House) -> None:
    await home.ask("streamed", stream=True, stream_options={"include_usage": True})
    told = await record(home, "streamed")
    assert told["averageFirstTokenTime"] > 0
    assert told["p95FirstTokenTime"] >= 1
    assert told["requestsWithEstimatedTokens"] == 0
    assert told["completionTokens"] > 0
    await home.ask("streamed", stream=True)
    estimated = await record(home, "streamed")
    assert estimated["requestsWithEstimatedTokens"] == 1
    assert estimated["completionTokens"] > told["completionTokens"]


async def test_a_failure_counts_where_it_was_and_the_answer_at_the_fallback_that_gave_it(home: House) -> None:
    home.models["failing"].failing = EngineFailure("broken")
    assert (await home.ask("failing")).status_code == 200
    failed, answered = await record(home, "failing"), await record(home, "sound")
    assert (failed["errorCount"], failed["errors"], failed["averageResponseTime"]) == (1, {"engine_error": 1}, 0)
    assert (answered["requestCount"], answered["errorCount"]) == (1, 0)


async def test_a_request_counts_once_however_often_it_was_tried(home: House) -> None:
    home.models["dying"].failing = ReplicaLost("lost")
    assert (await home.ask("dying")).status_code == 503
    assert home.models["dying"].calls > 1
    assert (await record(home, "dying"))["errors"] == {"replica_lost": 1}


async def test_what_a_client_did_wrong_is_no_error_of_the_model(home: House) -> None:
    home.models["wrong"].failing = ContextTooLong("long")
    assert (await home.ask("wrong")).status_code == 400
    found = await record(home, "wrong")
    assert (found["errorCount"], found["outcomes"]) == (0, {"rejected": 1})
    assert found["errors"] == {"context_length_exceeded": 1}


async def test_what_the_gateway_refuses_before_it_chooses_a_model_is_not_counted(home: House) -> None:
    assert (await home.ask("malformed", temperature=9)).status_code == 400
    assert (await record(home, "malformed"))["requestCount"] == 0


async def test_a_request_that_finds_no_room_is_refused_and_no_error(home: House) -> None:
    answers = await asyncio.gather(*(home.ask("narrow") for _ in range(3)))
    assert sorted(answer.status_code for answer in answers) == [200, 429, 429]
    found = await record(home, "narrow")
    assert (found["outcomes"], found["errorCount"]) == ({"answered": 1, "refused": 2}, 0)


async def test_a_deadline_of_the_clients_own_is_told_apart(home: House) -> None:
    assert (await home.ask("hurried", headers={"x-heliostat-timeout-ms": "50"})).status_code == 504
    assert (await record(home, "hurried"))["errors"] == {"deadline_exceeded": 1}


async def test_a_generation_that_takes_too_long_is_an_error() -> None:
    home = await house(
        {"a": {}}, scripts={"a": {"first_token_delay_s": 30.0}}, limits={"generation_timeout_ms": 50}
    )
    for stream in (False, True):
        assert (await home.ask("a", stream=stream)).status_code == GenerationTimeout.status
    assert (await record(home, "a"))["errors"] == {"generation_timeout": 2}


async def test_a_stream_that_breaks_is_an_error_that_keeps_its_first_tokens_time(home: House) -> None:
    assert '"error"' in (await home.ask("breaking", stream=True)).text
    found = await record(home, "breaking")
    assert (found["errorCount"], found["p95ResponseTime"]) == (1, None)
    assert found["p95FirstTokenTime"] is not None


async def test_a_model_that_nobody_asked_has_the_shape_of_older_clients_too(home: House) -> None:
    found = await record(home, "idle")
    assert set(found) >= HF_FIELDS
    assert (found["name"], found["provider"], found["task"]) == ("idle", "scripted", "text-generation")
    assert (found["isLoaded"], found["lastUsedAt"], found["averageResponseTime"]) == (True, None, 0)
    assert found["config"] == {"maxLength": 64, "temperature": None, "topP": None, "topK": None}


async def test_all_models_are_listed_whether_they_were_asked_or_not(home: House) -> None:
    await home.ask("sound")
    async with home.client() as client:
        listed = (await client.get("/api/v1/models/records")).json()
    counts = {one["name"]: one["requestCount"] for one in listed["data"]}
    assert (counts["idle"], counts["sound"] > 0) == (0, True)
    assert set(counts) == set(home.models)


@pytest.mark.parametrize("days", [0, KEEP_DAYS + 1, "many"])
async def test_days_that_are_not_kept_are_refused_by_name(home: House, days: object) -> None:
    async with home.client() as client:
        answer = await client.get("/api/v1/models/idle/record", params={"days": str(days)})
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "days")


async def test_an_unknown_model_has_no_record(home: House) -> None:
    async with home.client() as client:
        answer = await client.get("/api/v1/models/org/none/record")
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "model_not_found")


async def test_a_model_whose_replica_does_not_answer_still_has_its_record(home: House) -> None:
    await home.ask("quiet")
    home.models["quiet"].failing, home.models["quiet"].cardless = EngineDead("dead"), True
    found = await record(home, "quiet")
    assert (found["requestCount"], found["isLoaded"]) == (1, False)


def client_for(principal: Principal, backends: Backends, settings: Settings) -> httpx.AsyncClient:
    """Somebody who asks for records alone."""
    app = FastAPI()
    errors.install(app)
    take(app, router(Book(ModelRecords(engine_of("sqlite://"))), backends, settings))

    async def asked(scope: Scope, receive: Receive, send: Send) -> None:
        await app({**scope, "state": {"principal": principal}}, receive, send)

    return httpx.AsyncClient(transport=httpx.ASGITransport(asked), base_url="http://gateway")


async def test_who_may_not_ask_a_model_does_not_find_its_record(model: LocalModel) -> None:
    stranger = Principal(id="k", owner="ann", role=Role.USER, models=frozenset({"hash"}))
    backends = Backends(models={"echo": model}, embedder=LocalEmbedder())
    async with client_for(stranger, backends, settings_with()) as client:
        assert (await client.get("/api/v1/models/echo/record")).status_code == 404
        listed = (await client.get("/api/v1/models/records")).json()["data"]
        assert [(one["name"], one["task"]) for one in listed] == [("hash", "feature-extraction")]


@pytest.mark.parametrize(("role", "told"), [(Role.USER, False), (Role.ADMIN, True)])
async def test_only_admins_are_told_where_a_models_files_are(role: Role, told: bool) -> None:
    settings = resolve({"models": [{"id": "spark-chat", "engine": {"kind": "scripted"}}]}, {})
    asker = Principal(id="k", owner="ann", role=role)
    async with client_for(asker, Backends(models={"spark-chat": await started()}), settings) as client:
        found = (await client.get("/api/v1/models/spark-chat/record")).json()
    assert (found["localPath"] is not None) is told


async def test_embeddings_are_counted_by_their_input() -> None:
    settings = settings_with()
    backends = Backends(models={"echo": await started()}, embedder=LocalEmbedder())
    book = Book(ModelRecords(engine_of("sqlite://")))
    app = FastAPI()
    take(app, openai.router(backends, settings, Chats(backends, settings, records=book)))
    take(app, router(book, backends, settings))
    app.add_middleware(RequestIds)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://gateway") as client:
        usage = (await client.post("/v1/embeddings", json={"model": "hash", "input": "a b c"})).json()["usage"]
        found = (await client.get("/api/v1/models/hash/record")).json()
    assert (found["outcomes"], found["promptTokens"]) == ({"answered": 1}, usage["prompt_tokens"])
