"""`/v1/score` and `/v1/rerank`: how close texts are.

A cross-encoder reads two texts together. The embedding model reads each by itself (a bi-encoder): its score is the
cosine of their embeddings, which ranks worse and costs less.
"""

import json
import re
import time
from typing import Annotated, Any, Self

from fastapi import APIRouter, Request
from pydantic import Field, model_validator
from starlette.responses import Response

from cluster.errors import BadRequest
from cluster.types import ModelCard
from deployments.gateway import lifetimes
from deployments.gateway.bodies import json_body
from deployments.gateway.openai.embeddings import EMBEDDING_TIMEOUT_S
from deployments.gateway.openai.scoring import Scored, Scoring
from deployments.gateway.parsing import parse
from deployments.gateway.principal import Asker, principal_of
from deployments.gateway.wire import Wire

PLACE = re.compile(r"\binput\[(\d+)\]")  # how an engine names one of its inputs

Texts = str | Annotated[list[str], Field(min_length=1)]


class ScoreRequest(Wire):
    """Body of `POST /v1/score`: two texts or lists, by one of the three pairs of names that vLLM takes.

    One text is scored against each of the others; two lists of one length are scored in pairs.
    """

    model: str = Field(min_length=1, max_length=256)
    text_1: Texts | None = None
    text_2: Texts | None = None
    queries: Texts | None = None
    documents: Texts | None = None
    data_1: Texts | None = None
    data_2: Texts | None = None
    user: str | None = None

    @model_validator(mode="after")
    def _a_pair(self) -> Self:
        given = [name for pair in PAIRS for name in pair if getattr(self, name) is not None]
        if tuple(given) not in PAIRS:
            raise ValueError("send text_1 and text_2, or queries and documents, or data_1 and data_2")
        return self

    @property
    def names(self) -> tuple[str, str]:
        """The pair of names that is used."""
        return next(pair for pair in PAIRS if getattr(self, pair[0]) is not None)


PAIRS = (("text_1", "text_2"), ("queries", "documents"), ("data_1", "data_2"))


class TextDocument(Wire):
    """A document as an object."""

    text: str


class RerankRequest(Wire):
    """Body of `POST /v1/rerank`, in Cohere's and Jina's shape. top_n: 0 and null are all."""

    model: str = Field(min_length=1, max_length=256)
    query: str
    documents: Annotated[list[str | TextDocument], Field(min_length=1)]
    top_n: Annotated[int, Field(ge=0)] | None = None
    return_documents: bool | None = None
    user: str | None = None


def router(scoring: Scoring) -> APIRouter:
    """The routes, under `/v1` and at the root, as vLLM has them."""
    routes = APIRouter(tags=["OpenAI"])

    async def score(request: Request) -> Response:
        """The similarity of texts."""
        wanted = parse(ScoreRequest, await request.body())
        first, second = (_texts(getattr(wanted, name)) for name in wanted.names)
        if len(first) not in (1, len(second)):
            problem = f"{len(first)} and {len(second)} texts are no pairs"
            raise BadRequest(problem, hint="send one, or as many as the others", param=wanted.names[0])
        card = await scoring.card(wanted.model, principal_of(request))
        found = await _scored(request, scoring, card, dict(zip(wanted.names, (first, second), strict=True)))
        data = [{"index": at, "object": "score", "score": value} for at, value in enumerate(found.values)]
        head = {"id": f"score-{request.state.request_id}", "object": "list", "created": int(time.time())}
        return _answer({**head, "model": card.id, "data": data}, found)

    async def rerank(request: Request) -> Response:
        """Documents by their similarity to a query, best first."""
        wanted = parse(RerankRequest, await request.body())
        documents = [one if isinstance(one, str) else one.text for one in wanted.documents]
        card = await scoring.card(wanted.model, principal_of(request))
        found = await _scored(request, scoring, card, {"query": [wanted.query], "documents": documents})
        figures = found.values
        order = sorted(range(len(figures)), key=lambda at: -figures[at])[: wanted.top_n or None]
        results = [
            {"index": at, "relevance_score": figures[at]}
            | ({"document": {"text": documents[at]}} if wanted.return_documents else {})
            for at in order
        ]
        head = {"id": f"rerank-{request.state.request_id}", "object": "list", "model": card.id}
        return _answer({**head, "results": results}, found)

    for prefix, listed in (("/v1", True), ("", False)):
        paths: list[tuple[str, Any, type[Wire], str]] = [
            ("score", score, ScoreRequest, "The similarity of texts"),
            ("rerank", rerank, RerankRequest, "Documents in the order of their similarity to a query"),
        ]
        for name, answer, kind, summary in paths:
            routes.post(
                f"{prefix}/{name}", summary=summary, include_in_schema=listed, openapi_extra=json_body(kind)
            )(answer)
    return routes


async def _scored(request: Request, scoring: Scoring, card: ModelCard, parts: dict[str, list[str]]) -> Scored:
    """The scores of two named lists; a hang-up of the client ends it. Errors name the list and the place."""
    first, second = parts.values()
    asker = Asker(principal=principal_of(request), request_id=request.state.request_id)
    try:
        work = scoring.scored(card, first, second, asker)
        return await lifetimes.while_connected(request, work, timeout_s=EMBEDDING_TIMEOUT_S)
    except BadRequest as error:
        place = PLACE.search(error.param or "")
        if place is None:
            last = list(parts)[-1]
            error.param = last if error.param == "input" else error.param
            raise
        name = _name(parts, int(place[1]))
        raise type(error)(PLACE.sub(name, error.message), hint=error.hint, param=name) from None


def _name(parts: dict[str, list[str]], place: int) -> str:
    for name, texts in parts.items():
        if place < len(texts):
            return name if len(texts) == 1 and name != "documents" else f"{name}[{place}]"
        place -= len(texts)
    return "input"


def _texts(given: Texts) -> list[str]:
    return [given] if isinstance(given, str) else given


def _answer(content: dict[str, Any], found: Scored) -> Response:
    content["usage"] = {"prompt_tokens": found.tokens, "total_tokens": found.tokens}
    headers = {"x-heliostat-truncated-inputs": str(found.truncated)} if found.truncated else None
    return Response(json.dumps(content), media_type="application/json", headers=headers)
