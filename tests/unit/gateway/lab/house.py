"""A gateway with the lab alone, over the scripted engine, a database in memory and jobs that never run."""

from pathlib import Path
from typing import Any

import httpx
from fastapi import FastAPI

from cluster.errors import NotFound
from cluster.settings.tree import Settings
from cluster.stores.database import open_database
from cluster.stores.experiments import Experiments
from deployments.clients import Backends, ChatModel, Embedder
from deployments.gateway import errors
from deployments.gateway.chats import Chats
from deployments.gateway.lab import routes
from deployments.gateway.lab.batch_desk import Desk as Batches
from deployments.gateway.lab.desks import open_lab
from deployments.gateway.middleware import RequestIds
from deployments.gateway.principal import Principal, Role
from deployments.gateway.surface import take
from tests.unit.gateway.conftest import settings_with, started
from tests.unit.gateway.limits.conftest import Known

WHO = {
    "ann": Principal(id="ann-key", owner="ann", role=Role.USER),
    "bob": Principal(id="bob", owner="bob", role=Role.USER),
    "root": Principal(id="root", owner="root", role=Role.ADMIN),
}
EXPERIMENT: dict[str, Any] = {
    "name": "Warmth",
    "prompt": "one two three",
    "temperature_min": 0.1,
    "temperature_max": 0.3,
    "temperature_step": 0.1,
    "top_p_min": 0.9,
    "top_p_max": 1.0,
    "top_p_step": 0.1,
    "max_tokens": 20,
    "response_count": 2,
}
CELLS = 3 * 2 * 2


class Jobs:
    """Jobs that never run."""

    def __init__(self) -> None:
        self.submitted: dict[str, list[str]] = {}

    def submit(self, arguments: list[str], *, submission_id: str, metadata: dict[str, str]) -> None:
        self.submitted[submission_id] = arguments

    def ended(self, submission_id: str) -> str | None:
        if submission_id not in self.submitted:
            raise NotFound("no such job")
        return None

    def stop(self, submission_id: str) -> None:
        self.submitted.pop(submission_id, None)


class House:
    """One gateway. Who asks is in the header x-key; nobody is an admin of all."""

    def __init__(self, model: ChatModel, home: Path, *, embedder: Embedder | None = None, **changes: Any) -> None:
        self.settings: Settings = settings_with(home=str(home), stores={"database": "sqlite://"}, **changes)
        self.database = open_database(self.settings.database_url)
        self.jobs = Jobs()
        self.models = {"echo": model}
        backends = Backends(models=self.models, embedder=embedder)
        chats = Chats(backends, self.settings)
        self.batches = Batches(self.settings, backends.models, Experiments(self.database), self.jobs)
        self.app = FastAPI(openapi_url=None)
        errors.install(self.app)
        lab = open_lab(backends, self.settings, chats, self.database, batches=self.batches)
        self.generations = lab.generations
        take(self.app, *routes.routers(lab))
        self.app.add_middleware(Known, keys=WHO)
        self.app.add_middleware(RequestIds)
        transport = httpx.ASGITransport(self.app, raise_app_exceptions=False)
        self.client = httpx.AsyncClient(transport=transport, base_url="http://gateway/api")

    async def experiment(self, **changes: Any) -> int:
        """A new experiment's id."""
        made = await self.client.post("/experiments", json={**EXPERIMENT, **changes})
        assert made.status_code == 201, made.text
        return int(made.json()["id"])

    async def generated(self, **changes: Any) -> tuple[int, list[dict[str, Any]]]:
        """A new experiment, and its answers."""
        number = await self.experiment(**changes)
        body = {"experiment_id": number, "model": "echo"}
        answer = await self.client.post("/responses/generate", json=body)
        assert answer.status_code == 201, answer.text
        return number, answer.json()["responses"]


async def opened(home: Path, script: dict[str, Any] | None = None, **changes: Any) -> House:
    """A house over an engine that is started."""
    return House(await started(**(script or {})), home, **changes)
