import asyncio
import threading
import time
from collections.abc import Mapping
from typing import Any

import pytest

from cluster.stores.runs import Superseded
from pipelines.sweeps.block_writer import BlockWriter
from tests.unit.waiting import until


class Parts:
    def __init__(self) -> None:
        self.parts: list[list[Any]] = []
        self.over = False

    def write(self, rows: list[Mapping[str, Any]], *, session: str, block: int) -> None:
        if self.over:
            raise Superseded("x")
        self.parts.append(list(rows))


async def test_a_part_is_written_when_enough_rows_have_gathered() -> None:
    store = Parts()
    async with BlockWriter(store, session="s", block=0, size=2) as writer:
        for number in range(5):
            await writer.add({"n": number})
        assert [len(part) for part in store.parts] == [2, 2]
    assert [row["n"] for part in store.parts for row in part] == [0, 1, 2, 3, 4]


async def test_a_row_never_waits_long() -> None:
    store = Parts()
    async with BlockWriter(store, session="s", block=0, size=100, flush_s=0.01) as writer:
        await writer.add({"n": 1})
        await until(lambda: store.parts)
        assert store.parts == [[{"n": 1}]]


async def test_a_writer_whose_session_is_over_stops_its_block() -> None:
    store = Parts()
    store.over = True
    with pytest.raises(Superseded):
        async with BlockWriter(store, session="s", block=0, size=1) as writer:
            await writer.add({"n": 1})


class SlowParts(Parts):
    """A store whose writes take a moment."""

    def __init__(self) -> None:
        super().__init__()
        self.writing = threading.Event()

    def write(self, rows: list[Mapping[str, Any]], *, session: str, block: int) -> None:
        self.writing.set()
        time.sleep(0.05)
        super().write(rows, session=session, block=block)


async def test_a_part_under_way_is_there_when_the_writer_has_ended() -> None:
    store = SlowParts()
    async with BlockWriter(store, session="s", block=0, size=100, flush_s=0.01) as writer:
        await writer.add({"n": 1})
        await until(store.writing.is_set)  # by the clock, in a thread that nobody can stop
    assert store.parts == [[{"n": 1}]]


async def test_a_part_under_way_is_there_when_its_writer_was_cancelled() -> None:
    store = SlowParts()
    writer = BlockWriter(store, session="s", block=0, size=1)
    adding = asyncio.create_task(writer.add({"n": 1}))
    await until(store.writing.is_set)
    adding.cancel()
    with pytest.raises(asyncio.CancelledError):
        await adding
    assert store.parts == [[{"n": 1}]]
