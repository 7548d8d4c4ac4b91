"""A pull as an async iterator."""

import asyncio
from contextlib import aclosing

import pytest

from cluster.errors import RevisionNotFound
from cluster.library.hub import HubRegistry
from cluster.library.manifest import Order
from cluster.library.pulling import pull
from cluster.library.shelf import Shelf
from cluster.library.streaming import reports_of
from tests.unit.library.conftest import NO_WAIT, ROOM
from tests.unit.library.hub_server import FakeHub


async def test_the_reports_come_while_others_run(hub: FakeHub, shelf: Shelf) -> None:
    stream = pull(Order(name="owner/model"), HubRegistry(), shelf, patience=NO_WAIT, machine=ROOM)
    said = [report.status async for report in reports_of(stream)]
    assert said[0] == "resolving"
    assert said[-1] == "done"


async def test_its_errors_are_raised(hub: FakeHub, shelf: Shelf) -> None:
    stream = pull(Order(name="owner/model", revision="v9"), HubRegistry(), shelf, patience=NO_WAIT, machine=ROOM)
    with pytest.raises(RevisionNotFound):
        async for _ in reports_of(stream):
            pass


async def test_whoever_leaves_ends_the_pull_and_frees_its_lock(hub: FakeHub, shelf: Shelf) -> None:
    hub.faults.slow_s = 0.01
    stream = pull(Order(name="owner/large"), HubRegistry(), shelf, patience=NO_WAIT, machine=ROOM)
    async with aclosing(reports_of(stream)) as reports:
        async for report in reports:
            if report.file_done:
                break
    with shelf.lock("owner/large") as lock:
        for _ in range(500):
            if lock.taken():
                break
            await asyncio.sleep(0.01)
        else:
            pytest.fail("the lock is still held")
    assert list(shelf.root.rglob("*.incomplete"))
