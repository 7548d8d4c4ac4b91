"""What a client may not tell Serve's HTTP servers."""

from typing import Any

import pytest

from cluster.config import PROXY_SECRET
from cluster.runtime.ingress import Ingress, middlewares

PEER = ("127.0.0.1", 40_000)


async def passed(*headers: tuple[str, str], secret: str | None = "s3cret", kind: str = "http") -> dict[str, Any]:
    """The scope that Serve sees."""
    seen: list[Any] = []

    async def serve(scope: Any, receive: Any, send: Any) -> None:
        seen.append(scope)

    raw = [(name.encode(), value.encode()) for name, value in headers]
    await Ingress(serve, secret=secret)({"type": kind, "headers": raw, "client": PEER}, None, None)
    assert len(seen) == 1
    found: dict[str, Any] = seen[0]
    return found


@pytest.mark.parametrize(
    "name",
    [
        "x-request-disconnect-disabled",
        "serve_multiplexed_model_id",
        "serve-multiplexed-model-id",
        "serve-multiplexed_model-id",
        "x-heliostat-client",
    ],
)
@pytest.mark.parametrize("kind", ["http", "websocket"])
async def test_what_serve_would_obey_is_taken_out(name: str, kind: str) -> None:
    scope = await passed(("accept", "a"), (name, "?1"), ("x-session-id", "b"), kind=kind)
    assert scope["headers"] == [(b"accept", b"a"), (b"x-session-id", b"b")]
    assert scope["client"] == PEER


async def test_haproxy_says_who_the_client_is() -> None:
    scope = await passed(("x-heliostat-client", "s3cret 192.0.2.7 51515"), ("accept", "a"))
    assert scope["client"] == ("192.0.2.7", 51_515)
    assert scope["headers"] == [(b"accept", b"a")]


async def test_an_ipv6_client_keeps_its_address() -> None:
    scope = await passed(("x-heliostat-client", "s3cret 2001:db8::7 1"))
    assert scope["client"] == ("2001:db8::7", 1)


@pytest.mark.parametrize(
    "told", ["192.0.2.7 1", "wrong 192.0.2.7 1", "s3cre 192.0.2.7 1", "s3cret", "", " 192.0.2.7 1", "S3CRET 1 1"]
)
async def test_nobody_else_may_say_it(told: str) -> None:
    assert (await passed(("x-heliostat-client", told)))["client"] == PEER


async def test_without_a_proxy_of_ours_nobody_may_say_it() -> None:
    for told in ("None 192.0.2.7 1", " 192.0.2.7 1"):
        assert (await passed(("x-heliostat-client", told), secret=None))["client"] == PEER


async def test_a_forwarded_address_changes_nothing_here() -> None:
    scope = await passed(("x-forwarded-for", "192.0.2.9"))
    assert (scope["client"], scope["headers"]) == (PEER, [(b"x-forwarded-for", b"192.0.2.9")])


async def test_what_is_no_connection_passes() -> None:
    seen: list[Any] = []

    async def serve(scope: Any, receive: Any, send: Any) -> None:
        seen.append(scope)

    await Ingress(serve)({"type": "lifespan"}, None, None)
    assert seen == [{"type": "lifespan"}]


def test_serve_gets_it_with_the_nodes_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(PROXY_SECRET, "s3cret")
    (found,) = middlewares()
    assert (found.cls, found.kwargs) == (Ingress, {"secret": "s3cret"})
    monkeypatch.setenv(PROXY_SECRET, "")
    assert middlewares()[0].kwargs == {"secret": None}
