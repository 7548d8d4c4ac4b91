"""What somebody who means ill, or a program that errs, asks of the lab."""

import asyncio
import io
import json
import zipfile
from dataclasses import replace
from typing import Any
from xml.dom import minidom

import httpx
import pytest

from cluster.errors import DatabaseAway, HeliostatError
from cluster.stores.experiments import CANCELLED, Experiments
from cluster.stores.lab_experiments import LabExperiments, unknown
from cluster.stores.runs import Run
from deployments.gateway import progress
from deployments.gateway.progress import Standing
from tests.unit.gateway.lab.house import House
from tests.unit.gateway.lab.stored_runs import CELLS, SPEC, finished

ANN, BOB = {"x-key": "ann"}, {"x-key": "bob"}
PLAIN: dict[str, Any] = {"name": "n", "models": ["echo"], "prompts": ["a"], "parameters": {"temperature": [0.1]}}


async def test_the_same_question_of_another_shows_none_of_the_answers(house: House) -> None:
    """A run was named by its spec alone: who guessed the spec saw what somebody else was answered."""
    number = await finished(house, key="ann")
    made = (await house.client.post("/experiments/batch", json=SPEC, headers=BOB)).json()
    assert (await house.client.get(f"/experiments/batch/{made['id']}/analysis", headers=BOB)).json()["cells"] == 0
    export = await house.client.post("/export/batch", json={"batch_id": made["id"]}, headers=BOB)
    assert export.headers["x-total-rows"] == "0"
    own = await house.client.get(f"/experiments/batch/{number}/analysis", headers=ANN)
    assert own.json()["cells"] == CELLS


@pytest.mark.parametrize("moment", ["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00"])
async def test_a_moment_that_utc_does_not_have_is_refused(house: House, moment: str) -> None:
    made = await house.client.post("/experiments/batch", json={**PLAIN, "deadline": moment})
    assert (made.status_code, made.json()["error"]["param"]) == (400, "deadline")
    number = (await house.client.post("/experiments/batch", json=PLAIN)).json()["id"]
    filters = [{"field": "started", "op": "gt", "value": moment}]
    export = await house.client.post("/export/batch", json={"batch_id": number, "filters": filters})
    assert (export.status_code, export.json()["error"]["param"]) == (400, "filters[0].value")


@pytest.mark.parametrize("path", ["/experiments", "/experiments/batch"])
async def test_a_query_of_very_many_tags_is_refused(api: httpx.AsyncClient, path: str) -> None:
    answer = await api.get(path, params={"tag": [f"t{number}" for number in range(1500)]})
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "tag")


async def test_rows_are_exported_once_whoever_names_them_twice(house: House) -> None:
    number = await house.experiment()
    for body in ({"experiment_ids": [number, number]}, {"batch_ids": [1, 1]}):
        answer = await house.client.post("/export/custom", json=body)
        assert answer.status_code == 400
        assert "twice" in answer.json()["error"]["message"]


async def test_a_name_of_odd_characters_leaves_every_file_readable(house: House) -> None:
    number = await finished(house, name="A\x01 ]]> </script> \ufffe =1+1", prompts=["x"])
    body = {"batch_id": number, "format": "xlsx"}
    book = zipfile.ZipFile(io.BytesIO((await house.client.post("/export/batch", json=body)).content))
    assert len(book.namelist()) > 5
    for part in book.namelist():
        minidom.parseString(book.read(part))


async def test_a_damaged_run_is_named_without_the_servers_folders(house: House) -> None:
    number = await finished(house, prompts=["x"])
    run_id = (await house.client.get(f"/experiments/batch/{number}")).json()["run_id"]
    [part] = Run(house.settings.home_path, run_id).files()
    content = bytearray(part.read_bytes())
    content[200] ^= 0xFF  # inside of a page: only its checksum tells
    part.write_bytes(content)
    asked = [
        await house.client.post("/export/batch", json={"batch_id": number, "format": form})
        for form in ("csv", "parquet")
    ]
    for answer in [*asked, await house.client.get(f"/experiments/batch/{number}/analysis")]:
        assert answer.status_code == 500
        assert f"sweeps/{run_id}/parts/{part.name} is damaged" in answer.text
        assert str(house.settings.home_path) not in answer.text


