import asyncio
import threading

import pytest

from deployments.gateway.lab.threads import AT_ONCE, KINDS, Turns
from tests.unit.waiting import until


async def test_long_work_leaves_the_databases_threads_free_and_comes_in_turns() -> None:
    """Exports, figures and scores together had taken every thread that the loop has."""
    go, lock, running, most = threading.Event(), threading.Lock(), [0], [0]

    def work() -> str:
        with lock:
            running[0] += 1
            most[0] = max(most[0], running[0])
        go.wait(60)
        with lock:
            running[0] -= 1
        return threading.current_thread().name

    turns = Turns()
    long = [asyncio.create_task(turns.take(work)) for _ in range(AT_ONCE * KINDS)]
    await until(lambda: running[0] == AT_ONCE)
    names = await asyncio.wait_for(asyncio.gather(*(asyncio.to_thread(int) for _ in range(50))), 30)
    assert (len(names), running[0]) == (50, AT_ONCE)
    go.set()
    assert all(name.startswith("lab") for name in await asyncio.gather(*long))
    assert most[0] == AT_ONCE


async def test_what_work_raises_is_raised() -> None:
    with pytest.raises(ZeroDivisionError):
        await Turns().take(lambda: 1 // 0)
