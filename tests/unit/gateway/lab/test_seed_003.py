"""Seed 003, path for path and shape for shape: what its examples show is there, with the types that they show."""

from pathlib import Path
from typing import Any

import pytest

from deployments.clients import Backends
from deployments.gateway.app import build_app
from deployments.gateway.auth.areas import area_of
from tests.unit.gateway.conftest import settings_with
from tests.unit.gateway.lab.house import House
from tests.unit.gateway.lab.stored_runs import CELLS

PATHS = [
    ("GET", "/api/experiments"),
    ("GET", "/api/experiments/{id}"),
    ("POST", "/api/experiments"),
    ("PUT", "/api/experiments/{id}"),
    ("DELETE", "/api/experiments/{id}"),
    ("POST", "/api/responses/generate"),
    ("GET", "/api/responses/{experimentId}"),
    ("GET", "/api/responses/single/{id}"),
    ("GET", "/api/metrics/{responseId}"),
    ("POST", "/api/metrics/batch"),
    ("POST", "/api/metrics/compare"),
    ("GET", "/api/export/{id}"),
    ("GET", "/api/export/{id}/csv"),
    ("GET", "/api/llm/provider"),
    ("POST", "/api/llm/provider/switch"),
    ("GET", "/api/llm/models"),
    ("GET", "/api/health"),
    ("POST", "/api/experiments/batch"),
    ("GET", "/api/experiments/batch"),
    ("GET", "/api/experiments/batch/{id}"),
    ("POST", "/api/experiments/batch/{id}/start"),
    ("GET", "/api/experiments/batch/{id}/status"),
    ("DELETE", "/api/experiments/batch/{id}"),
    ("GET", "/api/experiments/batch/{id}/analysis"),
    ("GET", "/api/experiments/batch/{id}/optimization"),
    ("GET", "/api/experiments/batch/{id}/insights"),
    ("GET", "/api/analytics/quality/trends"),
    ("GET", "/api/analytics/quality/breakdown"),
    ("GET", "/api/analytics/models/comparison"),
    ("GET", "/api/analytics/parameters/optimization"),
    ("GET", "/api/analytics/parameters/correlation"),
    ("GET", "/api/analytics/parameters/insights"),
    ("GET", "/api/experiments/{id}/progress"),
    ("GET", "/api/experiments/batch/{id}/progress"),
    ("POST", "/api/export/batch"),
    ("GET", "/api/export/analytics/{type}"),
    ("POST", "/api/export/custom"),
]
NUMBER = (int, float)
BATCH = {
    "name": "Temperature Analysis Batch",
    "description": "Testing temperature variations",
    "prompt": "Write a creative story about...",
    "model": "echo",
    "parameter_ranges": {
        "temperature": {"min": 0.1, "max": 1.0, "step": 0.1},
        "top_p": {"min": 0.8, "max": 1.0, "step": 0.05},
        "max_tokens": [150, 300, 500],
    },
    "response_count": 3,
}


def fits(value: Any, shape: Any) -> bool:
    """Whether a value has a shape: a type, several, a list of a shape, or an object with at least these keys."""
    if isinstance(shape, dict):
        return isinstance(value, dict) and all(key in value and fits(value[key], one) for key, one in shape.items())
    if isinstance(shape, list):
        return isinstance(value, list) and len(value) > 0 and all(fits(one, shape[0]) for one in value)
    return isinstance(value, shape) and not (isinstance(value, bool) and shape in (int, NUMBER))


def test_every_path_is_served_and_belongs_to_an_area() -> None:
    app = build_app(Backends(models={}), settings_with(stores={"database": "sqlite://"}))
    served = {(method, route.path) for route in app.routes for method in getattr(route, "methods", None) or ()}
    assert [one for one in PATHS if one not in served] == []
    assert [path for _, path in PATHS if path != "/api/health" and area_of(path) is None] == []


async def test_a_batch_is_created(house: House) -> None:
    made = await house.client.post("/experiments/batch", json=BATCH)
    shape = {"id": int, "status": str, "total_combinations": int, "created_at": str}
    assert fits(made.json(), shape)
    assert made.json()["estimated_duration"] is None  # nothing has run here, so nobody knows
    assert made.json()["total_combinations"] == 10 * 5 * 3 * 3


