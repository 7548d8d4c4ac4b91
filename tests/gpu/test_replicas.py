"""A replica a GPU: the deployed `configs/gpu-node.yaml` takes a device for each replica, and says so to Ray."""

import json
from pathlib import Path

import httpx

from tests.gpu.test_engine import BUILTIN
from tests.live.conftest import heliostat, new_home  # noqa: F401  # a fixture

ROOT = Path(__file__).parents[2]


def test_each_replica_reserves_a_gpu(new_home: Path) -> None:  # noqa: F811  # the fixture, as an argument
    extra = {**BUILTIN, "HELIOSTAT__MODELS__1__ENGINE__SOURCE": "builtin"}
    started = heliostat(new_home, "up", str(ROOT / "configs/gpu-node.yaml"), "--detach", extra=extra)
    assert started.returncode == 0, started.stderr
    try:
        status = json.loads(heliostat(new_home, "status", "--json").stdout)
        answer = httpx.post(
            f"{status['url']}/v1/chat/completions",
            json={"model": "qwen2.5-7b-instruct", "messages": [{"role": "user", "content": "Hello"}]},
            timeout=60,
        )
        assert answer.status_code == 200, answer.text
        doctor = heliostat(new_home, "doctor", "--json")
        assert "gpu" in doctor.stdout.lower()
    finally:
        heliostat(new_home, "down")