async def test_progress_of_what_is_deleted_ends_and_a_busy_database_is_asked_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The stream broke off with an error that nobody had caught."""
    monkeypatch.setattr(progress, "POLL_S", 0.0)
    first = Standing(number=1, status="running", over=False, begun=True, told={"id": 1})
    coming: list[Standing | HeliostatError] = [DatabaseAway("busy"), replace(first, number=2), unknown(1)]

    async def look() -> Standing:
        found = coming.pop(0)
        if isinstance(found, HeliostatError):
            raise found
        return found

    told = [event async for event in progress.follow(look, first, after=0)]
    assert [event.split(b"\n")[0] for event in told] == [b"retry: 1000", b"id: 1", b"id: 2"]


async def test_a_prompt_times_its_cells_is_bounded(api: httpx.AsyncClient) -> None:
    """Each answer's row holds its prompt: a megabyte of it ten thousand times filled the memory."""
    body = {"name": "n", "prompt": "word " * 100_000, "response_count": 50}
    answer = await api.post("/experiments", json=body)
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "prompt")
    assert answer.json()["error"]["code"] == "plan_too_large"


async def test_who_names_an_event_to_come_gets_those_that_come(house: House) -> None:
    number = await house.experiment()
    store = LabExperiments(house.database)
    store.claim(number, session="s", model="echo", total=1, done=0)
    following = asyncio.create_task(
        house.client.get(f"/experiments/{number}/progress", headers={"last-event-id": "99999"})
    )
    await asyncio.sleep(0.05)
    store.finish(number, "s", status="completed")
    assert "event: completed" in (await asyncio.wait_for(following, 10)).text


