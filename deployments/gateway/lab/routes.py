"""All routes of the lab, of one gateway."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import APIRouter, FastAPI

from deployments.gateway.lab import analytics, batch_responses, batches, experiments, exports, metrics, responses
from deployments.gateway.lab.desks import Lab
from deployments.gateway.lab.threads import Turns
from deployments.gateway.lab.warm import warm


def routers(lab: Lab) -> tuple[APIRouter, ...]:
    """The routes under `/api` of seed 003."""

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        warming = asyncio.create_task(Turns().take(warm))
        yield
        warming.cancel()
        await lab.generations.close()

    return (
        # Before the routes of single experiments, whose `{id}` would take the word `batch` for one.
        batches.routes_of(lab.batches),
        batch_responses.router(lab.batch_responses),
        analytics.batch_router(lab.analytics),
        experiments.router(lab.experiments),
        responses.router(lab.responses),
        metrics.router(lab.metrics),
        analytics.router(lab.analytics),
        exports.router(lab.exports, lab.analytics),
        APIRouter(lifespan=lifespan),
    )
