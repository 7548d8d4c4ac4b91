"""Bounds of single fields and headers."""

from collections.abc import Callable
from typing import Any

import pytest
from fastapi import FastAPI

from deployments.gateway.limits.header_limit import HeaderLimit
from tests.unit.gateway.conftest import client_of


@pytest.mark.parametrize(
    ("field", "value", "param"),
    [
        ("user", "u" * 513, "user"),
        ("metadata", {str(number): "x" for number in range(17)}, "metadata"),
        ("metadata", {"key": "x" * 513}, "metadata.key"),
        ("metadata", {"k" * 65: "x"}, None),
        ("stop", "s" * 1025, "stop"),
    ],
)
async def test_a_field_that_is_too_long_is_named(
    ask: Callable[..., Any], field: str, value: Any, param: Any
) -> None:
    response = await ask(**{field: value})
    assert response.status_code == 400
    named = response.json()["error"]["param"]
    assert named.startswith("metadata") if param is None else named == param


async def test_headers_over_the_bound_are_refused_and_those_within_pass() -> None:
    app = FastAPI()
    app.add_middleware(HeaderLimit, max_bytes=2000)
    async with client_of(app) as client:
        assert (await client.get("/openapi.json", headers={"x-a": "a" * 1500})).status_code == 200
        refused = await client.get("/v1/models", headers={"x-a": "a" * 1000, "x-b": "b" * 1000})
    assert refused.status_code == 431
    assert refused.json()["error"]["code"] == "headers_too_large"
    assert "2000 bytes" in refused.json()["error"]["message"]
