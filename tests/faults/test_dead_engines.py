"""Engines that die under load: nobody whose answer had not begun sees it; and the router's events tell of it."""

import asyncio
import json
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from cluster.runtime.state import ClusterState, read_state
from tests.live.conftest import RunningCluster, heliostat
from tests.live.starting import called

CLIENTS = 8
LOAD_S = 12.0
WORDS = "one two three four five six seven eight nine ten"


@dataclass(slots=True)
class Seen:
    """What clients without retries of their own saw."""

    whole: int = 0
    streamed: int = 0
    cut: int = 0  # streams that had begun, and ended with an error event
    failures: list[str] = field(default_factory=list)


async def one(client: httpx.AsyncClient, model: str, *, stream: bool, seen: Seen) -> None:
    body = {"model": model, "stream": stream, "messages": [{"role": "user", "content": WORDS}]}
    answer = await client.post("/v1/chat/completions", json=body)
    if answer.status_code != 200:
        seen.failures.append(f"{answer.status_code} {answer.text[:200]}")
    elif not stream:
        seen.whole += 1
    elif answer.text.endswith("data: [DONE]\n\n"):
        seen.streamed += 1
    elif '"error"' in answer.text and '"delta"' in answer.text:
        seen.cut += 1
    else:
        seen.failures.append(f"a stream without an end: {answer.text[-200:]}")


async def load(url: str, model: str, *, seconds: float, clients: int = CLIENTS) -> Seen:
    seen, end = Seen(), time.monotonic() + seconds
    async with httpx.AsyncClient(base_url=url, timeout=200, trust_env=False) as client:

        async def ask(number: int) -> None:
            while time.monotonic() < end:
                await one(client, model, stream=number % 2 == 0, seen=seen)

        await asyncio.gather(*(ask(number) for number in range(clients)))
    return seen


@pytest.mark.timeout(600)  # both replicas may be dead at once, and each takes as long as the machine needs
async def test_engines_that_die_under_load_fail_nobody_whose_answer_had_not_begun(
    home: Path,
) -> None:
    seen = await load(read_state(home).url, "mortal", seconds=LOAD_S)
    told = heliostat(home, "events", "--json", "--kind", "retry", "--model", "mortal", "--limit", "1000")
    retries = [json.loads(text) for text in told.stdout.splitlines()]
    sys.stderr.write(f"{seen.whole} whole, {seen.streamed} streams, {seen.cut} cut; {len(retries)} retry events\n")
    assert seen.failures == []
    assert seen.whole > 50
    assert {"engine_dead", "replica_lost"} & {event["inputs"]["error"] for event in retries}, "none died"


async def test_a_failing_model_falls_back_opens_its_breaker_and_probes(home: Path) -> None:
    reasons = []
    async with httpx.AsyncClient(base_url=read_state(home).url, timeout=30, trust_env=False) as client:
        body: dict[str, Any] = {"model": "frail", "messages": [{"role": "user", "content": WORDS}]}
        for number in range(5):
            answer = await client.post("/v1/chat/completions", json={**body, "stream": number == 1})
            assert answer.status_code == 200
            reasons.append(answer.headers["x-heliostat-route"])
        circuits = (await client.get("/health")).json()["circuits"]
        await asyncio.sleep(2.2)
        await client.post("/v1/chat/completions", json=body)
    assert reasons == ["frail -> sound; reason=engine_error"] * 3 + ["frail -> sound; reason=circuit_open"] * 2
    assert circuits["frail"] == "open"
    told = heliostat(home, "events", "--json", "--kind", "breaker", "--model", "frail")
    assert [json.loads(text)["reason"] for text in told.stdout.splitlines()] == ["open", "half_open", "open"]


async def test_a_killed_vllm_core_is_waited_for_and_its_whole_answers_say_their_prefill(
    cluster: RunningCluster,
) -> None:
    state = cluster.state
    body = {"model": "spark-chat", "max_tokens": 8, "messages": [{"role": "user", "content": "Hello"}]}
    async with httpx.AsyncClient(base_url=state.url, timeout=120, trust_env=False) as client:
        before = await client.post("/v1/chat/completions", json=body)
        stages = before.headers["x-heliostat-timing"]
        assert "prefill;dur=" in stages
        assert "first_token;dur=" in stages
        for process in cores(state):
            process.kill()
        begun = time.monotonic()
        answers = await asyncio.gather(*(client.post("/v1/chat/completions", json=body) for _ in range(4)))
        sys.stderr.write(f"{stages}; answered again after {time.monotonic() - begun:.1f} s\n")
    assert [answer.status_code for answer in answers] == [200] * 4, answers[0].text


def cores(state: ClusterState) -> list[psutil.Process]:
    """The engine cores: each is a fork of its replica, and has kept the replica's name."""
    replicas = called(state.id, ":spark-chat")
    found = [one for one in replicas if one.ppid() in {replica.pid for replica in replicas}]
    assert found, "no engine core to kill"
    return found
