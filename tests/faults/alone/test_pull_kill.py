"""Pulls in processes of their own: killed in the middle, and two at once."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from cluster.library.cached import held
from cluster.library.library import Library
from cluster.library.manifest import Order
from cluster.library.shelf import Shelf
from cluster.settings.models import HubSettings
from tests.unit.library.conftest import REPOSITORIES
from tests.unit.library.hub_server import FakeHub, point_at, serving

ROOT = Path(__file__).parents[3]
CHILD = """
import json, sys
from dataclasses import asdict
from cluster.library.library import Library
from cluster.settings.models import HubSettings
for report in Library(HubSettings(model_path=sys.argv[1], keep_free_gib=0)).pull("owner/large"):
    print(json.dumps(asdict(report)), flush=True)
"""


def start(hub: FakeHub, cache: Path) -> "subprocess.Popen[str]":
    environment = {**os.environ, "HF_ENDPOINT": hub.address, "HF_HUB_OFFLINE": "0", "NO_PROXY": "127.0.0.1"}
    argv = [sys.executable, "-c", CHILD, str(cache)]
    return subprocess.Popen(argv, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True)


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeHub]:
    with serving(REPOSITORIES) as served:
        point_at(served.address, monkeypatch)
        yield served


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache"


def test_a_pull_that_is_killed_is_not_listed_and_goes_on_where_it_was(hub: FakeHub, cache: Path) -> None:
    hub.faults.slow_s = 0.02
    child = start(hub, cache)
    assert child.stdout is not None
    for line in child.stdout:
        if json.loads(line)["file_done"] > 200_000:
            break
    child.send_signal(signal.SIGKILL)
    child.wait()
    child.stdout.close()
    shelf, order = Shelf(cache), Order(name="owner/large")
    assert held(shelf, order) is None
    assert list(shelf.records()) == []
    settings = HubSettings(model_path=str(cache), keep_free_gib=0)
    assert "owner/large" not in {entry.id for entry in Library(settings).entries()}
    arrived = sum(file.stat().st_size for file in cache.rglob("*.incomplete"))
    assert arrived > 200_000
    hub.faults.slow_s = 0
    hub.asked.clear()
    *_, last = Library(settings).pull("owner/large")
    assert last.status == "done"
    assert hub.asked == [("model.safetensors", f"bytes={arrived}-")]
    assert "owner/large" in {entry.id for entry in Library(settings).entries()}


def test_of_two_processes_one_downloads_and_the_other_follows(hub: FakeHub, cache: Path) -> None:
    hub.faults.slow_s = 0.02
    children = [start(hub, cache) for _ in range(2)]
    said = [[json.loads(line) for line in child.communicate(timeout=60)[0].splitlines()] for child in children]
    assert [child.returncode for child in children] == [0, 0]
    assert [one[-1]["status"] for one in said] == ["done", "done"]
    assert sorted(file for file, _ in hub.asked) == sorted(hub.repositories["owner/large"])
    assert sum(any(report["status"] == "waiting" for report in one) for one in said) <= 1
