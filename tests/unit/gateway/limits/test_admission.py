"""Requests that really wait for a model."""

import asyncio

import pytest

from cluster.errors import Overloaded
from cluster.types import Priority
from deployments.gateway.limits.admission import ModelQueue
from deployments.gateway.limits.fair_queue import FairQueue

PERSON, BATCH = Priority.INTERACTIVE, Priority.BACKGROUND


def model_queue(at_once: int = 1, *, most_waiting: int | None = None, max_wait_s: float = 60.0) -> ModelQueue:
    places = FairQueue(at_once=at_once, background_places=at_once, most_waiting=most_waiting)
    return ModelQueue("echo", places, max_wait_s=max_wait_s)


async def waits(queue: ModelQueue, owner: str = "a", priority: Priority = PERSON) -> asyncio.Task[float]:
    """A request that waits, its task started."""
    task = asyncio.create_task(queue.enter(owner, priority, 1.0))
    await asyncio.sleep(0)
    assert not task.done()
    return task


async def test_with_a_free_place_nobody_waits() -> None:
    assert await model_queue().enter("a", PERSON, 1.0) == 0.0


async def test_who_waits_is_let_in_by_who_leaves_and_knows_how_long_it_took() -> None:
    queue = model_queue()
    await queue.enter("a", PERSON, 1.0)
    task = await waits(queue)
    await asyncio.sleep(0.005)
    queue.leave(PERSON)
    assert 0.004 < await task < 1
    assert (queue.running, queue.waiting) == (1, 0)


async def test_a_cancelled_request_waits_no_longer() -> None:
    queue = model_queue()
    await queue.enter("a", PERSON, 1.0)
    gone, stays = await waits(queue), await waits(queue)
    gone.cancel()
    await asyncio.wait({gone})
    assert queue.waiting == 1
    queue.leave(PERSON)
    await stays
    queue.leave(PERSON)
    assert (queue.running, queue.waiting) == (0, 0)


async def test_a_place_that_comes_in_the_moment_of_the_cancellation_is_passed_on() -> None:
    queue = model_queue()
    await queue.enter("a", PERSON, 1.0)
    gone, next_one = await waits(queue), await waits(queue)
    queue.leave(PERSON)  # the place is the first one's now, whose task has not run since
    gone.cancel()
    await asyncio.wait({gone, next_one})
    assert gone.cancelled()
    assert next_one.result() >= 0
    assert queue.running == 1


async def test_a_place_is_not_given_to_one_that_was_cancelled_just_before() -> None:
    queue = model_queue()
    await queue.enter("a", PERSON, 1.0)
    gone, next_one = await waits(queue), await waits(queue)
    gone.cancel()
    queue.leave(PERSON)
    await asyncio.wait({gone, next_one})
    assert next_one.result() >= 0
    assert queue.running == 1


async def test_a_full_queue_refuses_with_the_time_to_come_back() -> None:
    queue = model_queue(most_waiting=0)
    await queue.enter("a", PERSON, 1.0)
    with pytest.raises(Overloaded, match="Too many requests wait for echo") as refused:
        await queue.enter("b", PERSON, 1.0)
    assert refused.value.retry_after_s == 1.0
    assert (queue.running, queue.waiting) == (1, 0)


async def test_whoever_has_most_waiting_gives_way_to_a_newcomer() -> None:
    queue = model_queue(most_waiting=2)
    await queue.enter("a", PERSON, 1.0)
    first, second = await waits(queue, "greedy"), await waits(queue, "greedy")
    modest = await waits(queue, "modest")
    with pytest.raises(Overloaded):
        await second
    queue.leave(PERSON)
    await first
    queue.leave(PERSON)
    await modest


async def test_a_person_waits_only_so_long_and_a_batch_as_long_as_it_likes() -> None:
    queue = model_queue(max_wait_s=0.01)
    await queue.enter("a", PERSON, 1.0)
    batch = await waits(queue, priority=BATCH)
    with pytest.raises(Overloaded, match=r"No place came free in 0\.01 s"):
        await queue.enter("a", PERSON, 1.0)
    assert not batch.done()
    queue.leave(PERSON)
    await batch


async def test_thousands_that_come_go_and_give_up_leave_nothing_behind() -> None:
    queue = model_queue(3)

    async def request(number: int) -> None:
        priority = BATCH if number % 5 == 0 else PERSON
        await queue.enter(f"owner-{number % 7}", priority, 1.0 + number % 3)
        try:
            await asyncio.sleep(0)
        finally:
            queue.leave(priority)

    tasks = [asyncio.create_task(request(number)) for number in range(2000)]
    for turn in range(0, 2000, 3):
        await asyncio.sleep(0)
        tasks[turn].cancel()
    await asyncio.wait(tasks)
    assert (queue.running, queue.waiting) == (0, 0)
