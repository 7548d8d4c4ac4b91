"""One API for each test, over a retriever in memory."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.unit.gateway.documents.shelf import Api, api_at


@pytest.fixture
async def api(tmp_path: Path) -> AsyncIterator[Api]:
    async with api_at(tmp_path) as api:
        yield api
