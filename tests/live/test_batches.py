"""OpenAI's files and batches on the real cluster, through the official client: real jobs, real vLLM."""

import json
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import openai
import psutil
import pytest
from openai.types import Batch, CreateEmbeddingResponse
from openai.types.chat import ChatCompletion

from cluster.runtime import processes
from tests.live.conftest import RunningCluster

CHAT = "/v1/chat/completions"
MODEL = "spark-chat"


@pytest.fixture
def client(cluster: RunningCluster) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{cluster.url}/v1", api_key="unused") as client:
        yield client


def line(number: int, **body: Any) -> dict[str, Any]:
    asked = {"messages": [{"role": "user", "content": f"Tell me story {number}."}], "max_tokens": 8}
    return {"custom_id": f"c{number}", "method": "POST", "url": CHAT, "body": {"model": MODEL, **asked, **body}}


def create(client: openai.OpenAI, lines: list[dict[str, Any]], endpoint: Any = CHAT) -> Batch:
    content = "".join(json.dumps(one) + "\n" for one in lines).encode()
    file = client.files.create(file=("lines.jsonl", content), purpose="batch")
    assert file.bytes == len(content)
    return client.batches.create(input_file_id=file.id, endpoint=endpoint, completion_window="24h")


def wait(client: openai.OpenAI, batch_id: str, until: Callable[[Batch], bool], *, seconds: float = 150) -> Batch:
    deadline = time.monotonic() + seconds
    while not until(batch := client.batches.retrieve(batch_id)):
        assert time.monotonic() < deadline, batch
        assert batch.request_counts is not None
        assert batch.request_counts.completed + batch.request_counts.failed <= batch.request_counts.total
        time.sleep(0.3)
    return batch


def ended(batch: Batch) -> bool:
    return batch.status in {"completed", "failed", "expired", "cancelled"}


def completed(batch: Batch) -> int:
    return batch.request_counts.completed if batch.request_counts else 0


def rows(client: openai.OpenAI, file_id: str | None) -> list[dict[str, Any]]:
    if file_id is None:
        return []
    return [json.loads(row) for row in client.files.content(file_id).text.splitlines()]


def job_of(cluster: RunningCluster, batch_id: str) -> list[psutil.Process]:
    found = []
    for process in processes.marked(cluster.state.id):
        with suppress(psutil.NoSuchProcess):  # one of the others that just ended
            if f"pipelines batch run {batch_id}" in " ".join(process.cmdline()):
                found.append(process)
    return found


def test_a_batch_of_chats_is_run_and_read_back(client: openai.OpenAI) -> None:
    made = create(client, [*(line(number) for number in range(11)), line(11, temperature=9)])
    assert made.status == "validating"
    done = wait(client, made.id, ended)
    assert done.status == "completed", done
    assert done.request_counts is not None
    assert done.request_counts.to_dict() == {"total": 12, "completed": 11, "failed": 1}
    good, bad = rows(client, done.output_file_id), rows(client, done.error_file_id)
    assert sorted(row["custom_id"] for row in good) == sorted(f"c{number}" for number in range(11))
    for row in good:
        answer = ChatCompletion.model_validate(row["response"]["body"])
        assert answer.choices[0].message.content
        assert (row["response"]["status_code"], row["error"]) == (200, None)
    assert [(row["custom_id"], row["response"]["status_code"]) for row in bad] == [("c11", 400)]
    assert bad[0]["response"]["body"]["error"]["param"] == "temperature"
    listed = [batch.id for batch in client.batches.list(limit=100)]
    assert made.id in listed
    assert done.output_file_id in {file.id for file in client.files.list(purpose="batch_output")}


def test_a_batch_of_embeddings_gives_vectors(client: openai.OpenAI) -> None:
    body = {"model": "all-MiniLM-L6-v2", "input": ["a mirror", "the sun"]}
    one = {"custom_id": "e", "method": "POST", "url": "/v1/embeddings", "body": body}
    done = wait(client, create(client, [one], "/v1/embeddings").id, ended)
    (row,) = rows(client, done.output_file_id)
    answer = CreateEmbeddingResponse.model_validate(row["response"]["body"])
    assert [len(vector.embedding) for vector in answer.data] == [384, 384]


def test_a_bad_file_fails_with_its_lines(client: openai.OpenAI) -> None:
    done = wait(client, create(client, [line(1), line(1), line(2, model="gpt-5")]).id, ended)
    assert done.status == "failed"
    assert done.errors is not None
    told = [(error.code, error.line) for error in done.errors.data or ()]
    assert told == [("duplicate_custom_id", 2), ("model_not_found", 3)]


def test_a_batch_whose_job_is_killed_ends_with_each_line_once(
    client: openai.OpenAI, cluster: RunningCluster
) -> None:
    many = [line(number, max_tokens=48, ignore_eos=True) for number in range(150)]
    made = create(client, many)
    for stored in (10, 60):
        wait(client, made.id, lambda batch, least=stored: ended(batch) or completed(batch) >= least)
        job = job_of(cluster, made.id)
        assert job, "the batch ended before it could be killed"
        for process in job:
            with suppress(psutil.NoSuchProcess):  # a child that ended with its parent
                process.kill()
        assert completed(client.batches.retrieve(made.id)) >= stored
    done = wait(client, made.id, ended)
    assert done.status == "completed", done
    found = sorted(row["custom_id"] for row in rows(client, done.output_file_id))
    assert found == sorted(f"c{number}" for number in range(150))
    assert (completed(done), done.error_file_id) == (150, None)


def test_a_cancelled_batch_stops_within_seconds_and_keeps_what_is_done(client: openai.OpenAI) -> None:
    many = [line(number, max_tokens=64, ignore_eos=True) for number in range(400)]
    made = create(client, many)
    wait(client, made.id, lambda batch: ended(batch) or completed(batch) >= 8)
    cancelled = client.batches.cancel(made.id)
    assert cancelled.status == "cancelling"
    done = wait(client, made.id, ended, seconds=10)
    assert done.status == "cancelled"
    kept, rest = rows(client, done.output_file_id), rows(client, done.error_file_id)
    assert 8 <= len(kept) == completed(done) < 400
    assert {row["error"]["code"] for row in rest} == {"batch_cancelled"}
    assert sorted(row["custom_id"] for row in [*kept, *rest]) == sorted(f"c{number}" for number in range(400))
    with pytest.raises(openai.ConflictError):
        client.batches.cancel(made.id)


def test_a_file_lives_until_it_is_deleted(client: openai.OpenAI) -> None:
    content = bytes(range(256)) * 5000
    file = client.files.create(
        file=("notes.bin", content),
        purpose="user_data",
        expires_after={"anchor": "created_at", "seconds": 3600},
    )
    assert file.expires_at == file.created_at + 3600
    assert client.files.content(file.id).read() == content
    assert client.files.retrieve(file.id) == file
    assert client.files.delete(file.id).deleted
    with pytest.raises(openai.NotFoundError):
        client.files.retrieve(file.id)
