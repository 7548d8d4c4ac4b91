import shutil
import socket
import subprocess
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from deployments.gateway.cache import redis_link
from tests.unit.gateway.cache.house import Counted, House
from tests.unit.gateway.conftest import started

SERVER = shutil.which("redis-server")


@pytest.fixture
async def house() -> AsyncIterator[House]:
    made = House(Counted((await started()).engine))
    async with made.client:
        yield made


@pytest.fixture(scope="module")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server that keeps nothing."""
    if SERVER is None:
        pytest.skip("no redis-server: apt-get install redis-server")
    path = tmp_path_factory.mktemp("redis") / "s"
    arguments = ["--port", "0", "--unixsocket", str(path), "--save", "", "--appendonly", "no"]
    process = subprocess.Popen([SERVER, *arguments], stdout=subprocess.DEVNULL, cwd=path.parent)
    until = time.monotonic() + 10
    while not _listens(path):
        assert process.poll() is None, "redis-server did not start"
        assert time.monotonic() < until, "redis-server does not listen"
        time.sleep(0.005)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(redis_link, "PATIENCE_S", 10.0)  # the machine that runs the tests may have other work
        yield f"unix://{path}"
    process.terminate()
    process.wait()


def _listens(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as asked:
        return asked.connect_ex(str(path)) == 0