async def test_a_batchs_status(house: House) -> None:
    number = (await house.client.post("/experiments/batch", json=BATCH)).json()["id"]
    await house.client.post(f"/experiments/batch/{number}/start")
    status = (await house.client.get(f"/experiments/batch/{number}/status")).json()
    shape = {
        "id": int,
        "status": str,
        "progress": int,
        "completed_combinations": int,
        "total_combinations": int,
        "current_parameters": (dict, type(None)),
        "estimated_completion": (str, type(None)),
        "results_preview": (dict, type(None)),
    }
    assert fits(status, shape)


async def test_quality_trends(stored: tuple[House, int]) -> None:
    house, _ = stored
    query = {"timeframe": "30d", "experiment_type": "batch"}
    found = (await house.client.get("/analytics/quality/trends", params=query)).json()
    point = {
        "date": str,
        "average_quality": NUMBER,
        "experiment_count": int,
        "metrics": {"creativity": NUMBER, "readability": NUMBER},
    }
    trends = {"overall_direction": str, "improvement_rate": (float, type(None)), "best_performing_period": str}
    assert fits(found, {"timeframe": str, "data_points": [point], "trends": trends})
    assert (found["timeframe"], found["trends"]["overall_direction"]) == ("30d", "stable")


async def test_parameter_optimization(stored: tuple[House, int]) -> None:
    house, number = stored
    found = (await house.client.get("/analytics/parameters/optimization", params={"batch_id": number})).json()
    optimum = {"value": NUMBER, "confidence": NUMBER, "quality_impact": str}
    correlation = {"parameter_1": str, "parameter_2": str, "significance": (str, type(None))}
    advice = {"parameter": str, "current_range": str, "recommended_range": str, "reasoning": str}
    shape = {
        "batch_id": int,
        "optimal_parameters": {"temperature": optimum, "top_p": optimum},
        "parameter_correlations": [correlation],
        "recommendations": [advice],
    }
    assert fits(found, shape)
    assert (await house.client.get(f"/experiments/batch/{number}/optimization")).json().items() >= {
        key: found[key] for key in shape
    }.items()


@pytest.mark.parametrize(
    ("path", "shape"),
    [
        ("/analytics/quality/breakdown", {"overall": {"average_score": NUMBER}, "metrics": [{"metric": str}]}),
        (
            "/analytics/models/comparison",
            {"models": [{"model": str, "average_quality": NUMBER}], "comparisons": dict},
        ),
        ("/analytics/parameters/correlation", {"correlations": [{"parameter_1": str}], "parameters": [str]}),
        ("/analytics/parameters/optimization", {"optimal_parameters": dict}),
        ("/analytics/parameters/insights", {"insights": [{"text": str, "n": int, "p_adjusted": NUMBER}]}),
    ],
)
async def test_analytics_of_all_there_is(stored: tuple[House, int], path: str, shape: Any) -> None:
    house, _ = stored
    response = await house.client.get(path)
    assert response.status_code == 200
    assert fits(response.json(), shape)
    assert response.json()["cells"] == CELLS


async def test_a_batchs_analysis_and_insights(stored: tuple[House, int]) -> None:
    house, number = stored
    found = (await house.client.get(f"/experiments/batch/{number}/analysis")).json()
    shape = {
        "batch_id": int,
        "summary": {"best_quality_score": NUMBER, "average_quality_score": NUMBER, "verdict": str},
        "configurations": [{"mean": NUMBER, "low": NUMBER, "high": NUMBER, "prompts": int}],
        "parameter_analysis": {"effects": [{"name": str, "p_adjusted": NUMBER}], "levels": dict},
        "comparisons": {"pairs": [{"p_adjusted": NUMBER, "test": str}], "correction": str},
        "best": {"candidates": [{"p_best": NUMBER}]},
        "pareto_front": {"points": [{"membership": NUMBER}]},
        "variance": {"prompts_share": NUMBER},
        "parameter_correlations": [{"parameter_1": str}],
        "detectable_effect": {"alpha": NUMBER, "effect": NUMBER},
    }
    assert fits(found, shape)
    insights = (await house.client.get(f"/experiments/batch/{number}/insights")).json()
    assert fits(insights, {"batch_id": int, "insights": [{"text": str, "test": str, "low": NUMBER}]})


async def test_health_is_told_without_credentials_and_the_provider_is_named(tmp_path: Path) -> None:
    import httpx

    settings = settings_with(home=str(tmp_path), stores={"database": "sqlite://"})
    app = build_app(Backends(models={}), settings)
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://gateway/api") as client:
        assert fits((await client.get("/health")).json(), {"status": str, "timestamp": str})
        assert fits((await client.get("/llm/provider")).json(), {"provider": str, "providers": list})
        assert fits((await client.get("/llm/models")).json(), {"models": list})
