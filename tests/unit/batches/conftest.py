"""Batches over a database in memory, a folder, and a gateway that answers by rule: no Ray, no sockets."""

import asyncio
import json
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine

from cluster.settings.apis import BatchSettings
from cluster.stores.batches import Batch, Batches, new_id
from cluster.stores.database import open_database
from cluster.stores.files import BATCH, Files, StoredFile
from cluster.stores.files import new_id as new_file_id
from cluster.types import LineAnswer, LineCall
from pipelines.batches.folder import BatchFolder
from pipelines.batches.run import BatchJob, Workshop
from pipelines.sweeps import backoff

ENDPOINT = "/v1/chat/completions"


def line(number: int, **changes: Any) -> dict[str, Any]:
    body = {"model": "m", "messages": [{"role": "user", "content": f"say {number}"}]}
    return {"custom_id": f"c{number}", "method": "POST", "url": ENDPOINT, "body": body, **changes}


def jsonl(*lines: dict[str, Any]) -> bytes:
    return b"".join(json.dumps(one).encode() + b"\n" for one in lines)


@dataclass
class Gateway:
    """Answers lines. script: what a text gets instead, one a try. asked: texts, in order.

    stuck_after: so many answers, then none comes any more.
    """

    script: dict[str, list[LineAnswer | Exception]] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    calls: list[LineCall] = field(default_factory=list)
    delay_s: float = 0.0
    stuck_after: int = 10**6

    async def answer(self, call: LineCall) -> LineAnswer:
        body = json.loads(call.body)
        text = body["messages"][0]["content"]
        self.asked.append(text)
        self.calls.append(call)
        if len(self.asked) > self.stuck_after:
            await asyncio.Event().wait()
        await asyncio.sleep(self.delay_s)
        planned = self.script.get(text)
        if planned:
            outcome = planned.pop(0)
            if isinstance(outcome, Exception):
                raise outcome
            return outcome
        return LineAnswer(status=200, body=json.dumps({"said": text}).encode())


@dataclass
class Bench:
    """One home with its stores, and the gateway that its jobs ask."""

    shop: Workshop
    gateway: Gateway
    jobs: int = 0

    def upload(self, content: bytes, *, owner: str = "ann", purpose: str = BATCH) -> StoredFile:
        with self.shop.files.draft(new_file_id()) as draft:
            draft.write(content)
            return self.shop.files.keep(draft, owner=owner, filename="in.jsonl", purpose=purpose)

    def batch(self, content: bytes, **changes: Any) -> Batch:
        stored = self.upload(content)
        batch_id = new_id()
        BatchFolder(self.shop.home, batch_id).create(self.shop.files.path(stored.id))
        fields = {"owner": "ann", "models": None, "endpoint": ENDPOINT, "input_file_id": stored.id, **changes}
        return self.shop.batches.create(batch_id=batch_id, **fields)

    def job(self, batch: Batch) -> BatchJob:
        """A new job, as the gateway would claim the batch for it."""
        before = self.shop.batches.get(batch.id).submission_id
        self.jobs += 1
        assert self.shop.batches.claim(batch.id, f"job-{self.jobs}", before=before, most=10)
        return BatchJob(batch.id, f"job-{self.jobs}", self.shop, self.gateway.answer)

    async def run(self, batch: Batch) -> Batch:
        await self.job(batch).run()
        return self.now(batch)

    def now(self, batch: Batch) -> Batch:
        return self.shop.batches.get(batch.id)

    def lines(self, file_id: str | None) -> list[dict[str, Any]]:
        if file_id is None:
            return []
        return [json.loads(row) for row in self.shop.files.path(file_id).read_bytes().splitlines()]

    def with_settings(self, **changes: Any) -> "Bench":
        self.shop = replace(self.shop, settings=self.shop.settings.model_copy(update=changes))
        return self


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backoff, "FIRST_WAIT_S", 0.0)
    monkeypatch.setattr(backoff, "LONGEST_WAIT_S", 0.0)


@pytest.fixture(autouse=True)
def no_power_loss(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.fsync", lambda _: None)  # of what a kill does, it changes nothing


@pytest.fixture
def engine() -> Iterator[Engine]:
    opened = open_database("sqlite://")
    yield opened
    opened.dispose()


@pytest.fixture
def bench(engine: Engine, tmp_path: Path) -> Bench:
    shop = Workshop(
        home=tmp_path,
        batches=Batches(engine),
        files=Files(engine, tmp_path),
        served=frozenset({"m"}),
        settings=BatchSettings(in_flight=4, retries=2),
        max_line_bytes=10_000,
        timeout_s=5,
        poll_s=0.01,
        flush_s=0.01,
    )
    return Bench(shop=shop, gateway=Gateway())
