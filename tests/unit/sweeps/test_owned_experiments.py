"""Experiments are their owner's, and admins'."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from sqlalchemy import Engine, text

from cluster.config import resolve
from cluster.stores.database import open_database
from cluster.stores.experiments import Experiments
from deployments.gateway import errors
from deployments.gateway.lab import batches
from deployments.gateway.principal import Principal, Role
from deployments.gateway.surface import take
from tests.unit.gateway.limits.conftest import Known
from tests.unit.sweeps.driving import House
from tests.unit.sweeps.test_experiments_api import Jobs, database, jobs  # noqa: F401 - fixtures
from tests.unit.sweeps.test_session import SPEC
from tests.unit.sweeps.test_spec import BATCH

ANN = Principal(id="ann-key", owner="ann", role=Role.USER)
WHO = {
    "ann": ANN,
    "ann's other key": Principal(id="other", owner="ann", role=Role.USER),
    "bob": Principal(id="bob", owner="bob", role=Role.USER),
    "root": Principal(id="root", owner="root", role=Role.ADMIN),
    "local": Principal(id="k", owner="local", role=Role.USER),
}


@pytest.fixture
async def api(jobs: Jobs, database: Engine) -> AsyncIterator[httpx.AsyncClient]:  # noqa: F811
    settings = resolve({"models": [{"id": "gpt-4", "engine": {"kind": "scripted"}}]}, {})
    app = FastAPI()
    errors.install(app)
    take(app, batches.router(settings, {"gpt-4": None}, database, jobs))  # type: ignore[dict-item]
    app.add_middleware(Known, keys=WHO)
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://x/api/experiments") as client:
        yield client


async def made(api: httpx.AsyncClient, who: str) -> str:
    answer = await api.post("/batch", json=BATCH, headers={"x-key": who})
    assert answer.status_code == 201
    return f"/batch/{answer.json()['id']}"


async def listed(api: httpx.AsyncClient, who: str) -> tuple[int, int]:
    found = (await api.get("/batch", headers={"x-key": who})).json()
    return found["total"], len(found["experiments"])


async def statuses(api: httpx.AsyncClient, path: str, who: str) -> set[int]:
    """Of all that may be done with one, deleting it last."""
    asked = [("GET", path), ("GET", f"{path}/status"), ("POST", f"{path}/start"), ("DELETE", path)]
    return {(await api.request(method, url, headers={"x-key": who})).status_code for method, url in asked}


async def test_anothers_experiment_does_not_exist(api: httpx.AsyncClient, jobs: Jobs) -> None:  # noqa: F811
    path = await made(api, "ann")
    assert await statuses(api, path, "bob") == {404}
    assert (await api.get(path, headers={"x-key": "bob"})).json()["error"]["code"] == "experiment_not_found"
    assert (await listed(api, "bob"), jobs.submitted) == ((0, 0), {})


@pytest.mark.parametrize("who", ["ann", "ann's other key", "root"])
async def test_its_owners_and_admins_do_with_it_what_they_like(api: httpx.AsyncClient, who: str) -> None:
    path = await made(api, "ann")
    await made(api, "bob")
    assert await listed(api, who) == ((2, 2) if who == "root" else (1, 1))
    assert await statuses(api, path, who) == {200}


async def test_nobody_cancels_anothers_running_experiment(api: httpx.AsyncClient, jobs: Jobs) -> None:  # noqa: F811
    path = await made(api, "ann")
    await api.post(f"{path}/start", headers={"x-key": "ann"})
    assert (await api.delete(path, headers={"x-key": "bob"})).status_code == 404
    assert jobs.stopped == []


async def test_an_answer_names_no_owner(api: httpx.AsyncClient) -> None:
    path = await made(api, "ann")
    found: dict[str, Any] = (await api.get(path, headers={"x-key": "ann"})).json()
    assert "owner" not in found


async def test_what_is_older_than_owners_is_locals(tmp_path: Any) -> None:
    url = f"sqlite:///{tmp_path / 'old.db'}"
    engine = open_database(url)
    old = Experiments(engine).create(name="n", description="", spec="{}", run_id="r", total=1)
    with engine.begin() as connection:
        connection.execute(text("DROP INDEX batch_experiments_owner"))
        connection.execute(text("ALTER TABLE batch_experiments DROP COLUMN owner"))
    engine.dispose()
    again = Experiments(open_database(url))
    assert again.get(old.id, owner="local").owner == "local"
    assert again.page(limit=9, offset=0, owner="ann") == (0, [])
    assert again.page(limit=9, offset=0)[0] == 1


def test_two_who_ask_the_same_have_a_run_each(tmp_path: Path) -> None:
    """Who guessed somebody's spec had shared the run, and with it the answers."""
    house = House(tmp_path)
    runs = [house.run(SPEC, owner=owner) for owner in ("local", "ann", "bob")]
    assert len({outcome.run.id for outcome in runs}) == 3
    assert [outcome.taken_over for outcome in runs] == [0, 0, 0]
    assert [outcome.run.manifest().owner for outcome in runs] == ["local", "ann", "bob"]
    for outcome in runs:
        rows = outcome.run.table(["run_id", "cell_id"])
        assert set(rows.column("run_id").to_pylist()) == {outcome.run.id}
    assert house.run(SPEC, owner="ann").ran == 0
    grown = {**SPEC, "repeats": SPEC.get("repeats", 1) + 1}
    assert house.run(grown, owner="ann").taken_over == runs[1].total
    assert house.run(grown, owner="carl").taken_over == 0
