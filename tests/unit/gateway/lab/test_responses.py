import asyncio
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from cluster.errors import Conflict, DatabaseAway
from cluster.stores.lab_experiments import LabExperiments
from cluster.stores.lab_responses import LabResponses
from deployments.gateway.lab import generation
from deployments.gateway.principal import LOCAL
from tests.unit.gateway.lab.house import CELLS, House, opened
from tests.unit.waiting import until

COLUMNS = {
    "id", "experiment_id", "content", "temperature", "top_p", "frequency_penalty", "presence_penalty",
    "max_tokens", "model", "prompt_tokens", "completion_tokens", "total_tokens", "response_time", "created_at",
    "batch_experiment_id", "cost", "error_message",
}  # fmt: skip


async def test_a_small_experiment_is_answered_at_once(house: House) -> None:
    number, answers = await house.generated()
    assert len(answers) == CELLS
    assert all(answer.keys() >= COLUMNS for answer in answers)
    combinations = {(answer["temperature"], answer["top_p"], answer["repeat"]) for answer in answers}
    assert combinations == {(t, p, r) for t in (0.1, 0.2, 0.3) for p in (0.9, 1.0) for r in (1, 2)}
    first = answers[0]
    assert "one two three" in first["content"]
    assert first["total_tokens"] == first["prompt_tokens"] + first["completion_tokens"]
    assert first["response_time"] > 0
    experiment = (await house.client.get(f"/experiments/{number}")).json()
    assert (experiment["status"], experiment["progress"], experiment["model"]) == ("completed", 100, "echo")


async def test_an_answer_is_found_by_its_id(house: House) -> None:
    _, answers = await house.generated()
    assert (await house.client.get(f"/responses/single/{answers[3]['id']}")).json() == answers[3]
    for number in ("999", "0", "99999999999999999999"):
        response = await house.client.get(f"/responses/single/{number}")
        assert (response.status_code, response.json()["error"]["code"]) == (404, "response_not_found")


