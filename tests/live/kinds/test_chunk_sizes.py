"""A sweep over sizes of chunks on a real cluster: cut again from what is stored, kept up to date, and hidden."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from cluster.runtime.state import read_state
from cluster.stores.recut_names import PREFIX
from cluster.stores.runs import Run
from pipelines.documents.grounding import ABSTENTION
from pipelines.sweeps.plan import Plan
from pipelines.sweeps.spec import load_spec
from tests.live.conftest import heliostat

FOLDER = "mills"
PLACES = ("Arden", "Bolton", "Corby", "Derby", "Exeter", "Frome", "Grantham", "Hull", "Ilford", "Jarrow", "Leeds")
SENTENCES = [f"The mill of {place} has sails of white canvas and a door of old oak." for place in PLACES]
QUESTION = "Which sails has the mill of Hull?"


@pytest.fixture
def client(home: Path) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=read_state(home).url, timeout=120, trust_env=False) as client:
        yield client
        client.delete(f"/api/v1/collections/{FOLDER}")


def with_workers(home: Path, folder: Path) -> Path:
    """The cluster's config with much work for its embedding workers, and little for what is served."""
    config = yaml.safe_load(Path(read_state(home).config).read_text())
    config["applications"][0]["args"]["documents"]["served_bytes"] = 0
    file = folder / "workers.yaml"
    file.write_text(yaml.safe_dump(config))
    return file


def ran(home: Path, spec: Path, *more: str) -> tuple[list[dict[str, Any]], str]:
    """The rows of a run from its beginning, and what the command said of its progress."""
    done = heliostat(home, "sweep", "run", str(spec), "--yes", "--fresh", *more)
    assert done.returncode == 0, done.stdout + done.stderr
    rows = Run(home, Plan(spec=load_spec(spec)).run_id).table().to_pylist()
    assert all(row["error_code"] is None for row in rows), rows
    return rows, done.stderr


def test_passages_are_of_the_sizes_that_a_sweep_asks_for(client: httpx.Client, home: Path, tmp_path: Path) -> None:
    assert client.post("/api/v1/collections", json={"name": FOLDER}).status_code == 201
    file = {"file": ("mills.txt", " ".join(SENTENCES).encode())}
    stored = client.post("/api/v1/documents", params={"collection": FOLDER}, files=file)
    assert stored.status_code == 201, stored.text
    spec = {
        "name": "which size",
        "models": ["parrot"],
        "prompts": [QUESTION],
        "parameters": {"temperature": 0, "max_tokens": 300},
        "retrieval": {
            "collection": FOLDER,
            "mode": "hybrid",
            "weights": {"bm25": 3},
            "limit": 1,
            "min_score": -1,
            "chunk_tokens": [24, 64, 128],
            "chunk_overlap": [0, 16],
        },
    }
    (tmp_path / "spec.yaml").write_text(yaml.safe_dump(spec))
    planned = heliostat(home, "sweep", "plan", str(tmp_path / "spec.yaml"))
    assert "documents are cut again before the first cell" in planned.stdout, planned.stderr
    rows, told = ran(home, tmp_path / "spec.yaml")
    assert f"recutting {FOLDER} to 24 tokens with overlap 0: 0 of 1 documents" in told
    # The scripted model answers with the first passage that it is shown.
    said = {
        tuple(json.loads(row["retrieval"])[name] for name in ("chunk_tokens", "chunk_overlap")): row for row in rows
    }
    sizes = {size: len(row["text"]) for size, row in said.items()}
    assert sizes[24, 0] < sizes[64, 0] < sizes[128, 0]
    assert all(SENTENCES[7] in row["text"] for row in rows), sizes
    again, told = ran(home, tmp_path / "spec.yaml")
    assert "recutting" not in told
    assert [row["text"] for row in again] == [row["text"] for row in rows]

    # What is not little is cut and embedded by workers with models of their own: with the same result.
    wide = {**spec, "retrieval": {**spec["retrieval"], "chunk_tokens": 100, "chunk_overlap": 0}}  # type: ignore[dict-item]
    (tmp_path / "wide.yaml").write_text(yaml.safe_dump(wide))
    (row,), told = ran(home, tmp_path / "wide.yaml", "--config", str(with_workers(home, tmp_path)))
    assert f"recutting {FOLDER} to 100 tokens" in told
    assert SENTENCES[7] in row["text"]
    assert sizes[64, 0] < len(row["text"])

    listed = client.get("/api/v1/collections").json()["collections"]
    assert not [one["name"] for one in listed if one["name"].startswith(PREFIX)]
    recuts = sorted(one.name for one in (home / "documents" / "vectors").glob(f"{PREFIX}*"))
    assert len(recuts) == 6, "128 with 16 is what the config says"
    assert client.get(f"/api/v1/collections/{recuts[0]}").status_code == 404

    assert client.delete(f"/api/v1/documents/{stored.json()['id']}?collection={FOLDER}").status_code == 200
    without, _ = ran(home, tmp_path / "spec.yaml")
    assert {row["text"] for row in without} == {ABSTENTION}
    assert client.delete(f"/api/v1/collections/{FOLDER}").status_code == 200
    assert not list((home / "documents" / "vectors").glob(f"{PREFIX}*"))


def test_sizes_that_cannot_be_are_refused_before_anything_is_cut(home: Path, tmp_path: Path) -> None:
    retrieval = {"chunk_tokens": [64, 8000], "chunk_overlap": 0}
    spec = {"name": "too long", "models": ["parrot"], "prompts": [QUESTION], "retrieval": retrieval}
    (tmp_path / "spec.yaml").write_text(yaml.safe_dump(spec))
    refused = heliostat(home, "sweep", "run", str(tmp_path / "spec.yaml"), "--yes")
    assert (refused.returncode, len(refused.stderr.splitlines())) == (2, 1), refused.stderr
    assert "retrieval.chunk_tokens: 8000 is more than the embedder reads" in refused.stderr
