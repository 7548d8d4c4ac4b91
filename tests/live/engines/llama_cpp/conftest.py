"""The built-in model as a GGUF file, and an engine over it for each file of tests."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from cluster.engines.protocol import ChatEngine
from tests.live.engines.llama_cpp.engines import new
from tests.live.engines.spark_gguf import spark_gguf


@pytest.fixture(scope="module", name="file")
def _file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return spark_gguf(tmp_path_factory.mktemp("gguf") / "spark-chat-F32.gguf")


@pytest.fixture(scope="module", name="whole")
def _whole(file: Path) -> bytes:
    return file.read_bytes()


@pytest_asyncio.fixture(scope="module", loop_scope="module", name="engine")
async def _engine(file: Path) -> AsyncIterator[ChatEngine]:
    engine = new(file)
    await engine.start()
    yield engine
    await engine.stop()
