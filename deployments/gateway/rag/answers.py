"""Grounded answers: the passages worth showing go to a chat model through `Chats`, or nobody is asked.

What a question may cost is settled before the search: it counts as one request of who asks, whether a model then
answers or not.
"""

import json
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from dataclasses import dataclass, replace
from typing import Any

from pydantic_core import from_json

from cluster.engines.remote.providers import Providers
from cluster.errors import BadRequest, ContextTooLong, ModelNotFound, ReplicaLost
from cluster.retrieval.relevance import Judged
from cluster.settings.routing import AUTO
from cluster.settings.tree import Settings
from cluster.types import Priority
from deployments.clients import Backends
from deployments.gateway.chats import Chats, CheckedChat
from deployments.gateway.limits import usage
from deployments.gateway.limits.usage import Estimate
from deployments.gateway.principal import Asker
from deployments.gateway.providers.naming import model_of
from deployments.gateway.rag import shown
from deployments.gateway.rag.citations import cite
from deployments.gateway.rag.events import Reading, event
from deployments.gateway.rag.searching import Searches
from deployments.gateway.rag.shown import Body
from deployments.gateway.rag.wire import QuestionRequest
from deployments.gateway.routing.auto_policy import Need
from pipelines.documents import grounding

NOTHING = Estimate(prompt=0, answer=0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What is asked, of which model, from which passages. confidence: of the best that was found, shown or not."""

    wanted: QuestionRequest
    model: str
    asker: Asker
    shown: tuple[Judged, ...]
    confidence: float


class Answers:
    """Answers questions from the documents."""

    def __init__(self, backends: Backends, settings: Settings, chats: Chats, searches: Searches) -> None:
        self._models = backends.models
        self._providers = backends.providers or Providers(settings)
        self._chats = chats
        self._searches = searches
        self._settings = settings.documents
        first = next((model.id for model in settings.chat_models), None)
        self._by_default = settings.documents.answer_model or first

    async def whole(self, wanted: QuestionRequest, asker: Asker) -> Body:
        """The answer with its citations. Raises what `Searches.find` and `Chats` raise."""
        question = await self._read(wanted, asker)
        if not question.shown:
            return self._told(question, self._abstention(question))
        while True:
            question, chat = await self._checked(question)
            try:
                answer = from_json(await self._chats.whole(chat))
            except ContextTooLong as error:
                question = _shorter(question, error)
                continue
            choice = answer["choices"][0]
            said = shown.answer(
                (choice["message"].get("content") or "").strip(),
                model=answer.get("model") or chat.wanted.model,  # a fallback may have answered
                finish_reason=choice["finish_reason"],
                usage=answer.get("usage"),
            )
            return self._told(question, said)

    async def events(self, wanted: QuestionRequest, asker: Asker) -> AsyncGenerator[bytes, None]:
        """The same as server-sent events (rag/events.py); closing it stops the generation."""
        question = await self._read(wanted, asker)
        if not question.shown:
            body = self._told(question, self._abstention(question))
            yield event("delta", {"text": body["answer"]}) + _ending(body)
            return
        while True:
            question, chat = await self._checked(question)
            reading = Reading()
            try:
                async with aclosing(_deltas(self._chats.events(chat), reading)) as deltas:
                    async for delta in deltas:
                        yield delta
            except ContextTooLong as error:
                if reading.text:
                    raise
                question = _shorter(question, error)
                continue
            said = shown.answer(
                reading.text,
                model=reading.model or chat.wanted.model,
                finish_reason=reading.finish_reason,
                usage=reading.usage,
            )
            yield _ending(self._told(question, said))
            return

    async def _read(self, wanted: QuestionRequest, asker: Asker) -> Question:
        """The question with its passages. Raises Overloaded before anything is searched for."""
        model = await self._named(wanted, asker)
        gate = self._chats.gate
        # Given back where a chat follows: that is counted by itself.
        async with gate.account(asker.principal, priority=Priority.INTERACTIVE, estimate=NOTHING) as admission:
            least = self._settings.min_score if wanted.min_score is None else wanted.min_score
            found = await self._searches.find(wanted.model_copy(update={"min_score": None}), asker)
            worth = tuple(one for one in found if one.evidence >= least)
            if not worth:
                async with admission.place(None):
                    pass  # it was answered, and counts
        confidence = max((one.confidence for one in found), default=0.0)
        return Question(wanted=wanted, model=model, asker=asker, shown=worth, confidence=confidence)

    async def _named(self, wanted: QuestionRequest, asker: Asker) -> str:
        """The model's name, `auto` included. Raises ModelNotFound, ProviderNotFound; no model is woken for it."""
        if wanted.provider is not None:
            name: str | None = await model_of(
                wanted.provider,
                wanted.model,
                self._need(wanted),
                chats=self._chats,
                providers=self._providers,
                principal=asker.principal,
                request_id=asker.request_id,
            )
        else:
            name = wanted.model or self._by_default or (AUTO if self._chats.auto.means(AUTO) else None)
        if name is None:
            raise ModelNotFound("No chat model is served to answer with", hint="add one to models", param="model")
        if not self._chats.auto.means(name) and not (asker.principal.may_ask(name) and name in self._models):
            raise self._chats.unknown(name, asker.principal)
        return name

    def _need(self, wanted: QuestionRequest) -> Need:
        """What an answer from one passage asks of its model; further ones are left out where they do not fit."""
        answer = wanted.max_tokens or self._settings.answer_tokens
        prompt = usage.of_inputs((wanted.query,)).prompt + self._settings.chunk_tokens
        parameters = {"temperature", "max_tokens"} | wanted.generation.keys()
        return Need(parameters=frozenset(parameters), tokens=prompt + answer)

    async def _checked(self, question: Question) -> tuple[Question, CheckedChat]:
        """The chat that answers, of as many passages as its model should have room for."""
        while True:
            try:
                chat = await self._chats.check(
                    self._body(question),
                    request_id=question.asker.request_id,
                    principal=question.asker.principal,
                )
            except ContextTooLong as error:
                question = _shorter(question, error)
                continue
            except BadRequest as error:
                raise _blamed(error) from None
            fitting = self._fitting(question, chat)
            if fitting == len(question.shown):
                return question, chat
            question = replace(question, shown=question.shown[:fitting])

    def _fitting(self, question: Question, chat: CheckedChat) -> int:
        card = self._chats.last_card(chat.wanted.model)
        if card is None:
            return len(question.shown)  # its own refusal says so
        return grounding.fit(
            [one.passage for one in question.shown],
            question.wanted.query,
            context_length=card.capabilities.context_length,
            answer_tokens=question.wanted.max_tokens or self._settings.answer_tokens,
        )

    def _body(self, question: Question) -> bytes:
        content = grounding.message([one.passage for one in question.shown], question.wanted.query)
        body: dict[str, Any] = {
            "model": question.model,
            "messages": [{"role": "user", "content": content}],
            "temperature": 0,
            "max_tokens": self._settings.answer_tokens,
            **question.wanted.generation,
        }
        if question.wanted.stream:
            body |= {"stream": True, "stream_options": {"include_usage": True}}
        return json.dumps(body).encode()

    def _abstention(self, question: Question) -> Body:
        return shown.answer(grounding.ABSTENTION, model=question.model, finish_reason="stop", usage=None)

    def _told(self, question: Question, said: Body) -> Body:
        """The answer with its citations."""
        cited = cite(said["answer"], [one.passage for one in question.shown])
        return {
            **said,
            **shown.citations(cited, question.shown),
            "abstained": grounding.abstains(said["answer"]),
            "confidence": round(question.confidence, 6),
        }


async def _deltas(source: AsyncIterator[bytes], reading: Reading) -> AsyncGenerator[bytes, None]:
    """The events of a chat's text. Raises ReplicaLost where the chat stops before its end."""
    async with aclosing(source) as items:  # type: ignore[type-var]  # every stream here is a generator
        async for item in items:
            if text := reading.take(item):
                yield event("delta", {"text": text})
    if reading.finish_reason is None:
        raise ReplicaLost("The answer ended before it was finished")


def _ending(body: Body) -> bytes:
    """The last events. body: the whole answer."""
    cited = {name: body[name] for name in ("citations", "unverified_quotes")}
    return event("citations", cited) + event("done", body)


def _shorter(question: Question, error: ContextTooLong) -> Question:
    """The same without the last passage. Raises the error where there is but one."""
    if len(question.shown) == 1:
        raise _blamed(error)
    return replace(question, shown=question.shown[:-1])


def _blamed(error: BadRequest) -> BadRequest:
    """The error with the name that the question has here."""
    if error.param is not None and error.param.startswith("messages"):
        error.param = "query"
    return error
