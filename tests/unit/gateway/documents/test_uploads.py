"""Uploads of many files: names, twins, jobs of their owners alone, progress as numbered events."""

import asyncio
import json
import os
import time
from typing import Any

import pytest

from cluster.errors import Unavailable
from cluster.stores.document_jobs import DocumentJobs
from deployments.gateway import progress
from deployments.gateway.documents import background, intake, uploads
from pipelines.documents.job_progress import Failure, JobProgress, read_progress, write_progress
from tests.unit.gateway.documents.shelf import Api
from tests.unit.waiting import until

SNOW = b"Snow covers the Alps."
BIG = b"w " * 1000


@pytest.fixture(autouse=True)
def fast(monkeypatch: pytest.MonkeyPatch) -> None:
    """Looks and notes come every moment."""
    for module, name in ((background, "WRITE_S"), (progress, "POLL_S"), (intake, "LOOK_S"), (intake, "ASK_S")):
        monkeypatch.setattr(module, name, 0.005)


def told(body: str) -> list[tuple[int, str, dict[str, Any]]]:
    found = []
    for event in filter(None, body.split("\n\n")):
        fields = dict(line.split(": ", 1) for line in event.splitlines())
        if "data" in fields:  # else it says when to connect again
            found.append((int(fields["id"]), fields["event"], json.loads(fields["data"])))
    return found


async def test_the_same_file_twice_in_one_upload_is_one_document(api: Api) -> None:
    answer = (await api.upload("ann", ("a.txt", SNOW), ("b.txt", SNOW), ("a.txt", SNOW))).json()
    assert len({document["id"] for document in answer["documents"]}) == 1
    assert (await api.get("ann", "/documents"))["total"] == 1


async def test_of_one_name_in_one_upload_the_last_stands(api: Api) -> None:
    await api.upload("ann", ("a.txt", b"first"), ("b.txt", b"x"), ("a.txt", b"second one"))
    listed = (await api.get("ann", "/documents"))["documents"]
    assert sorted((one["source"], one["characters"]) for one in listed) == [("a.txt", 10), ("b.txt", 1)]


async def test_two_uploads_of_a_file_at_once_are_one_document(api: Api) -> None:
    answers = await asyncio.gather(*(api.upload("ann", ("a.txt", SNOW)) for _ in range(4)))
    assert {answer.status_code for answer in answers} == {201}
    assert (await api.get("ann", "/documents"))["total"] == 1


async def test_sources_keep_folders_and_never_climb(api: Api) -> None:
    files = [("x.txt", b"1"), ("x.txt", b"2"), ("x.txt", b"3"), ("x.txt", b"4")]
    sources = json.dumps(["a/README.md", "b/./README.md", "../up.txt", "/etc/cron.txt"])
    answer = (await api.upload("ann", *files, sources=sources)).json()
    assert [one["source"] for one in answer["documents"]] == ["a/README.md", "b/README.md", "etc/cron.txt"]
    assert [(one["source"], one["error"]["code"]) for one in answer["errors"]] == [("../up.txt", "invalid_request")]


async def test_a_job_is_its_owners_alone(api: Api) -> None:
    job = (await api.upload("ann", ("big.txt", BIG))).json()
    path = f"/documents/jobs/{job['job_id']}"
    assert job["events_url"] == f"/api/v1{path}/events"
    assert (await api.get("ann", path))["state"] == "queued"
    for who in ("bob", "root"):
        assert (await api.ask(who, "GET", path)).status_code == 404
        assert (await api.ask(who, "GET", f"{path}/events")).status_code == 404


async def test_a_large_file_goes_to_its_collection_and_gets_its_labels(api: Api) -> None:
    made = await api.collection("ann", "mine")
    fields = {"collection": "mine", "tags": "cold", "metadata": '{"n": 1}', "sources": '["deep/big.txt"]'}
    job_id = (await api.upload("ann", ("big.txt", BIG), **fields)).json()["job_id"]
    command = api.jobs.submitted[0]
    physical = await api.collections.resolve("ann", made["id"])
    assert command[7:] == [f"--collection={physical}", "--tag=cold", '--metadata={"n": 1}']
    assert command[4].endswith(f"{job_id}/deep/big.txt")


async def test_a_job_that_could_not_start_leaves_nothing(api: Api) -> None:
    def refuse(*_: Any, **__: Any) -> str:
        raise intake.NotFound("no cluster")

    api.jobs.submit = refuse  # type: ignore[method-assign]
    assert (await api.upload("ann", ("big.txt", BIG), tags="x")).status_code == 404
    assert not list((api.home / "uploads").glob("*"))


