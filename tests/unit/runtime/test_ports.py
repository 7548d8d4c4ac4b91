import os
import random
import socket
from collections.abc import Iterator

import pytest

from cluster.errors import PortTaken, StartFailed
from cluster.runtime.ports import HIGHEST, LOWEST, Listener, claim, exposed, free_block, holder, is_free


@pytest.fixture
def taken() -> Iterator[int]:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        yield server.getsockname()[1]


def test_a_listening_port_is_not_free_though_it_reuses(taken: int) -> None:
    assert not is_free(taken)


def test_a_port_shared_by_so_reuseport_is_not_free() -> None:
    with socket.socket() as server:
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        server.bind(("127.0.0.1", 0))
        server.listen()
        assert not is_free(server.getsockname()[1])


def test_a_taken_port_is_refused_and_its_holder_named(taken: int) -> None:
    with pytest.raises(PortTaken) as caught:
        claim(taken, "127.0.0.1")
    assert f"pid {os.getpid()}" in caught.value.message


def test_a_wildcard_bind_is_refused_where_loopback_is_taken(taken: int) -> None:
    with pytest.raises(PortTaken):
        claim(taken, "0.0.0.0")


def test_an_address_of_another_machine_cannot_be_bound() -> None:
    with pytest.raises(StartFailed, match="not an address of this machine"):
        claim(free_block(16), "203.0.113.7")


def test_a_free_port_is_claimed_without_a_word_and_stays_free() -> None:
    port = free_block(16)
    for host in ("127.0.0.1", "0.0.0.0"):
        claim(port, host)
        assert is_free(port, host), "a claim looks, it does not take"


def test_nobody_holds_a_free_port() -> None:
    assert holder(free_block(16)) is None


def test_blocks_lie_below_the_ephemeral_range_and_differ() -> None:
    first, second = free_block(rng=random.Random(1)), free_block(rng=random.Random(2))
    assert first != second
    assert all(LOWEST <= block < HIGHEST for block in (first, second))


def test_only_what_other_machines_reach_is_exposed() -> None:
    hosts = ["127.0.0.1", "::1", "::ffff:127.0.0.1", "::", "0.0.0.0", "192.0.2.4"]
    listeners = [Listener(host=host, port=port) for port, host in enumerate(hosts)]
    assert [item.host for item in exposed(listeners)] == ["::", "0.0.0.0", "192.0.2.4"]
    assert [item.host for item in exposed(listeners, allowed=[3, 4])] == ["192.0.2.4"]
