"""One cluster for the tests of this folder that kill a part of one. No model of it is real."""

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.live.starting import detached


def scripted(name: str, *, replicas: dict[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    fallbacks = {"fallbacks": more.pop("fallbacks")} if "fallbacks" in more else {}
    engine = {"kind": "scripted", **more}
    return {"id": name, "engine": engine, "replicas": {"cpus": 0.02, **(replicas or {})}, **fallbacks}


MODELS = [
    scripted("echo", tokens=20, token_delay_s=0.01),  # 200 cells take about six seconds
    scripted("flaky", tokens=3, fail_every=8),
    scripted("narrow", tokens=20, token_delay_s=0.01, replicas={"max_ongoing": 2, "max_queued": 1}),
    scripted("mortal", token_delay_s=0.02, die_after=60, replicas={"min": 2, "max": 2}),
    scripted("frail", fail_every=1, fallbacks=["sound"]),
    scripted("sound"),
    {"id": "hash", "engine": {"kind": "hash", "dimensions": 64}, "replicas": {"cpus": 0.1}},
]


def config_of(home: Path, *, served_bytes: int) -> str:
    """The cluster's config. Where an ingest has more bytes than that, actors read and embed it."""
    args = {
        "hub": {"offline": True, "max_cached_models": len(MODELS)},
        "routing": {"breaker": {"failures": 3, "cooldown_s": 2}},
        "models": MODELS,
        "sweeps": {"in_flight": 8, "retries": 0, "block_cells": 16},
        "documents": {
            "folders": [str(home / "docs")],
            "chunk_tokens": 16,
            "chunk_overlap": 0,
            "served_bytes": served_bytes,
            "embedding_cache_mib": 0,
        },
    }
    application = {"name": "heliostat", "route_prefix": "/", "import_path": "deployments.app:build", "args": args}
    return yaml.safe_dump({"http_options": {"host": "127.0.0.1"}, "applications": [application]})


@pytest.fixture(scope="package")
def home() -> Iterator[Path]:
    """The cluster's home."""
    folder = Path(tempfile.mkdtemp(prefix="heliostat-faults-"))
    (folder / "docs").mkdir()
    config = folder / "config.yaml"
    config.write_text(config_of(folder, served_bytes=10**9))
    with detached(folder, config):
        yield folder
