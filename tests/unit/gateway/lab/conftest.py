import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import httpx
import pytest

from tests.unit.gateway.lab.house import House, opened
from tests.unit.gateway.lab.stored_runs import finished


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    house = await opened(tmp_path)
    yield house
    await house.client.aclose()
    house.database.dispose()


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[House, int]]:
    """A house with one finished batch, for the tests of a module that change nothing, and the batch's id."""

    async def made() -> tuple[House, int]:
        house = await opened(tmp_path_factory.mktemp("home"))
        return house, await finished(house)

    house, number = asyncio.run(made())
    yield house, number
    house.database.dispose()


@pytest.fixture
def api(house: House) -> httpx.AsyncClient:
    return house.client
