"""Experiments and batches as GraphQL shows them: what runs by itself, and how far it is."""

from collections.abc import Mapping
from typing import Any, Self

import strawberry

from cluster.errors import ExperimentNotFound
from cluster.stores.batches import ACTIVE, Batch
from cluster.stores.experiments import PENDING, RUNNING
from cluster.stores.experiments import Experiment as Stored
from deployments.gateway.graphql.asking import Asking, Info, asking
from deployments.gateway.graphql.filled import filled
from deployments.gateway.graphql.scalars import Json, Moment
from deployments.gateway.lab.batch_shown import whole

EXPERIMENTS, BATCHES = "/api/experiments", "/v1/batches"


@strawberry.type(description="A batch experiment: a sweep over parameters.")
class Experiment:
    """See the description."""

    id: strawberry.ID
    name: str
    description: str
    models: list[str]
    parameter_ranges: Json
    response_count: int
    seeds: Json | None
    run_id: str
    status: str = strawberry.field(description="pending, running, completed, failed or cancelled.")
    progress: int = strawberry.field(description="Percent.")
    completed_combinations: int
    failed_combinations: int
    total_combinations: int
    current_parameters: Json | None
    results_preview: Json | None
    error_message: str | None
    estimated_completion: Moment | None
    started_at: Moment | None
    completed_at: Moment | None
    created_at: Moment
    updated_at: Moment

    @strawberry.field(description="The prompts; there may be thousands.")  # type: ignore[untyped-decorator]
    async def prompts(self, info: Info) -> list[str]:
        """Looked up for those that ask."""
        asked = asking(info, "GET", EXPERIMENTS)
        found = await asked.desks.experiments.find(int(self.id), asked.principal)
        return list(whole(found)["prompts"])

    @classmethod
    def of(cls, said: Mapping[str, Any]) -> Self:
        """An experiment as the REST routes show it."""
        return filled(cls, said, id=strawberry.ID(str(said["id"])))


@strawberry.type(description="Some of the experiments that you see, the newest first.")
class ExperimentPage:
    """See the description."""

    items: list[Experiment]
    total: int
    limit: int
    offset: int


@strawberry.type(description="How far a batch is: one of `/v1/batches`, or an experiment.")
class BatchStatus:
    """See the description."""

    id: strawberry.ID
    kind: str = strawberry.field(description="requests: of /v1/batches. experiment: of /api/experiments.")
    status: str
    progress: int = strawberry.field(description="Percent of what there is to do.")
    completed: int = strawberry.field(description="Requests that were answered, or cells that have a row.")
    failed: int
    total: int = strawberry.field(description="0 until it is known.")
    done: bool = strawberry.field(description="Whether nothing will change any more.")
    error_message: str | None
    output_file_id: str | None
    error_file_id: str | None

    @classmethod
    def of_requests(cls, batch: Batch) -> Self:
        """A batch of `/v1/batches`."""
        ended = batch.completed + batch.failed
        return cls(
            id=strawberry.ID(batch.id),
            kind="requests",
            status=batch.status,
            progress=100 * ended // max(1, batch.total),
            completed=batch.completed,
            failed=batch.failed,
            total=batch.total,
            done=batch.status not in ACTIVE,
            error_message=next((str(problem.get("message")) for problem in batch.problems), None),
            output_file_id=batch.output_file_id,
            error_file_id=batch.error_file_id,
        )

    @classmethod
    def of_experiment(cls, found: Stored) -> Self:
        """A sweep."""
        return cls(
            id=strawberry.ID(str(found.id)),
            kind="experiment",
            status=found.status,
            progress=found.progress,
            completed=found.completed_combinations,
            failed=found.failed_combinations,
            total=found.total_combinations,
            done=found.status not in {PENDING, RUNNING},
            error_message=found.error_message,
            output_file_id=None,
            error_file_id=None,
        )


def number_of(identity: str) -> int:
    """An experiment's number. Raises ExperimentNotFound for what is none."""
    if not is_number(identity):
        hint = "GET /api/experiments/batch lists all"
        raise ExperimentNotFound(f"No experiment with the id {identity[:64]!r}", hint=hint)
    return int(identity)


def is_number(identity: str) -> bool:
    """Whether an id is an experiment's: those of batches have a prefix."""
    return identity.isascii() and identity.isdigit() and len(identity) <= 10


async def status_of(asked: Asking, identity: str) -> BatchStatus:
    """A batch, of either kind, as it stands. Raises BatchNotFound, ExperimentNotFound, PermissionDenied."""
    if is_number(identity):
        asked.admit("GET", EXPERIMENTS)
        return BatchStatus.of_experiment(await asked.desks.experiments.find(int(identity), asked.principal))
    asked.admit("GET", BATCHES)
    return BatchStatus.of_requests(await asked.desks.batches.find(identity, asked.owner))
