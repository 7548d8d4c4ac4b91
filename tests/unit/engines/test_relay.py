import asyncio

import pytest

from cluster.engines.completions import Delta
from cluster.engines.relay import Relay


async def said(relay: Relay) -> list[Delta]:
    return [delta async for delta in relay.deltas()]


async def test_what_a_thread_says_arrives_in_order_and_ends_with_a_reason() -> None:
    relay = Relay((), index=2)

    def thread() -> None:
        for word in ("one ", "two ", "three"):
            relay.say(word)
        relay.end("length")

    await asyncio.to_thread(thread)
    found = await said(relay)
    assert "".join(delta.text for delta in found) == "one two three"
    assert sum(delta.tokens for delta in found) == 3
    assert {delta.index for delta in found} == {2}
    assert [delta.finish_reason for delta in found] == [None, None, None, "length"]


async def test_a_stop_string_halts_the_thread_and_is_never_shown() -> None:
    relay = Relay(("END",), index=0)
    relay.say("hello E")
    assert not relay.halted
    relay.say("ND and more")
    assert relay.halted
    relay.say("never")
    relay.end("length")
    found = await said(relay)
    assert "".join(delta.text for delta in found) == "hello "
    assert found[-1].finish_reason == "stop"


async def test_a_beginning_of_a_stop_string_that_led_nowhere_is_text() -> None:
    relay = Relay(("END",), index=0)
    relay.say("hello EN")
    relay.end("stop")
    assert "".join(delta.text for delta in await said(relay)) == "hello EN"


async def test_a_failure_is_raised_where_it_is_read() -> None:
    relay = Relay((), index=0)
    relay.say("a")
    relay.fail(ValueError("broken"))
    with pytest.raises(ValueError, match="broken"):
        await said(relay)
