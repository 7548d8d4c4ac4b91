"""Which pages a browser may send here: those of this server, and those that the settings list.

A browser sends requests of any page to any address, loopback too, and names the page in `Origin`. What is not
a browser sends none.
"""

import ipaddress
from collections.abc import Collection

from cluster.errors import OriginNotAllowed

DEFAULT_PORTS = {"http": "80", "https": "443"}


def check_origin(origin: str | None, host: str, allowed: Collection[str]) -> None:
    """Raises OriginNotAllowed for a page of another site. host: the request's `Host`."""
    if origin is None or origin in allowed:
        return
    scheme, _, authority = origin.partition("://")
    port = DEFAULT_PORTS.get(scheme)
    if port is None or _with_port(authority, port) != _with_port(host, port):
        raise OriginNotAllowed(
            f"Pages of {origin[:128]} may not ask here", hint="gateway.cors_origins lists those that may"
        )


def check_local_host(host: str) -> None:
    """Raises OriginNotAllowed for a public name in `Host`, where authentication is off.

    A page of evil.example can let its own name point to 127.0.0.1: its requests then come from the same
    origin, and only the name gives them away.
    """
    name = host.rpartition(":")[0] if _has_port(host) else host
    name = name.strip("[]").lower()
    if "." not in name or name.endswith((".localhost", ".local", ".internal")) or _is_address(name):
        return
    raise OriginNotAllowed(
        f"{name[:128]!r} is not a name of this machine", hint="ask 127.0.0.1, or set auth.mode: on"
    )


def _with_port(authority: str, port: str) -> str:
    authority = authority.lower()
    return authority if _has_port(authority) else f"{authority}:{port}"


def _has_port(authority: str) -> bool:
    before, _, after = authority.rpartition(":")
    return after.isdigit() and (":" not in before or before.endswith("]"))


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
