"""What batches have besides running: labels, filters, ETags, progress. How they run: tests/unit/sweeps."""

import asyncio
import json
from collections.abc import Mapping
from typing import Any

import pytest

from cluster.errors import ExperimentNotFound
from cluster.stores.experiments import COMPLETED, Experiments, Standing
from deployments.gateway import progress
from deployments.gateway.lab.batch_desk import Desk
from deployments.gateway.lab.wire import BatchLabels
from deployments.gateway.principal import LOCAL
from tests.unit.gateway.lab.house import House
from tests.unit.gateway.lab.stored_runs import SPEC


async def batch(house: House, **changes: Any) -> int:
    made = await house.client.post("/experiments/batch", json={**SPEC, **changes})
    assert made.status_code == 201, made.text
    return int(made.json()["id"])


def note(house: House, number: int, done: int) -> None:
    standing = Standing(
        completed=done,
        failed=0,
        cells_per_minute=10.0,
        current_parameters={"temperature": 0.2},
        summary=None,
        estimated_completion=None,
    )
    assert Experiments(house.database).advance(number, None, standing)


def read(stream: str) -> list[tuple[int, str, dict[str, Any]]]:
    """The events of a stream: number, kind, data."""
    found = []
    for event in stream.split("\n\n"):
        fields = dict(
            line.split(": ", 1) for line in event.split("\n") if ": " in line and not line.startswith(":")
        )
        if "data" in fields:
            found.append((int(fields["id"]), fields["event"], json.loads(fields["data"])))
    return found


async def test_a_batch_is_created_with_labels_and_they_change(house: House) -> None:
    number = await batch(house, tags=["a"], favorited=True)
    path = f"/experiments/batch/{number}"
    found = (await house.client.get(path)).json()
    assert (found["tags"], found["favorited"], found["archived"]) == (["a"], True, False)
    changed = await house.client.patch(path, json={"tags": ["b"], "archived": True, "name": "other"})
    assert changed.json().items() >= {"tags": ["b"], "archived": True, "favorited": True, "name": "other"}.items()


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"tags": ["a", "a"]}, None),
        ({"prompt": "x"}, "prompt"),
        ({"name": ""}, "name"),
        ({"archived": 1}, "archived"),
        ({"name": None}, "name"),
        ({"description": None}, "description"),
        ({"tags": None}, "tags"),
        ({"favorited": None}, "favorited"),
        ({"archived": None}, "archived"),
        ({"name": "x" * 201}, "name"),
        ({"description": "x" * 10_001}, "description"),
        ({"tags": ["x" * 51]}, "tags[0]"),
        ({"tags": [str(number) for number in range(21)]}, "tags"),
    ],
)
async def test_wrong_labels_are_refused(house: House, body: dict[str, Any], param: str | None) -> None:
    response = await house.client.patch(f"/experiments/batch/{await batch(house)}", json=body)
    assert (response.status_code, response.json()["error"].get("param")) == (400, param)


async def test_batches_are_filtered_and_sorted(house: House) -> None:
    first = await batch(house, name="b", tags=["red"])
    second = await batch(house, name="a", favorited=True, repeats=1)

    async def listed(**query: Any) -> list[int]:
        found = (await house.client.get("/experiments/batch", params=query)).json()
        return [one["id"] for one in found["experiments"]]

    assert await listed() == [second, first]
    assert await listed(sort="-name") == [first, second]
    assert await listed(tag="red") == [first]
    assert await listed(favorited="true", search="A") == [second]
    assert await listed(status="running") == []
    wrong = await house.client.get("/experiments/batch", params={"sort": "spec"})
    assert (wrong.status_code, wrong.json()["error"]["param"]) == (400, "sort")


async def test_what_changed_meanwhile_is_not_overwritten(house: House) -> None:
    path = f"/experiments/batch/{await batch(house)}"
    tag = (await house.client.get(path)).headers["etag"]
    assert (await house.client.get(path, headers={"if-none-match": tag})).status_code == 304
    seen = {"if-match": tag}
    assert (await house.client.patch(path, json={"favorited": True}, headers=seen)).status_code == 200
    assert (await house.client.patch(path, json={"favorited": False}, headers=seen)).status_code == 412
    assert (await house.client.delete(path, headers=seen)).status_code == 412
    assert (await house.client.delete(path)).status_code == 200