async def test_to_generate_again_asks_only_for_what_is_missing(house: House) -> None:
    number, answers = await house.generated()
    body = {"experiment_id": number, "model": "echo"}
    again = await house.client.post("/responses/generate", json=body)
    assert (again.status_code, again.json()["responses"]) == (200, answers)
    await house.client.put(f"/experiments/{number}", json={"response_count": 3})
    more = await house.client.post("/responses/generate", json=body)
    assert (more.status_code, len(more.json()["responses"])) == (201, CELLS * 3 // 2)
    assert {answer["id"] for answer in answers} < {answer["id"] for answer in more.json()["responses"]}


async def test_a_large_experiment_goes_on_by_itself(house: House) -> None:
    number = await house.experiment(response_count=10)
    body = {"experiment_id": number, "model": "echo"}
    answer = await house.client.post("/responses/generate", json=body)
    told = answer.json()
    assert (answer.status_code, told["status"], told["total_combinations"]) == (202, "running", 60)
    assert answer.headers["location"] == told["progress_url"] == f"/api/experiments/{number}/progress"
    events = (await house.client.get(f"/experiments/{number}/progress")).text
    assert events.rstrip().split("\n")[-2] == "event: completed"
    assert (await house.client.get(f"/responses/{number}")).json()["total"] == 60


async def test_a_running_one_is_not_begun_twice_nor_changed_and_can_be_cancelled(tmp_path: Path) -> None:
    house = await opened(tmp_path, {"tokens": 40, "token_delay_s": 0.5})
    number = await house.experiment(response_count=10, max_tokens=40)
    body = {"experiment_id": number, "model": "echo"}
    assert (await house.client.post("/responses/generate", json=body)).status_code == 202
    assert (await house.client.post("/responses/generate", json=body)).status_code == 409
    assert (await house.client.put(f"/experiments/{number}", json={"response_count": 1})).status_code == 409
    assert (await house.client.put(f"/experiments/{number}", json={"tags": ["x"]})).status_code == 200
    gone = (await house.client.delete(f"/experiments/{number}")).json()
    assert (gone["status"], gone["deleted"]) == ("cancelled", False)
    await house.generations.close()
    found = (await house.client.get(f"/experiments/{number}")).json()
    assert (found["status"], found["error_message"]) == ("cancelled", None)
    assert (await house.client.delete(f"/experiments/{number}")).json()["deleted"]


async def test_a_gateway_that_stops_leaves_what_can_go_on(tmp_path: Path) -> None:
    house = await opened(tmp_path, {"tokens": 40, "token_delay_s": 0.5})
    number = await house.experiment(response_count=10, max_tokens=40)
    await house.client.post("/responses/generate", json={"experiment_id": number, "model": "echo"})
    await house.generations.close()
    found = (await house.client.get(f"/experiments/{number}")).json()
    assert found["status"] == "failed"
    assert "generate again" in found["error_message"]


async def test_one_whose_gateway_is_gone_has_failed(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    number = await house.experiment()
    store = LabExperiments(house.database)
    store.claim(number, session="dead", model="echo", total=9, done=0)
    monkeypatch.setattr("cluster.stores.lab_experiments.SILENT_S", -1.0)
    found = (await house.client.get(f"/experiments/{number}")).json()
    assert (found["status"], "gone" in found["error_message"]) == ("failed", True)


async def test_what_another_session_cancelled_is_not_stored(house: House) -> None:
    number, _ = await house.generated()
    responses = LabResponses(house.database)
    row = dict(responses.of(number)[0].row)
    assert not responses.add(number, "nobody's", [row], completed=1, failed=0, current={})


async def test_failed_cells_say_why_and_are_asked_again(tmp_path: Path) -> None:
    house = await opened(tmp_path, {"fail_every": 1}, sweeps={"retries": 0})
    number = await house.experiment(response_count=1)
    body = {"experiment_id": number, "model": "echo"}
    answer = await house.client.post("/responses/generate", json=body)
    found = answer.json()
    assert (answer.status_code, found["status"], found["failed_combinations"]) == (201, "failed", 6)
    assert all(one["error_message"] and one["content"] == "" for one in found["responses"])
    listed = await house.client.get(f"/responses/{number}", params={"failed": "true"})
    assert listed.json()["total"] == 6
    assert (await house.client.post("/responses/generate", json=body)).status_code == 201


@pytest.mark.parametrize(
    ("change", "status", "param"),
    [
        ({"model": "gpt-5"}, 404, "model"),
        ({"model": ""}, 400, "model"),
        ({"experiment_id": "1"}, 400, "experiment_id"),
        ({"experiment_id": 999}, 404, None),
        ({"fresh": True}, 400, "fresh"),
    ],
)
async def test_a_wrong_request_is_refused(
    house: House, change: dict[str, Any], status: int, param: str | None
) -> None:
    body = {"experiment_id": await house.experiment(), "model": "echo", **change}
    response = await house.client.post("/responses/generate", json=body)
    assert (response.status_code, response.json()["error"].get("param")) == (status, param)


async def test_answers_are_filtered_sorted_and_paged(house: House) -> None:
    number, _ = await house.generated()

    async def listed(**query: Any) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = (await house.client.get(f"/responses/{number}", params=query)).json()[
            "responses"
        ]
        return found

    assert {one["temperature"] for one in await listed(temperature=0.2)} == {0.2}
    assert len(await listed(top_p=0.9)) == CELLS // 2
    assert [one["temperature"] for one in await listed(sort="-temperature", limit=1)] == [0.3]
    assert await listed(model="other") == []
    assert await listed(offset=CELLS) == []
    wrong = await house.client.get(f"/responses/{number}", params={"sort": "content"})
    assert (wrong.status_code, wrong.json()["error"]["param"]) == (400, "sort")


async def test_progress_is_replayed_after_the_last_event_that_was_seen(
    api: httpx.AsyncClient, house: House
) -> None:
    number, _ = await house.generated()
    whole = await api.get(f"/experiments/{number}/progress")
    assert whole.headers["content-type"].startswith("text/event-stream")
    last = next(line for line in whole.text.split("\n") if line.startswith("id: ")).removeprefix("id: ")
    before = {"last-event-id": str(int(last) - 1)}
    assert (await api.get(f"/experiments/{number}/progress", headers=before)).text == whole.text
    seen = await api.get(f"/experiments/{number}/progress", headers={"last-event-id": last})
    assert (seen.status_code, seen.content) == (204, b"")
    wrong = await api.get(f"/experiments/{number}/progress", headers={"last-event-id": "x"})
    assert wrong.status_code == 400


async def test_two_requests_at_once_generate_once(house: House) -> None:
    number = await house.experiment()
    body = {"experiment_id": number, "model": "echo"}
    both = await asyncio.gather(*(house.client.post("/responses/generate", json=body) for _ in range(2)))
    assert {answer.status_code for answer in both} <= {200, 201, 409}
    assert (await house.client.get(f"/responses/{number}")).json()["total"] == CELLS
    await until(lambda: not house.generations.running)


async def test_what_was_looked_at_before_another_generation_is_not_asked_twice(house: House) -> None:
    """Between the look at what is missing and the start of it, somebody else's generation may begin and end."""
    number = await house.experiment()
    experiment = LabExperiments(house.database).get(number, owner=None)
    wanted = await house.generations.wanted(experiment, "echo", LOCAL)
    body = {"experiment_id": number, "model": "echo"}
    assert (await house.client.post("/responses/generate", json=body)).status_code == 201
    with pytest.raises(Conflict, match="just changed"):
        await house.generations.begin(wanted)


async def test_a_database_that_is_away_for_a_moment_loses_no_answer(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The answers of that moment were dropped, and the generation ended."""
    add, away = LabResponses.add, [DatabaseAway("busy"), DatabaseAway("busy")]

    def sometimes(store: LabResponses, *given: Any, **named: Any) -> bool:
        if away:
            raise away.pop()
        return add(store, *given, **named)

    monkeypatch.setattr(LabResponses, "add", sometimes)
    monkeypatch.setattr(generation, "FLUSH_S", 0.01)
    number, answers = await house.generated()
    assert len(answers) == CELLS
    assert (await house.client.get(f"/experiments/{number}")).json()["status"] == "completed"


async def test_a_database_that_stays_away_ends_the_generation(
    house: House, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def never(*_: Any, **__: Any) -> bool:
        raise DatabaseAway("nobody is there")

    number = await house.experiment()
    wanted = await house.generations.wanted(LabExperiments(house.database).get(number, owner=None), "echo", LOCAL)
    monkeypatch.setattr(LabResponses, "add", never)
    monkeypatch.setattr(generation, "FLUSH_S", 0.01)
    monkeypatch.setattr(generation, "AWAY_S", 0.02)
    task = await house.generations.begin(wanted)
    monkeypatch.setattr(LabExperiments, "finish", never)
    await asyncio.wait_for(task, 5)
    assert "could not be noted" in caplog.text


@pytest.mark.parametrize("sort", ["response_time", "-response_time", "completion_tokens", "-completion_tokens"])
async def test_answers_that_failed_come_last_in_either_order(house: House, sort: str) -> None:
    """They have no time and no tokens, and SQLite put them first where PostgreSQL put them last."""
    number, _ = await house.generated()
    store, experiments = LabResponses(house.database), LabExperiments(house.database)
    good = dict(store.of(number)[0].row)
    bad = {**good, "cell_id": "x", "text": None, "error_code": "engine_error", "error_message": "it broke"}
    bad |= {"latency_ms": None, "completion_tokens": None, "started": datetime.now(UTC)}
    experiments.claim(number, session="s", model="echo", total=1, done=0)
    store.add(number, "s", [bad], completed=1, failed=1, current={})
    found = (await house.client.get(f"/responses/{number}", params={"sort": sort})).json()["responses"]
    assert [one["error_code"] for one in found] == [None] * CELLS + ["engine_error"]
    values = [one[sort.removeprefix("-")] for one in found[:CELLS]]
    assert values == sorted(values, reverse=sort.startswith("-"))
