"""Ports: which are free, who holds one, and a block of its own for every cluster.

Ray Serve binds with SO_REUSEPORT, so two clusters on one port start without a word and the kernel splits the
traffic between them: that is why ports are looked at before anything starts.
"""

import errno
import random
import socket
from collections.abc import Iterable
from dataclasses import dataclass

from cluster.errors import PortTaken, StartFailed

BLOCK = 256  # one cluster's ports: 16 named ones, the rest for the replicas' own HTTP and gRPC servers
LOWEST, HIGHEST = 11_000, 32_500  # below Linux's ephemeral range (32768…), so no outgoing connection takes one
LOOPBACK = frozenset({"127.0.0.1", "::1", "::ffff:127.0.0.1", "localhost"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Listener:
    """A process that listens. pid, name: None where another user's process hides them."""

    host: str
    port: int
    pid: int | None = None
    name: str | None = None

    @property
    def loopback(self) -> bool:
        """Whether only this machine can reach it."""
        return is_loopback(self.host)

    def __str__(self) -> str:
        who = f"{self.name} (pid {self.pid})" if self.pid else "another process"
        return f"{who} on {self.host}:{self.port}"


def is_loopback(host: str) -> bool:
    """Whether an address is reachable from this machine only."""
    return host in LOOPBACK or host.startswith(("127.", "::ffff:127."))


def is_free(port: int, host: str = "127.0.0.1") -> bool:
    """Whether nobody listens on host:port. Binds for an instant, without SO_REUSEPORT."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        # A connection of the last cluster in TIME_WAIT is no listener.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
            probe.listen(1)
        except OSError as error:
            if error.errno in {errno.EADDRINUSE, errno.EACCES}:
                return False
            raise
    return True


def holder(port: int) -> Listener | None:
    """Who listens on the port, as far as this user may see."""
    import psutil

    for connection in psutil.net_connections(kind="inet"):
        if connection.status == psutil.CONN_LISTEN and connection.laddr and connection.laddr.port == port:
            return _listener(connection.laddr.ip, port, connection.pid)
    return None


def claim(port: int, host: str) -> None:
    """Make sure that the port can be had. Raises PortTaken, naming who listens where that is known."""
    try:
        free = is_free(port, host)
    except OSError as error:
        raise StartFailed(
            f"http_options.host {host!r} is not an address of this machine: {error.strerror}", hint="127.0.0.1"
        ) from None
    # A listener on another interface would still share the port with a wildcard bind.
    other = holder(port) if free and not is_loopback(host) else None
    if free and other is None:
        return
    who = other or holder(port)
    raise PortTaken(
        f"port {port} is taken by {who}" if who else f"port {port} is taken",
        hint="another --port, or stop what listens there",
    )


def free_block(size: int = BLOCK, *, rng: random.Random | None = None) -> int:
    """The first of `size` consecutive ports on which nobody listens. Raises StartFailed when none is found."""
    rng = rng or random.Random()  # noqa: S311 - spreads clusters over the range, no secret
    starts = list(range(LOWEST, HIGHEST - size, size))
    rng.shuffle(starts)
    taken = _taken()
    for start in starts:
        if taken.isdisjoint(range(start, start + size)) and all(
            is_free(start + offset) for offset in range(min(16, size))
        ):
            return start
    raise StartFailed(
        f"no {size} consecutive ports between {LOWEST} and {HIGHEST} are free", hint="stop other clusters"
    )


def _taken() -> set[int]:
    import psutil

    return {item.laddr.port for item in psutil.net_connections(kind="inet") if item.laddr}


def exposed(listeners: Iterable[Listener], *, allowed: Iterable[int] = ()) -> tuple[Listener, ...]:
    """The listeners that other machines can reach, but for the ports that are meant to be."""
    meant = set(allowed)
    return tuple(item for item in listeners if not item.loopback and item.port not in meant)


def _listener(host: str, port: int, pid: int | None) -> Listener:
    import psutil

    name = None
    if pid is not None:
        try:
            name = psutil.Process(pid).name()
        except psutil.Error:
            pid = None
    return Listener(host=host, port=port, pid=pid, name=name)
