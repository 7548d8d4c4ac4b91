"""A page of another origin may ask, and read what it needs of an answer, where the config names its origin."""

from typing import Any

import pytest

from deployments.clients import Backends
from deployments.gateway.app import EXPOSED, build_app
from tests.unit.gateway.conftest import client_of, settings_with

PAGE = "https://app.example"


async def headers_for(model: Any, origin: str) -> Any:
    settings = settings_with(gateway={"cors_origins": [PAGE]}, stores={"database": "sqlite://"})
    app = build_app(Backends(models={"echo": model}), settings)
    async with client_of(app) as client:
        return (await client.get("/v1/models", headers={"origin": origin})).headers


@pytest.mark.parametrize("name", ["etag", "location", "retry-after", "x-request-id", "x-total-rows", "x-warnings"])
async def test_a_named_page_can_read_what_an_answer_tells_beside_its_body(model: Any, name: str) -> None:
    found = await headers_for(model, PAGE)
    assert found["access-control-allow-origin"] == PAGE
    assert name in found["access-control-expose-headers"].split(", ")
    assert name in EXPOSED


async def test_another_page_can_read_nothing(model: Any) -> None:
    found = await headers_for(model, "https://other.example")
    assert "access-control-allow-origin" not in found
