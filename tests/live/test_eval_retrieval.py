"""`heliostat eval retrieval` on the running cluster: stored as documents are, asked over HTTP, nothing left."""

import json
from pathlib import Path

import httpx
import pyarrow.parquet as pq
import pytest

from tests.live.conftest import ROOT, RunningCluster
from tests.unit.evaluation.folders import beir

pytestmark = pytest.mark.live

CISI = ROOT.parent / "shared" / "data" / "cisi"
LEAST = {"bm25": 38.1, "dense": 41.5, "hybrid": 43.8}


def collections(cluster: RunningCluster) -> set[str]:
    shown = httpx.get(f"{cluster.url}/api/v1/collections", timeout=60).raise_for_status().json()
    return {one["name"] for one in shown["collections"]}


def test_a_small_collection_is_measured_and_leaves_nothing_behind(cluster: RunningCluster, tmp_path: Path) -> None:
    before = collections(cluster)
    file = tmp_path / "rows.parquet"
    done = cluster.run(
        "eval", "retrieval", str(beir(tmp_path / "mills")), "--json", "--out", str(file), timeout=250
    )
    assert done.returncode == 0, done.stdout + done.stderr
    (told,) = json.loads(done.stdout)["runs"]
    assert [one["mode"] for one in told["modes"]] == ["dense", "bm25", "hybrid"]
    assert all(one["recall_10"] == one["recall_100"] == 1 for one in told["modes"])
    assert all(0.6 < one["ndcg_10"] <= 1 and one["failed"] == 0 for one in told["modes"])
    assert told["modes"][0]["index_recall"] == 1
    assert (told["documents"], told["model"]) == (3, "all-MiniLM-L6-v2")
    rows = pq.read_table(file).to_pylist()
    assert [(row["mode"], row["query_id"]) for row in rows] == [
        (mode, query) for mode in ("dense", "bm25", "hybrid") for query in ("q1", "q2")
    ]
    assert collections(cluster) == before


def test_a_collection_that_is_kept_is_not_embedded_again(cluster: RunningCluster, tmp_path: Path) -> None:
    arguments = ("eval", "retrieval", str(beir(tmp_path / "mills")), "--collection", "kept-mills", "--mode", "bm25")
    first = cluster.run(*arguments, timeout=250)
    assert "stored 3 documents, 0 unchanged" in first.stderr, first.stdout + first.stderr
    again = cluster.run(*arguments, "--at-least", "bm25=100.1", timeout=250)
    assert "stored 0 documents, 3 unchanged" in again.stderr
    assert again.returncode == 1, "the gate is missed"
    assert "missed: bm25: nDCG@10 is" in again.stderr
    assert "kept-mills" in collections(cluster)
    removed = httpx.delete(f"{cluster.url}/api/v1/collections/kept-mills", timeout=60)
    assert removed.status_code < 300, removed.text


def test_retrieval_reaches_its_figures_on_cisi(cluster: RunningCluster) -> None:
    if not CISI.is_dir():
        pytest.skip(f"the CISI collection is not at {CISI}")
    gates = [word for mode, least in LEAST.items() for word in ("--at-least", f"{mode}={least}")]
    done = cluster.run("eval", "retrieval", str(CISI), *gates, timeout=295)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "76 judged queries, 1460 documents" in done.stdout
