"""Which addresses of the network are public: what a stranger's URL may make this server connect to.

The lists are IANA's special-purpose registries, written out: Python's own `is_global` differs between its releases.
"""

import asyncio
import socket
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network

Resolve = Callable[[str, int], Awaitable[list[str]]]
"""The addresses of a host, in the order in which they are to be tried. Raises OSError or ValueError."""

RESOLVERS = 4  # names looked up at once: each holds a thread, and no limit of ours ends it
PRIVATE_V4 = tuple(
    IPv4Network(network)
    for network in (
        "0.0.0.0/8",  # this network
        "10.0.0.0/8",
        "100.64.0.0/10",  # shared by a carrier's customers; some clouds keep their metadata there
        "127.0.0.0/8",
        "168.63.129.16/32",  # public by its number, yet Azure's own service to its machines
        "169.254.0.0/16",  # link-local, and most clouds' metadata
        "172.16.0.0/12",
        "192.0.0.0/24",  # protocol assignments, and Oracle's metadata
        "192.0.2.0/24",  # documentation
        "192.88.99.0/24",  # 6to4 relays
        "192.168.0.0/16",
        "198.18.0.0/15",  # benchmarks
        "198.51.100.0/24",  # documentation
        "203.0.113.0/24",  # documentation
        "224.0.0.0/4",  # multicast
        "240.0.0.0/4",  # reserved, and broadcast
    )
)
PUBLIC_V6 = IPv6Network("2000::/3")  # all else is loopback, local, multicast, mapped, translated or not given out
PRIVATE_V6 = tuple(
    IPv6Network(network)
    for network in (
        "2001::/23",  # protocol assignments; Teredo, which wraps IPv4 addresses
        "2001:db8::/32",  # documentation
        "2002::/16",  # 6to4, which wraps IPv4 addresses
        "3fff::/20",  # documentation
    )
)

_threads = ThreadPoolExecutor(RESOLVERS, thread_name_prefix="resolve")  # none starts before the first name


def is_public(address: str) -> bool:
    """Whether an IP address belongs to the public internet. Raises ValueError for what is no IP address."""
    found = ip_network(ip_address(address.partition("%")[0]))
    if isinstance(found, IPv4Network):
        return not any(found.subnet_of(network) for network in PRIVATE_V4)
    return found.subnet_of(PUBLIC_V6) and not any(found.subnet_of(network) for network in PRIVATE_V6)


async def resolve(host: str, port: int) -> list[str]:
    """Ask the system, as a connection would; it reads addresses in hex, in octal and as one number, too."""
    look = lambda: socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)  # noqa: E731
    found = await asyncio.get_running_loop().run_in_executor(_threads, look)
    return [str(where[0]) for *_, where in found]
