"""What a batch will take is told before it runs, and when it is created."""

from typing import Any

import httpx
import pytest

from cluster.stores.experiments import Experiments, Standing
from tests.unit.gateway.lab.house import House

SPEC: dict[str, Any] = {
    "name": "Cold and warm",
    "models": ["echo"],
    "prompts": [f"Say number {number}." for number in range(1, 9)],
    "parameters": {"temperature": [0, 0.5], "top_p": [0.5, 1.0], "max_tokens": [20]},
    "repeats": 3,
    "prices": {"echo": {"prompt": 1, "completion": 2}},
}
CELLS = 8 * 2 * 2 * 3


async def test_a_created_batch_says_what_it_will_take(house: House) -> None:
    made = (await house.client.post("/experiments/batch", json=SPEC)).json()
    assert (made["total_combinations"], made["estimated_duration"]) == (CELLS, None)
    told = made["estimate"]
    assert (told["cells"], told["prompts"], told["configurations"], told["anchors"]) == (CELLS, 8, 4, 0)
    assert told["answer_tokens"] == CELLS * 20
    assert told["prompt_tokens"] > CELLS * 4
    assert told["seconds"] is None
    assert 0 < told["cost_usd"] < 1
    assert told["smallest_effect"] > 0
    assert any("temperature 0" in note for note in made["notes"])


async def test_the_time_is_that_of_the_last_batch_of_the_same_models(house: House) -> None:
    first = (await house.client.post("/experiments/batch", json=SPEC)).json()["id"]
    experiments = Experiments(house.database)
    experiments.claim(first, "job")
    standing = Standing(
        completed=1, failed=0, cells_per_minute=48.0, current_parameters=None, summary=None,
        estimated_completion=None,
    )  # fmt: skip
    experiments.advance(first, None, standing)
    planned = (await house.client.post("/experiments/batch/plan", json=SPEC)).json()
    assert planned["estimate"]["seconds"] == 60 * CELLS / 48
    assert planned["estimated_duration"] is not None


async def test_a_plan_is_told_and_nothing_is_stored(house: House) -> None:
    planned = await house.client.post("/experiments/batch/plan", json=SPEC)
    assert planned.status_code == 200
    assert planned.json()["status"] == "planned"
    assert "id" not in planned.json()
    assert (await house.client.get("/experiments/batch")).json()["total"] == 0
    made = (await house.client.post("/experiments/batch", json=SPEC)).json()
    assert (
        made.items()
        >= {name: value for name, value in planned.json().items() if name not in ("status", "run_id")}.items()
    )
    stored = (await house.client.get(f"/experiments/batch/{made['id']}")).json()
    assert stored["run_id"] == planned.json()["run_id"]


async def test_the_seeds_body_is_planned_too(house: House) -> None:
    body = {"name": "n", "prompt": "p", "model": "echo", "parameter_ranges": {"temperature": [0.1, 0.2]}}
    told = (await house.client.post("/experiments/batch/plan", json=body)).json()
    assert (told["total_combinations"], told["estimate"]["smallest_effect"]) == (2, None)
    assert "1 prompt" in told["estimate"]["effect_note"] or told["estimate"]["effect_note"]


@pytest.mark.parametrize(
    ("changes", "status", "code"),
    [
        ({"repeats": 10**9}, 400, "plan_too_large"),
        ({"prompts": []}, 400, "empty_plan"),
        ({"models": ["nobody"]}, 404, "model_not_found"),
        ({"tags": ["a", "a"]}, 400, "invalid_request"),
        ({"description": "x" * 10_001}, 400, "invalid_request"),
        ({"parameters": {"temperature": {"min": 0, "max": 1, "step": 0}}}, 400, "invalid_request"),
    ],
)
async def test_what_cannot_be_created_cannot_be_planned(
    api: httpx.AsyncClient, changes: dict[str, Any], status: int, code: str
) -> None:
    for path in ("/experiments/batch", "/experiments/batch/plan"):
        answer = await api.post(path, json={**SPEC, **changes})
        assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)


async def test_a_plan_is_no_id(api: httpx.AsyncClient) -> None:
    assert (await api.get("/experiments/batch/plan")).status_code == 400