async def test_a_status_that_one_has_is_not_sent_again(api: httpx.AsyncClient) -> None:
    number = (await api.post("/experiments/batch", json=PLAIN)).json()["id"]
    first = await api.get(f"/experiments/batch/{number}/status")
    again = await api.get(f"/experiments/batch/{number}/status", headers={"if-none-match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")


async def test_of_two_who_delete_the_slower_finds_nothing(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """It was told that the experiment is running."""
    number = await house.experiment()
    remove = LabExperiments.remove

    def beaten(store: LabExperiments, experiment_id: int, *, number: int | None = None) -> bool:
        remove(store, experiment_id)  # by the faster one
        return remove(store, experiment_id, number=number)

    monkeypatch.setattr(LabExperiments, "remove", beaten)
    assert (await house.client.delete(f"/experiments/{number}")).status_code == 404


async def test_a_batch_that_is_cancelled_while_its_job_is_submitted_runs_nowhere(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its job was not known yet when it was to be stopped, and ran on."""
    number = (await house.client.post("/experiments/batch", json=PLAIN)).json()["id"]
    submit = house.jobs.submit

    def slow(arguments: list[str], *, submission_id: str, metadata: dict[str, str]) -> None:
        Experiments(house.database).finish(number, submission_id, status=CANCELLED)
        submit(arguments, submission_id=submission_id, metadata=metadata)

    monkeypatch.setattr(house.jobs, "submit", slow)
    answer = await house.client.post(f"/experiments/batch/{number}/start")
    assert (answer.json()["status"], house.jobs.submitted) == ("cancelled", {})


async def test_a_batch_that_is_cancelled_and_started_again_while_its_job_is_submitted_has_one_job(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was running again by then, and the first job went on beside the second."""
    number = (await house.client.post("/experiments/batch", json=PLAIN)).json()["id"]
    submit = house.jobs.submit

    def slow(arguments: list[str], *, submission_id: str, metadata: dict[str, str]) -> None:
        store = Experiments(house.database)
        store.finish(number, submission_id, status=CANCELLED)
        store.claim(number, "second")
        submit(arguments, submission_id="second", metadata=metadata)
        submit(arguments, submission_id=submission_id, metadata=metadata)

    monkeypatch.setattr(house.jobs, "submit", slow)
    answer = await house.client.post(f"/experiments/batch/{number}/start")
    assert (answer.json()["status"], list(house.jobs.submitted)) == ("running", ["second"])


async def test_a_batch_that_is_deleted_while_its_job_is_submitted_runs_nowhere(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    number = (await house.client.post("/experiments/batch", json=PLAIN)).json()["id"]
    submit = house.jobs.submit

    def slow(arguments: list[str], *, submission_id: str, metadata: dict[str, str]) -> None:
        store = Experiments(house.database)
        store.finish(number, submission_id, status=CANCELLED)
        store.remove(number)
        submit(arguments, submission_id=submission_id, metadata=metadata)

    monkeypatch.setattr(house.jobs, "submit", slow)
    answer = await house.client.post(f"/experiments/batch/{number}/start")
    assert (answer.status_code, house.jobs.submitted) == (404, {})


async def test_a_batch_that_starts_while_it_is_deleted_is_cancelled_and_its_job_stopped(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was looked for by the job that it had before, and the new one ran on."""
    number = (await house.client.post("/experiments/batch", json=PLAIN)).json()["id"]
    remove = Experiments.remove

    def beaten(store: Experiments, experiment_id: int, *, number: int | None = None) -> bool:
        store.claim(experiment_id, "new-job")
        house.jobs.submit([], submission_id="new-job", metadata={})
        return remove(store, experiment_id, number=number)

    monkeypatch.setattr(Experiments, "remove", beaten)
    answer = await house.client.delete(f"/experiments/batch/{number}")
    assert answer.json() == {"id": number, "status": "cancelled", "deleted": False}
    assert house.jobs.submitted == {}


async def test_what_changed_between_look_and_deletion_is_not_deleted(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    number = (await house.client.post("/experiments/batch", json=PLAIN)).json()["id"]
    path = f"/experiments/batch/{number}"
    tag = (await house.client.get(path)).headers["etag"]
    remove = Experiments.remove

    def beaten(store: Experiments, experiment_id: int, *, number: int | None = None) -> bool:
        store.label(experiment_id, {"name": "kept"})
        return remove(store, experiment_id, number=number)

    monkeypatch.setattr(Experiments, "remove", beaten)
    assert (await house.client.delete(path, headers={"if-match": tag})).status_code == 412
    assert (await house.client.get(path)).json()["name"] == "kept"


async def test_a_deleted_batch_starts_no_more_and_of_many_starts_one_counts(house: House) -> None:
    number = (await house.client.post("/experiments/batch", json=PLAIN)).json()["id"]
    path = f"/experiments/batch/{number}"
    answers = await asyncio.gather(*(house.client.post(f"{path}/start") for _ in range(5)))
    assert sorted(answer.status_code for answer in answers) == [200, 409, 409, 409, 409]
    assert len(house.jobs.submitted) == 1
    first, second = await house.client.delete(path), await house.client.delete(path)
    assert (first.json()["status"], first.json()["deleted"]) == ("cancelled", False)
    assert second.json()["deleted"] is True
    for answer in (await house.client.delete(path), await house.client.post(f"{path}/start")):
        assert answer.status_code == 404


async def test_a_change_of_nothing_changes_nothing(house: House) -> None:
    number = (await house.client.post("/experiments/batch", json=PLAIN)).json()["id"]
    path = f"/experiments/batch/{number}"
    before = await house.client.get(path)
    answer = await house.client.patch(path, json={})
    assert (answer.json(), answer.headers["etag"]) == (before.json(), before.headers["etag"])


async def test_a_number_beyond_all_numbers_is_stored_nowhere(api: httpx.AsyncClient) -> None:
    """It was taken, and from then on neither the batch nor any page of the list could be sent."""
    spec = json.dumps({**PLAIN, "parameters": {"chat_template_kwargs": {"depth": 0}}}).replace(": 0}", ": 1e400}")
    made = await api.post("/experiments/batch", content=spec)
    assert (made.status_code, made.json()["error"]["param"]) == (400, "parameters.chat_template_kwargs.depth")
    assert (await api.get("/experiments/batch")).json()["total"] == 0


async def test_a_price_beyond_all_money_is_refused(api: httpx.AsyncClient) -> None:
    prices = {"echo": {"prompt": 1e308, "completion": 1e308}}
    made = await api.post("/experiments/batch", json={**PLAIN, "parameters": {"max_tokens": 5}, "prices": prices})
    assert (made.status_code, made.json()["error"]["param"]) == (400, "prices.echo")
