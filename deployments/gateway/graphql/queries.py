"""What may be asked. A field that fails is null, with its error beside the data."""

import strawberry

from deployments.gateway.graphql import conversations, models, runs
from deployments.gateway.graphql.asking import Info, asking, checked_page
from deployments.gateway.graphql.conversations import Conversation, ConversationPage, MessagePage
from deployments.gateway.graphql.models import Model
from deployments.gateway.graphql.runs import BatchStatus, Experiment, ExperimentPage
from deployments.gateway.lab.batch_shown import whole


@strawberry.type
class Query:
    """Each field asks what its REST route asks, with the same rights."""

    @strawberry.field(description="The models that may be asked for, loaded or not.")  # type: ignore[untyped-decorator]
    async def available_models(self, info: Info) -> list[Model] | None:
        """`GET /v1/models`, with what the fleet says of them."""
        return await models.available(asking(info, "GET", "/v1/models"))

    @strawberry.field(description="One model, by any of its names; asking for it loads nothing.")  # type: ignore[untyped-decorator]
    async def model(self, info: Info, id: strawberry.ID) -> Model | None:  # noqa: A002 - the API's
        """`GET /v1/models/{id}`."""
        return await models.found(asking(info, "GET", "/v1/models"), id)

    @strawberry.field(description="Your conversations, what changed last first.")  # type: ignore[untyped-decorator]
    async def conversations(self, info: Info, limit: int = 50, offset: int = 0) -> ConversationPage | None:
        """`GET /api/v1/conversations`."""
        return await conversations.page_of(asking(info, "GET", conversations.PATH), limit, offset)

    @strawberry.field(description="One of your conversations.")  # type: ignore[untyped-decorator]
    async def conversation(self, info: Info, id: strawberry.ID) -> Conversation | None:  # noqa: A002 - the API's
        """`GET /api/v1/conversations/{id}`."""
        asked = asking(info, "GET", conversations.PATH)
        return Conversation.of(await asked.desks.conversations.find(id, asked.owner))

    @strawberry.field(description="A conversation's messages, the oldest first.")  # type: ignore[untyped-decorator]
    async def messages(
        self, info: Info, conversation_id: strawberry.ID, limit: int = 100, offset: int = 0
    ) -> MessagePage | None:
        """`GET /api/v1/conversations/{id}/messages`."""
        asked = asking(info, "GET", conversations.PATH)
        return await conversations.messages_of(asked, conversation_id, limit, offset)

    @strawberry.field(description="The experiments that you see, the newest first.")  # type: ignore[untyped-decorator]
    async def experiments(self, info: Info, limit: int = 50, offset: int = 0) -> ExperimentPage | None:
        """`GET /api/experiments/batch`."""
        asked = asking(info, "GET", runs.EXPERIMENTS)
        checked_page(limit, offset)
        found = await asked.desks.experiments.page(limit, offset, asked.principal)
        items = [Experiment.of(one) for one in found["experiments"]]
        return ExperimentPage(items=items, total=found["total"], limit=limit, offset=offset)

    @strawberry.field(description="One experiment.")  # type: ignore[untyped-decorator]
    async def experiment(self, info: Info, id: strawberry.ID) -> Experiment | None:  # noqa: A002 - the API's
        """`GET /api/experiments/batch/{id}`."""
        asked = asking(info, "GET", runs.EXPERIMENTS)
        found = await asked.desks.experiments.find(runs.number_of(id), asked.principal)
        return Experiment.of(whole(found))

    @strawberry.field(description="How far a batch is: one of /v1/batches, or an experiment by its number.")  # type: ignore[untyped-decorator]
    async def batch_status(self, info: Info, id: strawberry.ID) -> BatchStatus | None:  # noqa: A002 - the API's
        """`GET /v1/batches/{id}`, or `GET /api/experiments/batch/{id}/status`."""
        return await runs.status_of(info.context, id)