async def test_a_jobs_progress_is_told_in_numbered_events_to_its_end(api: Api) -> None:
    job_id = (await api.upload("ann", ("big.txt", BIG))).json()["job_id"]
    path = f"/documents/jobs/{job_id}/events"
    first = read_progress(api.home, job_id)
    reading = asyncio.create_task(api.ask("ann", "GET", path))
    for step in range(1, 4):
        await asyncio.sleep(0.03)
        state = "done" if step == 3 else "running"
        write_progress(
            api.home,
            JobProgress(job_id=job_id, state=state, files_total=1, chunks_done=step, updated=first.updated + step),
        )
    seen = told((await reading).text)
    assert [data["chunks"]["done"] for _, _, data in seen][-1] == 3
    assert [kind for _, kind, _ in seen][-1] == "done"
    numbers = [number for number, _, _ in seen]
    assert numbers == sorted(set(numbers))
    again = told((await api.ask("ann", "GET", path, headers={"last-event-id": str(numbers[-2])})).text)
    assert again == seen[-1:]
    over = await api.ask("ann", "GET", path, headers={"last-event-id": str(numbers[-1])})
    assert over.status_code == 204
    wrong = await api.ask("ann", "GET", path, headers={"last-event-id": "x"})
    assert wrong.status_code == 400


async def test_a_job_that_died_ends_its_events_as_failed(api: Api) -> None:
    job_id = (await api.upload("ann", ("big.txt", BIG))).json()["job_id"]
    path = f"/documents/jobs/{job_id}/events"
    reading = asyncio.create_task(api.ask("ann", "GET", path))
    await asyncio.sleep(0.03)
    api.jobs.over = "FAILED: killed"
    seen = told((await asyncio.wait_for(reading, 5)).text)
    assert seen[-1][1] == "failed"
    assert "killed" in seen[-1][2]["reason"]


async def test_a_jobs_end_is_told_even_where_it_came_with_the_word_before(api: Api) -> None:
    """Of one millisecond both had one number, and who had seen the first waited for `done` in vain."""
    job_id = (await api.upload("ann", ("big.txt", BIG))).json()["job_id"]
    path = f"/documents/jobs/{job_id}/events"
    write_progress(api.home, JobProgress(job_id=job_id, state="running", updated=5e9))
    reading = asyncio.create_task(api.ask("ann", "GET", path))
    await asyncio.sleep(0.05)
    write_progress(api.home, JobProgress(job_id=job_id, state="done", updated=5e9))
    assert [kind for _, kind, _ in told((await reading).text)][-1] == "done"


async def test_what_killed_gateways_and_jobs_left_goes_after_a_week(api: Api) -> None:
    """Uploaded files that waited for a gateway that was killed stayed on the disk for ever."""
    left = [api.home / "uploads" / "upload-0123456789abcdef", api.home / "uploads" / "ingest-0123456789abcdef"]
    for folder in left:
        folder.mkdir(parents=True)
        (folder / "0").write_bytes(b"x")
    (api.home / "documents/jobs").mkdir(parents=True)
    progress_file = api.home / "documents/jobs/ingest-0123456789abcdef.json"
    progress_file.write_text("{}")
    young = api.home / "uploads" / "upload-00000000000000ff"
    young.mkdir()
    for old in (*left, progress_file):
        os.utime(old, (0, time.time() - 8 * 24 * 3600))
    await api.upload("ann", ("a.txt", SNOW), wait="false")
    assert not any(old.exists() for old in (*left, progress_file))
    assert young.exists()


async def test_a_removed_collections_jobs_are_forgotten_with_it(api: Api) -> None:
    """A job that ends after that finds no row of its own, and takes out again what it stored."""
    await api.collection("ann", "mine")
    jobs = DocumentJobs(api.engine)
    mine = (await api.upload("ann", ("big.txt", BIG), collection="mine")).json()["job_id"]
    other = (await api.upload("ann", ("big.txt", BIG))).json()["job_id"]
    assert (jobs.knows(mine), jobs.knows(other)) == (True, True)
    assert (await api.ask("ann", "DELETE", "/collections/mine")).status_code == 200
    assert (jobs.knows(mine), jobs.knows(other)) == (False, True)


