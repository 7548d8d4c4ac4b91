import asyncio
from collections.abc import Sequence

import pytest

from cluster.stores.responses import Ending
from deployments.gateway.openai.responses.writer import Change, Writer


class Disk:
    """Commits slowly. batches: the ids of each commit."""

    def __init__(self) -> None:
        self.batches: list[list[str]] = []

    async def commit(self, changes: Sequence[Change]) -> list[bool]:
        await asyncio.sleep(0.001)
        ids = [change.id for change in changes]
        self.batches.append(ids)
        if "bad" in ids:
            raise OSError("full")
        return [change != "gone" for change in ids]


def ending(identity: str) -> Ending:
    return Ending(id=identity, body={})


async def test_what_comes_during_a_commit_shares_the_next_in_order() -> None:
    disk = Disk()
    writer = Writer(disk.commit)
    first = asyncio.create_task(writer.write(ending("a")))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    results = await asyncio.gather(first, *(writer.write(ending(name)) for name in ("b", "gone", "c")))
    assert disk.batches == [["a"], ["b", "gone", "c"]]
    assert results == [True, True, False, True]


async def test_a_failure_is_told_to_those_of_its_commit_alone() -> None:
    disk = Disk()
    writer = Writer(disk.commit)
    with pytest.raises(OSError, match="full"):
        await writer.write(ending("bad"))
    assert await writer.write(ending("a"))


async def test_a_change_is_written_though_its_caller_was_cancelled() -> None:
    disk = Disk()
    writer = Writer(disk.commit)
    writing = asyncio.create_task(writer.write(ending("a")))
    await asyncio.sleep(0)
    writing.cancel()
    assert await writer.write(ending("b"))
    assert [name for batch in disk.batches for name in batch] == ["a", "b"]
