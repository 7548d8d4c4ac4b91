"""The stream sessions of a gateway: begun by a question, run by tasks of their own, stopped from anywhere."""

import asyncio
import json
import secrets
from collections.abc import Iterable, Iterator, Mapping
from contextvars import Context
from typing import Any

from cluster.errors import Unavailable
from cluster.settings.routing import AUTO
from cluster.settings.tree import Settings
from cluster.stores.conversations import Conversation, Message
from cluster.stores.stream_sessions import ACTIVE, Question, StreamSession
from deployments.clients import Backends
from deployments.gateway import timing
from deployments.gateway.auth.guard import ASKER, Asker, Guard
from deployments.gateway.chats import Chats, CheckedChat
from deployments.gateway.conversations.generation import Generation, Prompt
from deployments.gateway.conversations.history import Room, history, tokens_per_byte
from deployments.gateway.conversations.live import Live
from deployments.gateway.conversations.recorder import Recorder
from deployments.gateway.conversations.records import Records, Stores
from deployments.gateway.conversations.stream import Follower
from deployments.gateway.conversations.wire import MessageRequest
from deployments.gateway.principal import Principal
from deployments.gateway.routing import journey
from deployments.gateway.routing.auto_policy import Need

STOPPED = "stopped_by_client"
SERVER_SHUTDOWN = "server_shutdown"
STOP_WAIT_S = 2.0  # for a stop to be seen and stored: ten times what it takes
STOP_POLL_S = 0.05
TITLE = 60  # characters of a question that become the title of a conversation without one


