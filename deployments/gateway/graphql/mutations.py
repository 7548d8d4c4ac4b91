"""What may be changed. A field that fails is null; those before it have happened."""

from typing import Any

import strawberry
from pydantic_core import to_json

from deployments.gateway.graphql import conversations, models, runs
from deployments.gateway.graphql.asking import Asking, Info, asking
from deployments.gateway.graphql.conversations import Answer, Conversation
from deployments.gateway.graphql.inputs import BatchInput, ConversationInput, MessageInput, names_as_sent
from deployments.gateway.graphql.models import Model
from deployments.gateway.graphql.runs import BatchStatus
from deployments.gateway.models.routes import LoadRequest, UnloadRequest, known
from deployments.gateway.openai.batches import create_batch
from deployments.gateway.parsing import parse


@strawberry.type
class Mutation:
    """Each field does what its REST route does, with the same rights."""

    @strawberry.mutation(description="Load a model, and wait until it is there.")  # type: ignore[untyped-decorator]
    async def load_model(
        self,
        info: Info,
        id: strawberry.ID,  # noqa: A002 - the API's
        pin: bool | None = None,
        keep_alive: str | None = None,
    ) -> Model | None:
        """`POST /api/v1/models/{id}/load`. keep_alive: seconds, `10m`, 0 at once, -1 never."""
        asked = asking(info, "POST", models.FLEET)
        with names_as_sent():
            wanted = parse(LoadRequest, to_json({"pin": pin, "keep_alive": keep_alive}))
        available, fleet = models.fleet_of(asked)
        name = known(available, id, asked.principal)
        keep_alive_s = None if wanted.keep_alive is None else float(wanted.keep_alive)
        await fleet.load(name, pin=wanted.pin, keep_alive_s=keep_alive_s)
        return await models.found(asked, id)

    @strawberry.mutation(description="Unload a model; force: also while requests use it, which end with an error.")  # type: ignore[untyped-decorator]
    async def unload_model(
        self,
        info: Info,
        id: strawberry.ID,  # noqa: A002 - the API's
        force: bool = False,
    ) -> Model | None:
        """`POST /api/v1/models/{id}/unload`."""
        asked = asking(info, "POST", models.FLEET)
        wanted = parse(UnloadRequest, to_json({"force": force}))
        available, fleet = models.fleet_of(asked)
        await fleet.unload(known(available, id, asked.principal), force=wanted.force)
        return await models.found(asked, id)

    @strawberry.mutation(description="Begin a conversation.")  # type: ignore[untyped-decorator]
    async def create_conversation(self, info: Info, input: ConversationInput | None = None) -> Conversation | None:  # noqa: A002 - GraphQL's
        """`POST /api/v1/conversations`."""
        asked = asking(info, "POST", conversations.PATH)
        wanted = (input or ConversationInput()).body()
        return Conversation.of(await asked.desks.conversations.create(wanted, asked.principal))

    @strawberry.mutation(description="Say something, and wait for the whole answer.")  # type: ignore[untyped-decorator]
    async def send_message(self, info: Info, input: MessageInput) -> Answer | None:  # noqa: A002 - GraphQL's
        """`POST /api/v1/conversations/{id}/messages`, with stream false."""
        asked = asking(info, "POST", conversations.PATH)
        desk = asked.desks.conversations
        with names_as_sent():
            session, live = await desk.say(
                input.conversation_id,
                input.body(stream=False),
                request_id=asked.request_id,
                principal=asked.principal,
            )
        return Answer.of(await desk.whole(session, live))

    @strawberry.mutation(description="Start a batch; batchStatus and batchProgress tell how far it is.")  # type: ignore[untyped-decorator]
    async def start_batch(self, info: Info, input: BatchInput) -> BatchStatus | None:  # noqa: A002 - GraphQL's
        """`POST /v1/batches`, or `POST /api/experiments/batch` and its `/start`."""
        asked = info.context
        if input.requests:
            asked.admit("POST", runs.BATCHES)
            with names_as_sent():
                batch = await create_batch(asked.desks.batches, input.requests.body(), asked.connection)
            return BatchStatus.of_requests(batch)
        asked.admit("POST", runs.EXPERIMENTS)
        if isinstance(input.experiment, str):
            number = runs.number_of(input.experiment)
        else:
            number = await _created(asked, input.spec)
        return BatchStatus.of_experiment(await asked.desks.experiments.start(number, asked.principal))


async def _created(asked: Asking, spec: Any) -> int:
    made = await asked.desks.experiments.create(to_json(spec), asked.principal)
    return int(made["id"])
