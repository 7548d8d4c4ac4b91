"""Runs first in every worker of a cluster of our own: Serve's replica-to-replica server moves to loopback.

Ray 2.60 binds that gRPC server to `[::]:0`, whatever the node's address, with no setting for it; it unpickles
what it receives and asks for no token, so on a reachable interface it runs anybody's code. Ray's worker setup hook
(`worker_setup`) calls `bind` before Serve imports the helper changed here.
"""

from typing import Any

WILDCARD, LOOPBACK = "[::]:", "127.0.0.1:"


def bind() -> None:
    """Make Ray's helper bind to loopback where it was asked for every interface."""
    from ray._common import tls_utils

    original = tls_utils.add_port_to_grpc_server

    def add_port_to_grpc_server(server: Any, address: str) -> Any:
        return original(server, here(address))  # type: ignore[no-untyped-call]

    tls_utils.add_port_to_grpc_server = add_port_to_grpc_server


def here(address: str) -> str:
    """The same port on loopback, for a wildcard address; any other address unchanged."""
    return LOOPBACK + address.removeprefix(WILDCARD) if address.startswith(WILDCARD) else address
