"""Stored sweeps of any size with made-up answers, for `lab.py`: as a run leaves them, without a model."""

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
from sqlalchemy import Engine, text

from cluster.stores.experiments import COMPLETED, Experiments, Standing
from cluster.stores.runs import Manifest, Run
from pipelines.sweeps.plan import Plan
from pipelines.sweeps.spec import read_spec

SCORES = (
    *("overall", "completeness", "coherence", "readability", "structure"),
    *("specificity", "creativity", "relevance", "diversity", "fluency"),
)
FEATURES = tuple(f"{name}_{kind}" for name in ("words", "lines", "lists", "links") for kind in ("count", "share"))
BLOCK = 5_000  # rows of a part
TALE = "a mirror turns with the sun and sends its light to one tower where salt is hot at night"
WORDS = TALE.split()


@dataclass(kw_only=True)
class Stored:
    """One batch experiment. spec: its sweep's. plan: what its cells are. stored: rows so far."""

    id: int
    run: Run
    plan: Plan
    stored: int = 0
    random: np.random.Generator = field(default_factory=lambda: np.random.default_rng(0))


def spec_of(prompts: int, configurations: int, repeats: int, name: str) -> dict[str, Any]:
    """A sweep of that shape. configurations: 8, or a multiple of 25."""
    many = configurations >= 25
    return {
        "name": name,
        "models": ["echo"],
        "prompts": [f"{name}: say what the mirror number {number} does today." for number in range(prompts)],
        "parameters": {
            "temperature": [round(0.1 + 0.2 * place, 1) for place in range(5 if many else 4)],
            "top_p": [round(0.6 + 0.1 * place, 1) for place in range(5)] if many else [0.9, 1.0],
            "min_p": [round(0.01 * place, 2) for place in range(max(1, configurations // 25))],
        },
        "repeats": repeats,
        "scorers": ["completeness"],
    }


def stored_run(home: Path, engine: Engine, spec: dict[str, Any], *, left: int = 0) -> Stored:
    """An experiment with all its rows in one part, as a sweep that is over leaves them.

    left: so many cells less, and it counts as running.
    """
    plan = Plan(spec=read_spec(spec))
    made = Experiments(engine).create(
        name=plan.spec.name, description="", spec=plan.spec.canonical(), run_id=plan.run_id, total=plan.total
    )
    stored = Stored(id=made.id, run=Run(home, plan.run_id), plan=plan)
    with stored.run.held() as session:
        about = Manifest(run_id=plan.run_id, name=plan.spec.name, total=plan.total, models={}, created=time.time())
        stored.run.begin(plan.spec.canonical(), about)
        rows = list(rows_of(stored, 0, plan.total - left))
        for begin in range(0, len(rows), BLOCK):
            stored.run.write(rows[begin : begin + BLOCK], session=session, block=begin // BLOCK)
        stored.run.compact(session)
    Experiments(engine).claim(made.id, "none")
    with engine.begin() as connection:  # of no job that Ray could be asked for
        connection.execute(text("UPDATE batch_experiments SET submission_id = NULL"))
    stored.stored = plan.total - left
    advance(engine, stored)
    if not left:
        Experiments(engine).finish(made.id, None, status=COMPLETED)
    return stored


def grow(engine: Engine, stored: Stored, rows: int) -> None:
    """Store some more cells as a part, and note it."""
    session = (stored.run.folder / "session").read_text(encoding="utf-8")
    made = list(rows_of(stored, stored.stored, stored.stored + rows))
    stored.run.write(made, session=session, block=1)
    stored.stored += rows
    advance(engine, stored)


def advance(engine: Engine, stored: Stored) -> None:
    """Note how far it is, as its driver does each second."""
    summary = {"best_quality_score": 80.0, "average_quality_score": 60.0}
    standing = Standing(
        completed=stored.stored, failed=0, cells_per_minute=6000.0, current_parameters={"temperature": 0.1},
        summary=summary, estimated_completion=None,
    )  # fmt: skip
    Experiments(engine).advance(stored.id, None, standing)


def rows_of(stored: Stored, begin: int, end: int) -> Iterator[dict[str, Any]]:
    """The rows of some of the plan's cells. One in a hundred failed; quality falls with temperature."""
    random = stored.random
    began = datetime.now(UTC) - timedelta(days=3)
    for cell in stored.plan.cells():
        if not begin <= cell.ordinal < end:
            continue
        parameters = dict(cell.parameters)
        row = {
            "run_id": cell.run_id,
            "cell_id": cell.id,
            "ordinal": cell.ordinal,
            "model": cell.model,
            "model_revision": "r",
            "engine": "scripted",
            "engine_version": "1",
            "prompt_id": cell.prompt_id,
            "prompt_hash": cell.prompt_hash,
            "prompt": cell.text,
            "temperature": (warm := float(parameters.pop("temperature"))),
            "top_p": parameters.pop("top_p"),
            "max_tokens": parameters.pop("max_tokens", None),
            "parameters": json.dumps(parameters, sort_keys=True),
            "repeat": cell.repeat,
            "seed": int(random.integers(2**63)),
            "started": began + timedelta(seconds=cell.ordinal * 2),
            "attempts": 1,
        }
        if random.random() < 0.01:
            yield row | {"error_code": "engine_error", "error_message": "it broke"}
            continue
        length = min(600, int(random.lognormal(3.7, 0.8)) + 3)  # words
        values = 60 - 8 * warm + 10 * random.standard_normal(len(SCORES))
        scores = {name: round(float(value), 4) for name, value in zip(SCORES, np.clip(values, 0, 100), strict=True)}
        yield row | {
            "text": " ".join(WORDS[place] for place in random.integers(len(WORDS), size=length)),
            "finish_reason": "stop",
            "prompt_tokens": 17,
            "completion_tokens": length,
            "ttft_ms": float(random.gamma(4, 10)),
            "latency_ms": float(random.gamma(4, 10) + 5 * length),
            "completeness": scores["completeness"],
            "completeness_metric": "completeness/1",
            "cost": round(1e-6 * length, 8),
            "scores": json.dumps(scores),
            "score_versions": json.dumps(dict.fromkeys(SCORES, "1")),
            "features": json.dumps({name: round(float(random.random()) * length, 3) for name in FEATURES}),
        }