async def test_an_upload_in_the_background_is_followed_as_a_whole(api: Api) -> None:
    api.retriever.slow = asyncio.Event()
    files = [("a.txt", SNOW), ("b.png", b"x"), ("big.txt", BIG), ("c.txt", b"one\ntwo")]
    answer = await api.upload("ann", *files, wait="false", tags="cold")
    assert (answer.status_code, answer.json()["files"]) == (202, 4)
    job_id = answer.json()["job_id"]
    reading = asyncio.create_task(api.ask("ann", "GET", f"/documents/jobs/{job_id}/events"))
    await asyncio.sleep(0.05)
    assert (await api.ask("bob", "GET", f"/documents/jobs/{job_id}")).status_code == 404
    api.retriever.slow.set()
    await until(lambda: bool(api.jobs.submitted))
    inner = api.jobs.submitted[0][6]
    failure = Failure(source="big.txt", code="broken_document", message="no", hint=None)
    write_progress(
        api.home,
        JobProgress(job_id=inner, state="done", files_total=1, files_done=1, failed=(failure,), updated=9e9),
    )
    seen = told((await asyncio.wait_for(reading, 10)).text)
    number, kind, last = seen[-1]
    assert (kind, last["files"], last["chunks"]["done"]) == ("done", {"done": 4, "total": 4}, 3)
    assert sorted(one["source"] for one in last["failed"]) == ["b.png", "big.txt"]
    assert len(last["documents"]) == 2
    assert len(seen) > 1
    assert number == max(one for one, _, _ in seen)
    listed = (await api.get("ann", "/documents"))["documents"]
    assert all(one["tags"] == ["cold"] for one in listed)
    assert not list((api.home / "uploads").glob("upload-*"))


async def test_an_upload_whose_gateway_was_stopped_says_so(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    from dataclasses import asdict

    job_id = "upload-0123456789abcdef"
    state = asdict(JobProgress(job_id=job_id, state="running", files_total=3, files_done=1))
    DocumentJobs(api.engine).create(job_id, owner="ann", collection="documents", state=state)
    assert (await api.get("ann", f"/documents/jobs/{job_id}"))["state"] == "running"
    monkeypatch.setattr(intake, "SILENT_S", -1)
    shown = await api.get("ann", f"/documents/jobs/{job_id}")
    assert (shown["state"], "send them again" in shown["reason"]) == ("failed", True)


async def test_what_is_stored_while_its_collection_is_removed_goes_too(api: Api) -> None:
    await api.collection("ann", "mine")
    api.retriever.slow = asyncio.Event()
    uploading = asyncio.create_task(api.upload("ann", ("a.txt", SNOW), collection="mine"))
    await until(lambda: api.retriever.entered)
    assert (await api.ask("ann", "DELETE", "/collections/mine")).status_code == 200
    api.retriever.slow.set()
    assert (await uploading).json()["error"]["code"] == "collection_not_found"
    assert not any(api.retriever.kept.values())


async def test_ray_is_not_asked_for_a_job_at_every_look(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(intake, "ASK_S", 60)
    path = f"/documents/jobs/{(await api.upload('ann', ('big.txt', BIG))).json()['job_id']}"
    asked: list[str] = []
    monkeypatch.setattr(api.jobs, "ended", lambda job_id, home: asked.append(job_id))
    for _ in range(3):
        assert (await api.get("ann", path))["state"] == "queued"
    assert len(asked) == 1


async def test_small_files_of_an_upload_share_passes_and_of_one_name_each_has_its_own(api: Api) -> None:
    files = [(f"{number}.txt", b"note %d" % number) for number in range(40)]
    await api.upload("ann", *files, ("7.txt", b"newer"))
    assert sorted(map(len, api.retriever.passes)) == [1, 8, 16, 16]
    assert api.retriever.passes[-1] == ["7.txt"]


async def test_what_is_much_text_shares_no_pass(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uploads, "BYTES_TOGETHER", 100)
    await api.upload("ann", ("a.txt", b"a" * 40), ("b.txt", b"b" * 60), ("c.txt", b"c" * 900), ("d.txt", b"d"))
    assert sorted(api.retriever.passes) == [["a.txt", "b.txt"], ["c.txt"], ["d.txt"]]


async def test_where_the_store_is_away_every_file_of_the_pass_says_so(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def away(*_: Any, **__: Any) -> Any:
        raise Unavailable("The vector store is away")

    monkeypatch.setattr(api.retriever, "add_many", away)
    answer = await api.upload("ann", ("a.txt", SNOW), ("b.png", b"x"), ("c.txt", b"c"), ("big.txt", BIG))
    told_errors = {one["source"]: one["error"]["code"] for one in answer.json()["errors"]}
    assert told_errors == {"a.txt": "unavailable", "c.txt": "unavailable", "b.png": "unsupported_document_type"}
    assert [one["source"] for one in answer.json()["jobs"]] == ["big.txt"]
