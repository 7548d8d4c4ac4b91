"""Batches whose rows are in Parquet as if they had run, with an effect that is known."""

import json
import math
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

from cluster.stores.experiments import COMPLETED, Experiments, Standing
from cluster.stores.runs import LOCAL_OWNER, Manifest, Run
from pipelines.sweeps.plan import Plan
from pipelines.sweeps.spec import read_spec
from tests.unit.gateway.lab.house import House

SPEC: dict[str, Any] = {
    "name": "Warm or cold",
    "models": ["echo"],
    "prompts": [f"Say number {number}." for number in range(1, 9)],
    "parameters": {"temperature": [0.2, 0.6, 1.0], "top_p": [0.9, 1.0]},
    "repeats": 2,
}
CELLS = 8 * 3 * 2 * 2


async def finished(
    house: House,
    *,
    key: str | None = None,
    failed: int = 0,
    days_ago: float = 0,
    score: str = "readability",
    **changes: Any,
) -> int:
    """A completed batch of SPEC; quality falls with temperature. failed: the first cells, which have errors.

    score: the name of one of its scores.
    """
    headers = {} if key is None else {"x-key": key}
    made = await house.client.post("/experiments/batch", json={**SPEC, **changes}, headers=headers)
    assert made.status_code == 201, made.text
    number = int(made.json()["id"])
    plan = Plan(spec=read_spec({**SPEC, **changes}), owner=key or LOCAL_OWNER)
    store(house, plan, failed=failed, days_ago=days_ago, score=score)
    experiments = Experiments(house.database)
    experiments.claim(number, "job")
    standing = Standing(
        completed=plan.total, failed=failed, cells_per_minute=60.0, current_parameters=None, summary=None,
        estimated_completion=None,
    )  # fmt: skip
    experiments.advance(number, None, standing)
    experiments.finish(number, None, status=COMPLETED)
    return number


def store(house: House, plan: Plan, *, failed: int = 0, days_ago: float = 0, score: str = "readability") -> None:
    """Write a run's rows."""
    run = Run(house.settings.home_path, plan.run_id)
    with run.held() as session:
        manifest = Manifest(
            run_id=plan.run_id, name=plan.spec.name, total=plan.total, models={}, created=time.time()
        )
        run.begin(plan.spec.canonical(), manifest)
        run.write(list(rows_of(plan, failed, days_ago, score)), session=session, block=0)


def rows_of(plan: Plan, failed: int, days_ago: float, score: str) -> Iterator[dict[str, Any]]:
    """The rows of a plan's cells."""
    started = datetime.now(UTC) - timedelta(days=days_ago)
    for cell in plan.cells():
        parameters = dict(cell.parameters)
        temperature = float(parameters.get("temperature", 0.5))
        quality = 90 - 20 * temperature + 3 * math.sin(cell.ordinal) + len(cell.prompt_id)
        row = {
            "run_id": cell.run_id,
            "cell_id": cell.id,
            "ordinal": cell.ordinal,
            "model": cell.model,
            "prompt_id": cell.prompt_id,
            "prompt_hash": cell.prompt_hash,
            "prompt": cell.text,
            "temperature": parameters.pop("temperature", None),
            "top_p": parameters.pop("top_p", None),
            "max_tokens": parameters.pop("max_tokens", None),
            "parameters": json.dumps(parameters),
            "repeat": cell.repeat,
            "started": started,
            "attempts": 1,
        }
        if cell.ordinal < failed:
            yield row | {"error_code": "engine_error", "error_message": "it broke"}
            continue
        scores = {
            "overall": quality,
            score: 50 + math.cos(cell.ordinal),
            "creativity": 40 + 30 * temperature,
        }
        yield row | {
            "text": f"=answer {cell.ordinal}",
            "finish_reason": "stop",
            "prompt_tokens": 5,
            "completion_tokens": 10 + cell.ordinal % 5,
            "ttft_ms": 10.0,
            "latency_ms": 100.0 + cell.ordinal % 7,
            "completeness": 90.0,
            "completeness_metric": "completeness/1",
            "scores": json.dumps(scores),
        }
