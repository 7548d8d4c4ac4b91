"""What may be followed. A subscription ends with its client, with its subject, and with the asker's credentials."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing

import strawberry
from graphql import GraphQLError

from cluster.stores.stream_sessions import StreamSession as Session
from deployments.gateway.conversations import stream
from deployments.gateway.conversations.stream import Told
from deployments.gateway.graphql import conversations, models, runs
from deployments.gateway.graphql.asking import Asking, Info, asking
from deployments.gateway.graphql.conversations import Answer, StreamSession
from deployments.gateway.graphql.inputs import MessageInput, names_as_sent
from deployments.gateway.graphql.models import Event
from deployments.gateway.graphql.runs import BatchStatus
from deployments.gateway.models.routes import known

QUIET_S = 15.0  # one call of the fleet waits so long for something to happen
LOOK_S = 1.0  # between two looks at a batch


@strawberry.type(description="One step of an answer: session comes first, then the deltas, and done is the last.")
class MessageEvent:
    """See the description."""

    number: int | None = strawberry.field(description="Counts up: `after` takes it.")
    kind: str = strawberry.field(description="session, delta or done.")
    text: str | None = strawberry.field(default=None, description="Of a delta.")
    session: StreamSession | None = strawberry.field(default=None, description="Of the first and the last event.")
    answer: Answer | None = strawberry.field(default=None, description="Of the last event.")

    @classmethod
    def of(cls, told: Told) -> "MessageEvent":
        """An event as the REST routes tell it. Raises GraphQLError for one that says that the answer failed."""
        if told.kind == stream.ERROR_EVENT:
            error = told.data["error"]
            raise GraphQLError(error["message"], extensions={"code": error["code"], "hint": error["hint"]})
        if told.kind == stream.DELTA:
            return cls(number=told.number, kind=told.kind, text=told.data["text"])
        if told.kind == stream.SESSION:
            return cls(number=told.number, kind=told.kind, session=StreamSession.of(told.data))
        answer = Answer.of(told.data)
        return cls(number=told.number, kind=told.kind, session=answer.session, answer=answer)


@strawberry.type
class Subscription:
    """Each field follows what its REST route streams, with the same rights."""

    @strawberry.subscription(description="Say something, and read the answer as it comes.")  # type: ignore[untyped-decorator]
    async def stream_message(self, info: Info, input: MessageInput) -> AsyncGenerator[MessageEvent, None]:  # noqa: A002 - GraphQL's
        """`POST /api/v1/conversations/{id}/messages`."""
        asked = asking(info, "POST", conversations.PATH)
        with names_as_sent():
            session, _ = await asked.desks.conversations.say(
                input.conversation_id,
                input.body(stream=True),
                request_id=asked.request_id,
                principal=asked.principal,
            )
        async with aclosing(_told(asked, session, 0)) as events:
            async for event in events:
                yield event

    @strawberry.subscription(description="Read an answer that is on its way, or ended, after an event of it.")  # type: ignore[untyped-decorator]
    async def stream_session(
        self,
        info: Info,
        id: strawberry.ID,  # noqa: A002 - the API's
        after: int = 0,
    ) -> AsyncGenerator[MessageEvent, None]:
        """`GET /api/v1/stream-sessions/{id}/events`."""
        asked = asking(info, "GET", conversations.SESSIONS)
        session = await asked.desks.conversations.session(id, asked.owner)
        async with aclosing(_told(asked, session, after)) as events:
            async for event in events:
                yield event

    @strawberry.subscription(
        description="What happens to models: what has happened after an event, then what comes."
    )  # type: ignore[untyped-decorator]
    async def model_status(
        self,
        info: Info,
        id: strawberry.ID | None = None,  # noqa: A002 - the API's
        after: int = 0,
    ) -> AsyncGenerator[Event, None]:
        """`GET /api/v1/models/events`, of one model where one is named."""
        asked = asking(info, "GET", models.FLEET)
        available, fleet = models.fleet_of(asked)
        name = None if id is None else known(available, id, asked.principal)
        while True:
            for event in await fleet.changed(after, QUIET_S):
                after = event.number
                if name in {None, event.model} and asked.principal.may_ask(event.model):
                    yield models.shown(event)

    @strawberry.subscription(description="How far a batch is, at each change until its end.")  # type: ignore[untyped-decorator]
    async def batch_progress(self, info: Info, id: strawberry.ID) -> AsyncGenerator[BatchStatus, None]:  # noqa: A002 - the API's
        """`batchStatus`, looked at once a second."""
        last: BatchStatus | None = None
        while last is None or not last.done:
            status = await runs.status_of(info.context, id)
            if status != last:
                yield status
            last = status
            if not status.done:
                await asyncio.sleep(LOOK_S)


async def _told(asked: Asking, session: Session, after: int) -> AsyncGenerator[MessageEvent, None]:
    async with aclosing(asked.desks.conversations.sessions.follower.told(session, after=after)) as news:
        async for events in news:
            for event in events:
                yield MessageEvent.of(event)
