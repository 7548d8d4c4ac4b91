"""`/tokenize` and `/detokenize`, in vLLM's shapes, for every model that is served."""

import json
from typing import Annotated, Any, Self

from fastapi import APIRouter, Request
from pydantic import Field, model_validator
from starlette.responses import Response

from cluster.errors import BadRequest
from cluster.types import ModelCard, TokenizeCall
from deployments.clients import Backends, ChatModel, Embedder
from deployments.gateway import lifetimes
from deployments.gateway.bodies import json_body
from deployments.gateway.chats import Chats
from deployments.gateway.openai.embeddings import EmbeddingInputs
from deployments.gateway.parsing import parse
from deployments.gateway.principal import Principal, principal_of
from deployments.gateway.wire import Message, TextPart, TokenId, Wire

TIMEOUT_S = 60.0
MAX_CHARACTERS = 1_000_000  # or as many as a long context may have: one thread of a replica tokenises for all
CHARACTERS_PER_TOKEN = 16  # far more than any text has


class TokenizeRequest(Wire):
    """Body of `POST /tokenize`: a prompt, or messages with what their template is told."""

    model: str = Field(min_length=1, max_length=256)
    prompt: str | None = None
    messages: Annotated[list[Message], Field(min_length=1)] | None = None
    tools: Annotated[list[dict[str, Any]], Field(max_length=128)] | None = None
    add_special_tokens: bool | None = None
    add_generation_prompt: bool | None = None
    continue_final_message: bool | None = None
    chat_template_kwargs: dict[str, Any] | None = None
    return_token_strs: bool | None = None

    @model_validator(mode="after")
    def _one_of_them(self) -> Self:
        if (self.prompt is None) == (self.messages is None):
            raise ValueError("send either prompt or messages")
        return self


class DetokenizeRequest(Wire):
    """Body of `POST /detokenize`."""

    model: str = Field(min_length=1, max_length=256)
    tokens: Annotated[list[TokenId], Field(max_length=MAX_CHARACTERS)]


def router(backends: Backends, chats: Chats, embeddings: EmbeddingInputs) -> APIRouter:
    """The routes, at the root, as vLLM has them."""
    routes = APIRouter(tags=["OpenAI"])

    async def served(model_id: str, principal: Principal) -> tuple[ModelCard, ChatModel | Embedder]:
        if model_id == embeddings.model_id and backends.embedder is not None:
            return await embeddings.card(model_id, principal), backends.embedder
        return await chats.card(model_id, principal), backends.models[model_id]

    @routes.post(
        "/tokenize", summary="The tokens of a text, or of messages", openapi_extra=json_body(TokenizeRequest)
    )
    async def tokenize(request: Request) -> Response:
        body = await request.body()
        wanted = parse(TokenizeRequest, body)
        card, model = await served(wanted.model, principal_of(request))
        context = card.capabilities.context_length
        _check_length(wanted, max(MAX_CHARACTERS, CHARACTERS_PER_TOKEN * context))
        async with chats.gate.count(principal_of(request)):
            work = model.tokenize(TokenizeCall(body=body, request_id=request.state.request_id))
            found = await lifetimes.while_connected(request, work, timeout_s=TIMEOUT_S)
        return _json(
            {"count": found.count, "max_model_len": context, "tokens": found.tokens, "token_strs": found.texts}
        )

    @routes.post("/detokenize", summary="The text of tokens", openapi_extra=json_body(DetokenizeRequest))
    async def detokenize(request: Request) -> Response:
        wanted = parse(DetokenizeRequest, await request.body())
        _, model = await served(wanted.model, principal_of(request))
        async with chats.gate.count(principal_of(request)):
            work = model.detokenize(wanted.tokens)
            text = await lifetimes.while_connected(request, work, timeout_s=TIMEOUT_S)
        return _json({"prompt": text})

    return routes


def _check_length(wanted: TokenizeRequest, limit: int) -> None:
    if wanted.prompt is not None:
        param, size = "prompt", len(wanted.prompt)
    else:
        param, size = "messages", len(str(wanted.tools or "")) + sum(map(_said, wanted.messages or ()))
    if size > limit:
        raise BadRequest(f"{param} has more than {limit} characters", hint="send it in pieces", param=param)


def _said(message: Message) -> int:
    """The characters of a message's text; pictures are none."""
    content = message.content or ""
    if isinstance(content, str):
        return len(content)
    return sum(len(part.text) for part in content if isinstance(part, TextPart))


def _json(content: dict[str, Any]) -> Response:
    return Response(json.dumps(content, ensure_ascii=False).encode(errors="replace"), media_type="application/json")