async def test_tags_may_come_in_several_headers_and_weak_ones_change_nothing(house: House) -> None:
    path = f"/experiments/batch/{await batch(house)}"
    tag = (await house.client.get(path)).headers["etag"]
    several = [("if-none-match", '"other"'), ("if-none-match", f"W/{tag}")]
    assert (await house.client.get(path, headers=several)).status_code == 304
    weak = await house.client.patch(path, json={"favorited": True}, headers={"if-match": f"W/{tag}"})
    assert weak.status_code == 412
    several = [("if-match", '"other"'), ("if-match", tag)]
    assert (await house.client.patch(path, json={"favorited": True}, headers=several)).status_code == 200


async def test_one_that_goes_while_it_is_labelled_is_not_found(house: House) -> None:
    """Nothing was insisted on, so that nothing had changed which its client should know."""

    class Sooner(Experiments):
        def label(self, experiment_id: int, values: Mapping[str, Any], *, number: int | None = None) -> bool:
            self.remove(experiment_id)
            return super().label(experiment_id, values, number=number)

    number = await batch(house)
    desk = Desk(house.settings, house.models, Sooner(house.database), house.jobs)
    with pytest.raises(ExperimentNotFound):
        await desk.label(number, BatchLabels(favorited=True), LOCAL)


async def test_progress_reaches_its_reader_and_ends_with_the_run(house: House) -> None:
    number = await batch(house)
    path = f"/experiments/batch/{number}/progress"
    await house.client.post(f"/experiments/batch/{number}/start")
    reader = asyncio.create_task(house.client.get(path))
    await asyncio.sleep(0.05)
    note(house, number, 48)
    await asyncio.sleep(2 * progress.POLL_S)
    note(house, number, 96)
    Experiments(house.database).finish(number, None, status=COMPLETED)
    events = read((await reader).text)
    numbers = [event[0] for event in events]
    assert numbers == sorted(set(numbers))
    assert events[-1][1] == "completed"
    assert (events[-1][2]["status"], events[-1][2]["progress"]) == ("completed", 100)
    assert 50 in [event[2]["progress"] for event in events]


async def test_who_comes_back_gets_what_came_after(house: House) -> None:
    number = await batch(house)
    path = f"/experiments/batch/{number}/progress"
    await house.client.post(f"/experiments/batch/{number}/start")
    note(house, number, 96)
    Experiments(house.database).finish(number, None, status=COMPLETED)
    [(last, kind, _)] = read((await house.client.get(path, headers={"last-event-id": "1"})).text)
    assert kind == "completed"
    assert (await house.client.get(path, headers={"last-event-id": str(last)})).status_code == 204
    assert (await house.client.get(path, params={"after": last})).status_code == 204
    assert (await house.client.get(path, headers={"last-event-id": "x"})).status_code == 400


async def test_silence_is_filled_with_comments(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "PING_S", 0.0)
    monkeypatch.setattr(progress, "POLL_S", 0.01)
    number = await batch(house)
    reader = asyncio.create_task(house.client.get(f"/experiments/batch/{number}/progress"))
    await asyncio.sleep(0.1)
    await house.client.post(f"/experiments/batch/{number}/start")
    await house.client.delete(f"/experiments/batch/{number}")
    stream = (await reader).text
    assert ": ping" in stream
    assert read(stream)[-1][1] == "cancelled"


async def test_a_stream_of_what_nobody_started_ends(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "UNBEGUN_S", 0.0)
    batch_id, single = await batch(house), await house.experiment()
    for path in (f"/experiments/batch/{batch_id}/progress", f"/experiments/{single}/progress"):
        [(number, kind, _)] = read((await house.client.get(path)).text)
        assert (number, kind) == (1, "progress")


async def test_anothers_progress_does_not_exist(house: House) -> None:
    made = await house.client.post("/experiments/batch", json=SPEC, headers={"x-key": "ann"})
    path = f"/experiments/batch/{made.json()['id']}"
    bob = {"x-key": "bob"}
    assert (await house.client.get(f"{path}/progress", headers=bob)).status_code == 404
    assert (await house.client.patch(path, json={"tags": []}, headers=bob)).status_code == 404
