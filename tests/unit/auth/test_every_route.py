"""Every route of the whole app: without credentials it answers 401, and each is in the table of rights."""

from collections.abc import Iterator
from typing import Any

import pytest
from fastapi import FastAPI
from starlette.routing import BaseRoute, Mount, WebSocketRoute
from starlette.testclient import TestClient, WebSocketDenialResponse

from cluster.types import Health
from deployments.clients import Backends
from deployments.gateway.app import build_app
from deployments.gateway.auth.areas import OPEN, SAYS_LATER, area_of, is_open
from tests.unit.auth.conftest import auth_settings
from tests.unit.gateway.conftest import LocalEmbedder, client_of

LITERALLY_OPEN = {
    ("GET", "/"),
    ("HEAD", "/"),
    ("GET", "/health"),
    ("HEAD", "/health"),
    ("GET", "/api/health"),
    ("HEAD", "/api/health"),
    ("POST", "/api/v1/auth/login"),
    ("POST", "/api/v1/auth/refresh"),
}

LITERALLY_OPEN_PAGES = {(method, path) for method in ("GET", "HEAD") for path in ("/ui", "/ui/{path:path}")}

LITERALLY_LATER = {"/graphql"}


def walked(routes: list[BaseRoute], prefix: str = "") -> Iterator[tuple[str, BaseRoute]]:
    for route in routes:
        path = prefix + getattr(route, "path", "")
        if isinstance(route, Mount):
            yield f"{path}/some/file", route
            yield from walked(list(route.routes), path)
        else:
            yield path, route


def filled(path: str) -> str:
    """A path with something in its braces."""
    parts = path.split("{")
    return parts[0] + "".join("1" + part.partition("}")[2] for part in parts[1:])


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> FastAPI:
    class NoRetriever:
        async def health(self) -> Health:
            return Health(status="running")

    settings = auth_settings().model_copy(update={"home": str(tmp_path_factory.mktemp("home"))})
    backends = Backends(models={}, embedder=LocalEmbedder(), retriever=NoRetriever())  # type: ignore[arg-type]
    return build_app(backends, settings)


async def test_every_route_is_closed_by_its_methods_and_others(whole: FastAPI) -> None:
    found = list(walked(whole.routes))
    assert len(found) > 30
    async with client_of(whole) as client:
        for path, route in found:
            if isinstance(route, WebSocketRoute):
                continue
            for method in {"GET", "POST", *(getattr(route, "methods", None) or ())}:
                answer = await client.request(method, filled(path))
                if (method, path) in LITERALLY_OPEN | LITERALLY_OPEN_PAGES:
                    assert answer.status_code != 401 or "login" in path or "refresh" in path, (method, path)
                else:
                    assert answer.status_code == 401, (method, path)


def test_every_websocket_is_closed(whole: FastAPI) -> None:
    client = TestClient(whole, base_url="http://gateway")
    sockets = {path for path, route in walked(whole.routes) if isinstance(route, WebSocketRoute)}
    assert SAYS_LATER == LITERALLY_LATER <= sockets  # tests/unit/gateway/graphql/test_rights.py has those
    for path in [*(sockets - LITERALLY_LATER), "/no/such/socket"]:
        with pytest.raises(WebSocketDenialResponse) as refused, client.websocket_connect(filled(path)):
            pass
        assert refused.value.status_code == 401, path


async def test_a_path_that_does_not_exist_is_closed_too(whole: FastAPI) -> None:
    async with client_of(whole) as client:
        for path in (
            "/nothing",
            "http://gateway//health",
            "/health/",
            "/HEALTH",
            "/health%00",
            "/v1/%2e%2e/health",
            "/docs",
        ):
            answer = await client.get(path)
            assert answer.status_code == 401, path


def test_every_route_is_in_the_table_of_rights(whole: FastAPI) -> None:
    """A route that is in no area is an admin's alone: add its prefix to deployments/gateway/auth/areas.py."""
    open_paths = {path for _, path in OPEN}
    assert [path for path, _ in walked(whole.routes) if path not in open_paths and area_of(path) is None] == []


def test_what_is_open_is_what_this_test_says() -> None:
    assert OPEN == LITERALLY_OPEN
    for path in ("/ui", "/ui/", "/ui/assets/index.js", "/ui/../v1/models"):  # which no route but the pages' has
        assert [method for method in ("GET", "HEAD", "POST", "PUT", "DELETE") if is_open(method, path)] == [
            "GET",
            "HEAD",
        ]
    for path in ("/uix", "/UI", "/v1/ui", "//ui"):
        assert not is_open("GET", path)


async def test_secure_headers(whole: FastAPI) -> None:
    from fastapi.responses import HTMLResponse

    from deployments.gateway.middleware import RequestIds

    page: Any = RequestIds(HTMLResponse("<p>hello</p>"))
    async with client_of(page) as client:
        headers = (await client.get("/")).headers
    assert headers["x-frame-options"] == "DENY"
    assert headers["content-security-policy"] == "frame-ancestors 'none'"
    async with client_of(whole) as client:
        plain = (await client.get("/v1/models")).headers
        secret = (await client.get("/api/v1/keys")).headers
    assert (plain["referrer-policy"], plain["x-content-type-options"]) == ("no-referrer", "nosniff")
    assert "cache-control" not in plain
    assert secret["cache-control"] == "no-store"
