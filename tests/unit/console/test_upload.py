"""`heliostat upload`: which files, in which requests, and what is told of each; over the API itself."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from rich.console import Console

from cluster.errors import BadRequest, ClusterError, NotRunning
from deployments.gateway import progress
from deployments.upload import Display, chosen
from deployments.upload_sender import Local, Sender, Words
from pipelines.documents.job_progress import Failure, JobProgress, write_progress
from tests.unit.gateway.documents.shelf import Api, api_at
from tests.unit.waiting import until


@pytest.fixture
async def api(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Api]:
    monkeypatch.setattr(progress, "POLL_S", 0.005)
    async with api_at(tmp_path / "home") as api:
        yield api


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "papers"
    for name, text in (("a.txt", "one"), ("deep/a.txt", "two"), ("deep/b.md", "three"), (".git/c.txt", "no")):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    (folder / "picture.png").write_bytes(b"png")
    return folder


class As(httpx.ASGITransport):
    """The API, asked as somebody."""

    def __init__(self, api: Api, who: str) -> None:
        super().__init__(api.app, raise_app_exceptions=False)
        self._who = who

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        request.headers["x-key"] = self._who
        return await super().handle_async_request(request)


def sender(api: Api, *, who: str = "ann", **words: Any) -> Sender:
    return Sender("http://test", Words(**words), transport=As(api, who), wait_s=0.001)


def answering(*answers: httpx.Response | Exception) -> Sender:
    """A sender whose server answers so, the last answer again and again."""
    left = list(answers)

    async def answer(request: httpx.Request) -> httpx.Response:
        one = left.pop(0) if len(left) > 1 else left[0]
        if isinstance(one, Exception):
            raise one
        return one

    return Sender("http://test", Words(), transport=httpx.MockTransport(answer), wait_s=0.001)


def test_a_folders_files_are_named_below_it(folder: Path) -> None:
    found = chosen([folder, folder / "a.txt"]).files
    assert [local.source for local in found] == ["papers/a.txt", "papers/deep/a.txt", "papers/deep/b.md"]
    assert [local.source for local in chosen([folder / "picture.png"]).files] == ["picture.png"]
    assert chosen([folder, folder / "deep"]).left_out == {".png": 1}


def test_what_cannot_be_chosen_is_refused(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for paths, told in (
        ([tmp_path / "nothing"], "no such file"),
        ([tmp_path / "empty"], "no file to read"),
        ([folder / "a.txt", folder / "deep" / "a.txt"], "Several files"),
    ):
        with pytest.raises(BadRequest, match=told):
            chosen(paths)


async def test_a_folder_is_sent_with_labels_and_progress(api: Api, folder: Path) -> None:
    await api.collection("ann", "mine")
    steps: list[JobProgress] = []
    words = {"collection": "mine", "tags": ("new", "paper"), "metadata": '{"year": 2024}'}
    files = (*chosen([folder]).files, *chosen([folder / "picture.png"]).files)
    result = await sender(api, **words).send(files, steps.append)
    assert (result.state, result.files_done, result.files_total, result.chunks_done) == ("done", 4, 4, 3)
    assert [failure.source for failure in result.failed] == ["picture.png"]
    assert [step.files_done for step in steps] == [0, 1, 2, 3, 4, 4]
    listed = (await api.get("ann", "/documents?collection=mine"))["documents"]
    assert sorted(one["source"] for one in listed) == ["papers/a.txt", "papers/deep/a.txt", "papers/deep/b.md"]
    assert all((one["tags"], one["metadata"]) == (["new", "paper"], {"year": 2024}) for one in listed)


async def test_many_files_go_in_few_requests(api: Api, tmp_path: Path) -> None:
    folder = tmp_path / "many"
    folder.mkdir()
    for at in range(100):
        (folder / f"{at:03}.txt").write_text(f"text {at}")
    mine = sender(api)
    posted = mine._posted
    requests = []

    async def counted(client: httpx.AsyncClient, files: Any) -> Any:
        requests.append(len(files))
        return await posted(client, files)

    mine._posted = counted  # type: ignore[method-assign]
    result = await mine.send(chosen([folder]).files, lambda _: None)
    assert (len(result.documents), result.failed) == (100, ())
    assert (len(requests), max(requests)) == (7, 16)


async def test_when_all_of_a_request_fail_each_says_why(api: Api, tmp_path: Path) -> None:
    files = []
    for name in ("a.png", "b.exe"):
        (tmp_path / name).write_bytes(b"x")
        files.append(Local(path=tmp_path / name, source=name))
    result = await sender(api).send(files, lambda _: None)
    assert sorted(failure.source for failure in result.failed) == ["a.png", "b.exe"]


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ({"collection": "nothing"}, "No collection"),
        ({"metadata": "{"}, "metadata"),
        ({"tags": ("x" * 65,)}, "tags"),
    ],
)
async def test_what_is_wrong_with_all_files_ends_it(
    api: Api, folder: Path, words: dict[str, Any], told: str
) -> None:
    with pytest.raises(BadRequest, match=told):
        await sender(api, **words).send(chosen([folder]).files, lambda _: None)
    assert api.retriever.adds == 0


async def test_a_large_file_is_followed_to_its_jobs_end(api: Api, tmp_path: Path) -> None:
    (tmp_path / "big.txt").write_bytes(b"w " * 1000)
    files = [Local(path=tmp_path / "big.txt", source="deep/big.txt")]
    for failed in ((), (Failure(source="x", code="broken_document", message="no text"),)):
        steps: list[JobProgress] = []
        sending = asyncio.create_task(sender(api).send(files, steps.append))
        await until(lambda: bool(api.jobs.submitted))
        job_id = api.jobs.submitted.pop()[6]
        for done, state in ((3, "running"), (7, "done")):
            progress = JobProgress(
                job_id=job_id,
                state=state,  # type: ignore[arg-type]
                chunks_done=done,
                documents=("d",),
                failed=failed,
                updated=9e9 + done,
            )
            write_progress(api.home, progress)
            await asyncio.sleep(0.02)
        result = await sending
        if failed:
            assert [(one.code, one.source) for one in result.failed] == [("broken_document", "deep/big.txt")]
        else:
            assert (result.documents, result.chunks_done, result.failed) == (("d",), 7, ())


async def test_a_request_without_an_answer_is_sent_again(folder: Path) -> None:
    stored = httpx.Response(201, json={"documents": [{"id": "d", "chunks": 1}] * 3, "jobs": [], "errors": []})
    busy = httpx.Response(429, headers={"retry-after": "0"}, json={})
    result = await answering(httpx.ReadError("cut"), busy, stored).send(chosen([folder]).files, lambda _: None)
    assert len(result.documents) == 3


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (httpx.ConnectError("refused"), NotRunning),
        (httpx.Response(200, text="<html>"), BadRequest),
        (httpx.Response(503, json={"error": {"code": "unavailable", "message": "away"}}), ClusterError),
        (httpx.Response(401, json={"error": {"code": "invalid_api_key", "message": "who?"}}), BadRequest),
    ],
)
async def test_a_server_that_does_not_take_files_ends_it(folder: Path, answer: Any, kind: type[Exception]) -> None:
    with pytest.raises(kind):
        await answering(answer).send(chosen([folder]).files, lambda _: None)


async def test_an_address_that_is_none_is_refused(folder: Path) -> None:
    with pytest.raises(BadRequest, match="no URL"):
        await Sender("nonsense", Words(), wait_s=0.001).send(chosen([folder]).files, lambda _: None)


def test_elsewhere_than_on_a_terminal_a_line_comes_now_and_then() -> None:
    from io import StringIO

    out, moments = StringIO(), iter([0.0, 0.1, 5.0, 5.1])
    with Display(Console(file=out, width=80), clock=lambda: next(moments)) as display:
        for done in range(4):
            progress = JobProgress(job_id="u", state="running", files_total=9, files_done=done, chunks_done=done)
            display.show(progress)
    assert out.getvalue().splitlines() == ["files 0/9 · 0 chunks", "files 2/9 · 2 chunks"]
