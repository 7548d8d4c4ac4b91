"""A cross-encoder on a real cluster: it sleeps until somebody ranks, and orders what retrieval is measured by."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from cluster.runtime.state import read_state
from cluster.stores.runs import Run
from pipelines.sweeps.plan import Plan
from pipelines.sweeps.spec import load_spec
from tests.live.conftest import heliostat

EMBEDDER = "all-MiniLM-L6-v2"
TEXTS = {"d1": "mice eat cheese", "d2": "the sun is a star", "d3": "a ship at sea"}


@pytest.fixture(scope="module")
def client(home: Path) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=read_state(home).url, timeout=120, trust_env=False) as client:
        yield client


def row(client: httpx.Client) -> dict[str, Any]:
    rows: list[dict[str, Any]] = client.get("/v1/models").json()["data"]
    return next(row for row in rows if row["id"] == "ranker")


def test_it_is_listed_asleep_and_woken_by_who_ranks(client: httpx.Client) -> None:
    asleep = row(client)
    assert (asleep["task"], asleep["capabilities"], asleep["created"]) == ("rerank", ["rerank"], 0)
    assert client.get("/health").json()["services"]["ranker"] == "running"
    body = {"model": "ranker", "query": "is the moon a star", "documents": list(TEXTS.values())}
    found = client.post("/v1/rerank", json=body).json()["results"]
    assert sorted(one["index"] for one in found) == [0, 1, 2]
    assert all(0 < one["relevance_score"] < 1 for one in found)
    assert row(client)["max_model_len"] == 29


def test_its_order_is_measured_beside_the_others(client: httpx.Client, home: Path, tmp_path: Path) -> None:
    (tmp_path / "qrels").mkdir()
    lines = [json.dumps({"_id": name, "text": text}) for name, text in TEXTS.items()]
    (tmp_path / "corpus.jsonl").write_text("\n".join(lines))
    (tmp_path / "queries.jsonl").write_text('{"_id": "q1", "text": "is the moon a star"}')
    (tmp_path / "qrels" / "test.tsv").write_text("q1\td2\t1\n")
    done = heliostat(home, "eval", "retrieval", str(tmp_path), "--mode", "dense", "--rerank", "ranker", "--json")
    assert done.returncode == 0, done.stderr
    scores = {one["mode"]: one for one in json.loads(done.stdout)["runs"][0]["modes"]}
    assert set(scores) == {"dense", "rerank"}
    assert scores["rerank"]["recall_10"] == 1


def test_a_sweep_has_its_passages_put_in_order_by_each_ranker(
    client: httpx.Client, home: Path, tmp_path: Path
) -> None:
    for name, text in TEXTS.items():
        stored = client.post("/api/v1/documents", files={"file": (f"{name}.txt", text.encode())})
        assert stored.status_code == 201, stored.text
    spec = {
        "name": "which ranker",
        "models": ["parrot"],
        "prompts": ["Is the moon a star?"],
        "parameters": {"temperature": 0, "max_tokens": 8},
        "retrieval": {"mode": "dense", "limit": 3, "min_score": -1, "rerank": [None, "ranker", EMBEDDER]},
    }
    (tmp_path / "spec.yaml").write_text(yaml.safe_dump(spec))
    done = heliostat(home, "sweep", "run", str(tmp_path / "spec.yaml"), "--yes")
    assert done.returncode == 0, done.stdout + done.stderr
    rows = Run(home, Plan(spec=load_spec(tmp_path / "spec.yaml")).run_id).table().to_pylist()
    assert [json.loads(row["retrieval"])["rerank"] for row in rows] == [None, "ranker", EMBEDDER]
    assert all(row["error_code"] is None for row in rows), rows
    # The scripted model answers from the first passage that it is shown.
    said = {json.loads(row["retrieval"])["rerank"]: row["text"] for row in rows}
    body = {"model": "ranker", "query": "Is the moon a star?", "documents": list(TEXTS.values())}
    best = client.post("/v1/rerank", json=body).json()["results"][0]["index"]
    assert list(TEXTS.values())[best] in said["ranker"]
    unknown = {**spec, "retrieval": {**spec["retrieval"], "rerank": "parrot"}}  # type: ignore[dict-item]
    (tmp_path / "spec.yaml").write_text(yaml.safe_dump(unknown))
    refused = heliostat(home, "sweep", "run", str(tmp_path / "spec.yaml"), "--yes")
    assert (refused.returncode, len(refused.stderr.splitlines())) == (1, 1), refused.stderr
    assert f"ranks nothing here — these rank: ranker, {EMBEDDER}" in refused.stderr
