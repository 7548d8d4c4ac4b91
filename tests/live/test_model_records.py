"""Records of a model that two gateways serve: they add up, and what was counted last is stored when they stop."""

import asyncio
import json
import time
from pathlib import Path
from typing import Any

import httpx
import pytest

from cluster.runtime import lifecycle
from cluster.runtime.ports import free_block
from cluster.runtime.state import read_state
from cluster.stores.database import open_database
from cluster.stores.model_records import ModelRecords
from tests.live.conftest import heliostat

pytestmark = pytest.mark.live

CONFIG = """
http_options: {{host: 127.0.0.1, port: {port}}}
applications:
  - name: heliostat
    route_prefix: /
    import_path: deployments.app:build
    args:
      hub: {{offline: true}}
      gateway: {{replicas: 2, cpus: 0.1}}
      models: [{{id: spark-chat, engine: {{kind: scripted, fail_every: 5}}, replicas: {{cpus: 0.1}}}}]
"""
ASKED = {"model": "spark-chat", "messages": [{"role": "user", "content": "one two three"}]}
REQUESTS, LAST = 40, 10
SEEN_S = 15.0  # the other gateway adds what it has counted every two


async def ask(client: httpx.AsyncClient, count: int) -> list[int]:
    bodies = [{**ASKED, "stream": number % 2 == 1} for number in range(count)]
    answers = await asyncio.gather(*(client.post("/v1/chat/completions", json=body) for body in bodies))
    return [answer.status_code for answer in answers]


async def told(client: httpx.AsyncClient, requests: int) -> dict[str, Any]:
    """The record, once it has so many."""
    deadline = time.monotonic() + SEEN_S
    while True:
        found: dict[str, Any] = (await client.get("/api/v1/models/spark-chat/record")).json()
        if found["requestCount"] >= requests or time.monotonic() > deadline:
            return found
        await asyncio.sleep(0.2)


async def test_two_gateways_count_together_and_store_the_rest_when_they_stop(new_home: Path) -> None:
    config = new_home / "config.yaml"
    config.write_text(CONFIG.format(port=free_block(16)))
    done = heliostat(new_home, "up", str(config), "--detach", "--timeout", "260")
    assert done.returncode == 0, done.stderr
    url = read_state(new_home).url
    async with httpx.AsyncClient(base_url=url, timeout=60, trust_env=False) as client:
        statuses = await ask(client, REQUESTS)
        found = await told(client, REQUESTS)
        assert set(statuses) <= {200, 500}
        assert (found["requestCount"], found["errorCount"]) == (REQUESTS, statuses.count(500))
        assert found["errors"].keys() <= {"engine_error"}
        assert found["p95ResponseTime"] is not None
        assert found["p95FirstTokenTime"] is not None
        assert (found["isLoaded"], found["loadedAt"] is not None) == (True, True)
        shown = heliostat(new_home, "models", "show", "spark-chat", "--json")
        assert json.loads(shown.stdout)["record"]["requestCount"] == REQUESTS
        await ask(client, LAST)
    # In this process: the command line takes longer to start than a gateway takes to store what it has counted.
    assert not lifecycle.down(new_home).stale
    database = open_database(f"sqlite:///{new_home / 'heliostat.db'}")
    assert ModelRecords(database).of()["spark-chat"].sums.requests == REQUESTS + LAST
    database.dispose()
