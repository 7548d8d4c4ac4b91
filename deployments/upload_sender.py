"""Sends files to the documents' API: many in a request, few requests at once, what failed told file by file.

A request that got no answer is sent again, as storing a file twice changes nothing. A file that the server has a
job store is followed to the job's end before more is sent in its place: a server never has many jobs of ours.
"""

import asyncio
import json
import re
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cluster.config import credentials
from cluster.errors import BadRequest, ClusterError, HeliostatError, NotRunning
from pipelines.documents.job_progress import Failure, JobProgress

if TYPE_CHECKING:
    import httpx

UPLOADS = "/api/v1/documents"
AT_ONCE = 3  # requests: one is stored while the next arrives
FILES_A_REQUEST = 16
BYTES_A_REQUEST = 1024**2  # a larger file goes alone
TRIES = 5
WAIT_S = 1.0  # before another try, where the server advises none
LONGEST_WAIT_S = 30.0
ANSWER_S = 600.0  # many pages are parsed and embedded while we wait
SILENT_S = 60.0  # of a job's events, which come every few seconds: comments among them
OF_ALL = frozenset({"collection", "tags", "metadata", "wait", "sources"})  # parameters that every file shares
RETRIED = frozenset({408, 425, 429, 500, 502, 503, 504})

Watch = Callable[[JobProgress], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Local:
    """A file to send. source: what documents and citations call it."""

    path: Path
    source: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Words:
    """What is said of all files. metadata: JSON, as it is sent."""

    collection: str | None = None
    tags: tuple[str, ...] = ()
    metadata: str | None = None

    def fields(self) -> dict[str, str]:
        """As a form's fields."""
        said = {"collection": self.collection, "tags": ",".join(self.tags) or None, "metadata": self.metadata}
        return {name: value for name, value in said.items() if value is not None}


class Sender:
    """One upload. transport: of the HTTP client; the network's by default."""

    def __init__(
        self,
        url: str,
        words: Words,
        *,
        transport: "httpx.AsyncBaseTransport | None" = None,
        wait_s: float = WAIT_S,
    ) -> None:
        self._url = url.rstrip("/")
        self._words = words
        self._transport = transport
        self._wait_s = wait_s

    async def send(self, files: Sequence[Local], watch: Watch) -> JobProgress:
        """Send all; how it ended. watch: is told of each step.

        Raises BadRequest for what is wrong with every file, NotRunning where nobody answers, ClusterError where the
        server does not do its work.
        """
        import httpx

        tally = _Tally(len(files), watch)
        requests = iter(_requests(files))
        try:
            async with httpx.AsyncClient(
                base_url=self._url, headers=credentials(), timeout=ANSWER_S, transport=self._transport
            ) as client:
                await self._all(client, requests, tally)
        except (httpx.InvalidURL, httpx.UnsupportedProtocol) as error:
            raise BadRequest(
                f"{self._url!r} is no URL to ask: {error}", hint="--url http://127.0.0.1:8000"
            ) from None
        tally.say(state="done")
        return tally.progress

    async def _all(self, client: "httpx.AsyncClient", requests: Any, tally: "_Tally") -> None:
        async def worker() -> None:
            for request in requests:  # shared: each takes the next one
                await self._request(client, request, tally)

        workers = [asyncio.create_task(worker()) for _ in range(AT_ONCE)]
        try:
            await asyncio.gather(*workers)
        finally:
            for task in workers:
                task.cancel()
            await asyncio.wait(workers)

    async def _request(self, client: "httpx.AsyncClient", files: Sequence[Local], tally: "_Tally") -> None:
        status, answer = await self._posted(client, files)
        if status not in (201, 202):
            error = _error(status, answer)
            if error.of_all:
                raise error.raised
            if len(files) > 1:  # all were refused, and the answer tells of one
                for file in files:
                    await self._request(client, [file], tally)
                return
            tally.failed(files[0].source, error)
            return
        if len(files) == 1:
            answer = {"documents": [answer], "jobs": []} if status == 201 else {"documents": [], "jobs": [answer]}
        for document in answer["documents"]:
            tally.stored(document["id"], document["chunks"])
        for refused in answer.get("errors", ()):
            told = refused["error"]
            tally.failed(refused["source"], _Error(told["code"], told["message"], told.get("hint")))
        for job in answer["jobs"]:
            await self._follow(client, job, tally)

    async def _posted(self, client: "httpx.AsyncClient", files: Sequence[Local]) -> tuple[int, Any]:
        """The answer to a request, which is sent again while a retry can help."""
        import httpx

        for attempt in range(1, TRIES + 1):
            wait_s = self._wait_s * 2 ** (attempt - 1)
            try:
                with ExitStack() as opened:
                    answer = await client.post(UPLOADS, **self._form(files, opened))
            except httpx.UnsupportedProtocol:
                raise
            except httpx.TransportError as error:
                if attempt == TRIES:
                    raise _away(self._url, error) from None
            else:
                if answer.status_code not in RETRIED or attempt == TRIES:
                    return answer.status_code, _json(answer.content)
                advised = answer.headers.get("retry-after", "")
                wait_s = float(advised) if advised.isdigit() else wait_s
            await asyncio.sleep(min(wait_s, LONGEST_WAIT_S))
        raise AssertionError("the last attempt returns or raises")

    def _form(self, files: Sequence[Local], opened: ExitStack) -> dict[str, Any]:
        sources = [file.source for file in files]
        parts = [("files", (file.path.name, opened.enter_context(file.path.open("rb")))) for file in files]
        return {"files": parts, "data": {**self._words.fields(), "sources": json.dumps(sources)}}

    async def _follow(self, client: "httpx.AsyncClient", job: Mapping[str, Any], tally: "_Tally") -> None:
        """Count what a job does until its end; a broken stream is taken up again where it broke."""
        import httpx

        seen, silent = 0, 0
        while silent < TRIES:
            try:
                async for number, state in _events(client, job["events_url"], seen):
                    seen, silent = number, 0
                    if state["state"] in ("done", "failed"):
                        tally.job_over(job["source"], state)
                        return
                    tally.job(job["job_id"], state["chunks"]["done"])
            except httpx.TransportError:
                pass  # the server, or what is between, was away for a moment
            silent += 1
            await asyncio.sleep(self._wait_s)
        hint = f"GET {job['status_url']} tells what became of it"
        tally.failed(job["source"], _Error("lost_sight", f"{job['source']}: its job is seen no more", hint))


class _Tally:
    """What has been done so far."""

    def __init__(self, total: int, watch: Watch) -> None:
        self.progress = JobProgress(job_id="upload", state="running", files_total=total)
        self._watch = watch
        self._jobs: dict[str, int] = {}
        self._chunks = 0
        self.say()

    def say(self, **changes: Any) -> None:
        chunks = self._chunks + sum(self._jobs.values())
        self.progress = replace(
            self.progress, updated=time.time(), chunks_done=chunks, chunks_total=chunks, **changes
        )
        self._watch(self.progress)

    def stored(self, document_id: str, chunks: int) -> None:
        self._chunks += chunks
        self.say(files_done=self.progress.files_done + 1, documents=(*self.progress.documents, document_id))

    def failed(self, source: str, error: "_Error") -> None:
        failure = Failure(source=source, code=error.code, message=error.message, hint=error.hint)
        self.say(files_done=self.progress.files_done + 1, failed=(*self.progress.failed, failure))

    def job(self, job_id: str, chunks: int) -> None:
        self._jobs[job_id] = chunks
        self.say()

    def job_over(self, source: str, state: Mapping[str, Any]) -> None:
        self._jobs.pop(state["job_id"], None)
        failed = state["failed"]
        if failed or state["state"] == "failed":
            told = (
                failed[0] if failed else {"code": "ingest_failed", "message": state["reason"] or "its job failed"}
            )
            self.failed(source, _Error(told["code"], told["message"], told.get("hint")))
            return
        self._chunks += state["chunks"]["done"]
        self.say(
            files_done=self.progress.files_done + 1,
            documents=(*self.progress.documents, *state["documents"]),
            unchanged=self.progress.unchanged + state["unchanged"],
        )


@dataclass(frozen=True, slots=True)
class _Error:
    """What a server said was wrong."""

    code: str
    message: str
    hint: str | None = None
    param: str | None = None
    status: int = 400

    @property
    def of_all(self) -> bool:
        """Whether it is no single file that is wrong: other files would be refused as this one is."""
        param = re.split(r"[.\[]", self.param or "", maxsplit=1)[0]
        elsewhere = self.status in (401, 404, 405, 429) or self.status >= 500 or self.code == "no_answer"
        return elsewhere or param in OF_ALL or (self.status == 403 and param != "file")

    @property
    def raised(self) -> HeliostatError:
        """The error that ends the command."""
        kind = BadRequest if self.status < 500 else ClusterError
        return kind(self.message, hint=self.hint)


def _error(status: int, answer: Any) -> _Error:
    told = answer.get("error") if isinstance(answer, dict) else None
    if not isinstance(told, dict):
        return _Error("no_answer", f"the server answered {status}", "is this Heliostat's URL?", status=status)
    return _Error(
        str(told.get("code")), str(told.get("message")), told.get("hint"), told.get("param"), status=status
    )


def _requests(files: Sequence[Local]) -> list[list[Local]]:
    """The files in requests, in order: of few bytes together, and never of the same name as others beside them."""
    packed: list[list[Local]] = []
    room = 0
    for file in files:
        size = file.path.stat().st_size
        if not packed or len(packed[-1]) >= FILES_A_REQUEST or size > room:
            packed.append([])
            room = BYTES_A_REQUEST
        packed[-1].append(file)
        room -= size
    return packed


async def _events(client: "httpx.AsyncClient", path: str, seen: int) -> AsyncIterator[tuple[int, dict[str, Any]]]:
    import httpx

    headers = {"last-event-id": str(seen)} if seen else {}
    timeout = httpx.Timeout(ANSWER_S, read=SILENT_S)
    async with client.stream("GET", path, headers=headers, timeout=timeout) as answer:
        if answer.status_code != 200:
            return
        number = seen
        async for line in answer.aiter_lines():
            if line.startswith("id: "):
                number = int(line[4:])
            elif line.startswith("data: "):
                yield number, json.loads(line[6:])


def _away(url: str, error: Exception) -> NotRunning:
    return NotRunning(f"{url} does not answer: {error}", hint="heliostat status")


def _json(content: bytes) -> Any:
    try:
        return json.loads(content)
    except ValueError:
        return None