class Sessions:
    """Runs answers, and finds them again."""

    def __init__(self, backends: Backends, settings: Settings, chats: Chats, records: Records) -> None:
        self._first = next(iter(backends.models), "")
        self._settings = settings.conversations
        self._limits = settings.limits
        self._chats = chats
        self._records = records
        self._recorder = Recorder(records, settings.conversations)
        self._tasks: set[asyncio.Task[None]] = set()
        self._closing = False
        self.follower = Follower(records, self._recorder, settings.conversations)

    async def begin(
        self, conversation_id: str, wanted: MessageRequest, *, request_id: str, principal: Principal
    ) -> tuple[StreamSession, Live]:
        """Store a question and begin to answer it.

        Nothing is stored where it raises: ConversationNotFound, ConversationBusy, what `Chats.check` raises,
        Overloaded, and Unavailable while this gateway shuts down.
        """
        if self._closing:
            raise Unavailable("This gateway is shutting down", hint="ask again", retry_after_s=1)
        owner = principal.owner
        content: Any = wanted.model_dump(mode="json", include={"content"}, exclude_none=True)["content"]
        conversation, total, said = await self._records.do(
            lambda stores: self._said(stores, conversation_id, owner), settled=owner
        )
        journey.belongs_to(conversation_id)  # a model may have its turns answered by one replica
        model = await self._model(wanted, conversation, said, principal, request_id)
        past = history(conversation.system_prompt, said, content, unseen=total - len(said))
        room, provider = await self._room(model, said, wanted.limit, principal)
        prompt = Prompt(
            history=past.fitted(room),
            model=model,
            parameters=wanted.generation,
            request_id=request_id,
            principal=principal,
        )
        chat = await prompt.checked(self._chats)
        question = Question(
            conversation_id=conversation_id,
            owner=owner,
            content=json.dumps(content),
            model=model,
            provider=provider,
            title=_title(content),
            seen=said[-1].number if said else 0,
        )
        # Shielded: a client that hangs up right now must not leave a stored session that nobody runs.
        return await asyncio.shield(asyncio.ensure_future(self._start(question, prompt, chat)))

    async def stop(self, session_id: str, *, owner: str) -> StreamSession:
        """End a session, wherever it runs; one that has ended is let be. Raises StreamSessionNotFound.

        Returns it as it stands: it may be active still where its gateway does not answer.
        """
        session = await self.find(session_id, owner=owner)
        if session.status != ACTIVE:
            return session
        if (live := self._recorder.find(session_id)) is not None:
            live.stop(STOPPED)
        else:
            await self._records.do(
                lambda stores: stores.sessions.ask_to_stop(session_id, owner=owner, reason=STOPPED)
            )
        clock = asyncio.get_running_loop().time
        deadline = clock() + STOP_WAIT_S
        while session.status == ACTIVE and clock() < deadline:
            await asyncio.sleep(STOP_POLL_S)
            session = await self.find(session_id, owner=owner)
        return session

    async def find(self, session_id: str, *, owner: str) -> StreamSession:
        """One session as it stands. Raises StreamSessionNotFound."""
        return await self._records.do(lambda stores: stores.sessions.get(session_id, owner=owner), settled=owner)

    async def close(self) -> None:
        """End all sessions of this process, and wait until that is stored, as long as the settings allow."""
        self._closing = True
        for live in self._recorder.lives:
            live.stop(SERVER_SHUTDOWN)
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=self._settings.shutdown_s)

    async def _start(self, question: Question, prompt: Prompt, chat: CheckedChat) -> tuple[StreamSession, Live]:
        session = await self._records.do(lambda stores: self._begun(stores, question))
        live = Live(session.id, buffered=self._settings.buffered_events)
        self._recorder.add(live)
        run = self._run(live, Generation(self._chats, live, prompt, chat), ASKER.get())
        task = asyncio.create_task(run, context=_detached())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return session, live

    async def _run(self, live: Live, generation: Generation, asker: Asker | None) -> None:
        def cut() -> None:
            if (lost := guard.lost) is not None:
                live.stop(lost.code, lost)

        # The answer outlives its request, and a key that was revoked must not have it go on.
        with Guard(cut, asker=asker) as guard:
            ending = await generation.run()
        await self._recorder.end(live, ending)

    async def _model(
        self,
        wanted: MessageRequest,
        conversation: Conversation,
        said: tuple[Message, ...],
        principal: Principal,
        request_id: str,
    ) -> str:
        """The model that answers: the one that is named, else of the provider that was chosen, else the first."""
        auto = self._chats.auto
        named = wanted.model or conversation.model
        if named is None and auto.means(AUTO) and await auto.chosen.now() is not None:
            named = AUTO
        if named is None or not auto.means(named):
            return named or self._settings.model or self._first
        # What was said before is cut to the context, so its length asks nothing; its pictures are shown again.
        pictured = wanted.shows or any(part.get("type") == "image_url" for part in _parts(said))
        need = Need(images=pictured, parameters=frozenset(wanted.generation))
        return (await auto.of(need, principal, request_id=request_id)).model

    def _said(
        self, stores: Stores, conversation_id: str, owner: str
    ) -> tuple[Conversation, int, tuple[Message, ...]]:
        conversation = stores.conversations.get(conversation_id, owner=owner)
        total, said = stores.conversations.recent(
            conversation_id, max_messages=self._limits.max_messages, max_bytes=self._limits.max_body_bytes
        )
        return conversation, total, tuple(said)

    def _begun(self, stores: Stores, question: Question) -> StreamSession:
        return stores.sessions.begin(
            question,
            ids=(new_id("msg"), new_id("msg"), new_id("strm")),
            gateway=self._records.gateway,
            max_active=self._settings.max_active,
            kept=self._settings.kept_sessions,
        )

    async def _room(
        self, model: str, said: tuple[Message, ...], limit: int | None, principal: Principal
    ) -> tuple[Room, str]:
        """What a prompt of the model may hold, and who provides the model. Raises ModelNotFound, BadRequest."""
        card = await self._chats.card(model, principal)
        context = card.capabilities.context_length
        tokens = context - (limit if limit is not None else int(context * self._settings.answer_share))
        room = Room(
            tokens=tokens,
            # An answer of more than the whole context is refused by the engine, however little is asked.
            per_byte=tokens_per_byte(said, model) if tokens > 0 else None,
            messages=self._limits.max_messages,
            pictures=self._limits.max_images,
        )
        return room, card.engine


def _detached() -> Context:
    """A context outside of the request's: Ray cancels all that a request began when its client hangs up."""
    context = Context()
    if (watch := timing.current()) is not None:
        context.run(timing.attach, watch)
    return context


def new_id(kind: str) -> str:
    """An id that nobody can guess: `conv_`, `msg_` or `strm_` and 24 hex digits."""
    return f"{kind}_{secrets.token_hex(12)}"


def _parts(said: Iterable[Message]) -> Iterator[Mapping[str, Any]]:
    for message in said:
        yield from message.content if isinstance(message.content, list) else ()


def _title(content: str | list[Mapping[str, Any]]) -> str:
    text = content if isinstance(content, str) else " ".join(part.get("text", "") for part in content)
    words = " ".join(text.replace("\0", " ").split())
    return words if len(words) <= TITLE else words[: TITLE - 1] + "…"
