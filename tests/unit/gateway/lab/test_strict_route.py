"""A parameter of the query that a route does not know is named; none is ignored."""

from typing import Any

import pytest
from fastapi.routing import APIRoute

from deployments.gateway.lab.strict_route import StrictRoute
from tests.unit.gateway.lab.house import House

SEED = {  # of seed 003's examples
    "/api/analytics/quality/trends": {"timeframe", "experiment_type"},
    "/api/analytics/parameters/optimization": {"batch_id"},
}


def test_every_route_of_the_lab_is_strict(stored: tuple[House, int]) -> None:
    routes = [route for route in stored[0].app.routes if isinstance(route, APIRoute)]
    assert len(routes) > 30
    assert [route.path for route in routes if not isinstance(route, StrictRoute)] == []


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/experiments"),
        ("POST", "/experiments"),
        ("GET", "/experiments/batch"),
        ("GET", "/experiments/batch/1/status"),
        ("GET", "/experiments/batch/1/responses"),
        ("DELETE", "/experiments/batch/1"),
        ("GET", "/responses/1"),
        ("POST", "/metrics/compare"),
        ("GET", "/analytics/quality/trends"),
        ("POST", "/export/custom"),
    ],
)
async def test_an_unknown_parameter_is_named_with_those_that_are_known(
    stored: tuple[House, int], method: str, path: str
) -> None:
    answer = await stored[0].client.request(method, path, params={"experiment_typ": "batch"})
    error = answer.json()["error"]
    assert (answer.status_code, error["param"]) == (400, "experiment_typ")
    assert error["hint"].startswith(("known: ", "this path takes none"))


async def test_what_the_seed_asks_with_is_known(stored: tuple[House, int]) -> None:
    house, number = stored
    values = {"timeframe": "30d", "experiment_type": "batch", "batch_id": str(number)}
    for path, names in SEED.items():
        query = {name: values[name] for name in names}
        assert (await house.client.get(path.removeprefix("/api"), params=query)).status_code == 200


@pytest.mark.parametrize(
    ("query", "status"),
    [("limit=1&limit=2", 400), ("tag=a&tag=b", 200), ("", 200), ("limit=", 400), ("%00=1", 400), ("=1", 400)],
)
async def test_one_value_is_given_once_and_lists_again(stored: tuple[House, int], query: str, status: int) -> None:
    answer = await stored[0].client.get(f"/experiments?{query}")
    assert answer.status_code == status
    if query.startswith("limit=1"):
        assert answer.json()["error"]["param"] == "limit"


async def test_a_very_long_name_is_not_sent_back_whole(stored: tuple[House, int]) -> None:
    error: dict[str, Any] = (await stored[0].client.get("/experiments", params={"x" * 5000: "1"})).json()["error"]
    assert len(error["param"]) == 64
