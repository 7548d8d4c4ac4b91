"""A cluster of scripted models for this folder's tests: some are always there and scale, others come and go."""

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.live.starting import detached

COMING = [f"m{number}" for number in range(10)]
PLACES = 3  # for models that come and go
AT_ONCE = 2


def scripted(name: str, replicas: dict[str, Any], **engine: Any) -> dict[str, Any]:
    return {"id": name, "engine": {"kind": "scripted", **engine}, "replicas": {"cpus": 0.02, **replicas}}


QUICK = {"up_delay_s": 1, "down_delay_s": 2}
ALWAYS = [
    scripted("always", {}, token_delay_s=0.01),
    scripted("sleeper", {"min": 0, "max": 1, **QUICK}, start_delay_s=1),
    scripted("grower", {"min": 1, "max": 3, "target_ongoing": 4, **QUICK}, token_delay_s=0.05),
    scripted("waiter", {"min": 1, "max": 2, "scale_on": {"ttft_p95_ms": 200}, **QUICK}, first_token_delay_s=0.4),
    scripted("pair", {"min": 2, "max": 2}, token_delay_s=0.02),
    scripted("single", {}, token_delay_s=0.05),
    scripted("affine", {"min": 2, "max": 2, "routing": "session"}, fail_every=2),
]
SLOW = [
    {**scripted("slow", {}, start_delay_s=4.0), "load": "on_demand"},
    {**scripted("killed", {}, start_delay_s=4.0), "load": "on_demand"},
    {**scripted("masked", {}, start_delay_s=4.0), "load": "on_demand", "fallbacks": {"loading": ["always"]}},
]


def config_of(home: Path, always: list[dict[str, Any]]) -> str:
    """The cluster's config with these models that are always there."""
    broken = {
        "id": "broken",
        "load": "on_demand",
        "engine": {"kind": "transformers", "source": str(home / "nothing")},
    }
    coming = [{**scripted(name, {}, token_delay_s=0.01), "load": "on_demand"} for name in COMING]
    application = {
        "name": "heliostat",
        "route_prefix": "/",
        "import_path": "deployments.app:build",
        "args": {
            "hub": {"max_cached_models": PLACES + len(ALWAYS), "offline": True},
            "fleet": {"at_once": AT_ONCE},
            "models": [*always, *coming, *SLOW, broken],
        },
    }
    return yaml.safe_dump({"http_options": {"host": "127.0.0.1"}, "applications": [application]})


@pytest.fixture(scope="package")
def home() -> Iterator[Path]:
    """The cluster's home."""
    folder = Path(tempfile.mkdtemp(prefix="heliostat-fleet-"))
    config = folder / "config.yaml"
    config.write_text(config_of(folder, ALWAYS))
    with detached(folder, config):
        yield folder
