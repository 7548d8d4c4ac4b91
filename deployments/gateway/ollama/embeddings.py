"""Ollama's two ways to ask for embeddings, over OpenAI's."""

import json
from typing import Any

from fastapi import Request
from starlette.responses import Response

from cluster.errors import BadRequest, ContextTooLong, HeliostatError, UnsupportedParameter
from deployments.gateway.models import use
from deployments.gateway.ollama.answer import Spent
from deployments.gateway.ollama.names import bare
from deployments.gateway.ollama.wire import EmbedBody, EmbeddingsBody, Options
from deployments.gateway.openai.embeddings import EmbeddingInputs
from deployments.gateway.parsing import parse
from deployments.gateway.principal import principal_of


async def embed(request: Request, inputs: EmbeddingInputs) -> Response:
    """`POST /api/embed`. No text at all: the model is there, and so is the answer, empty."""
    wanted = parse(EmbedBody, await request.body())
    spent = Spent(use.said(wanted.keep_alive))
    card = await inputs.card(bare(wanted.model), principal_of(request))
    _check_options(wanted.options, card.capabilities.context_length)
    if wanted.dimensions not in (None, card.capabilities.dimensions):
        raise UnsupportedParameter(
            f"{wanted.model} cannot shorten its {card.capabilities.dimensions} dimensions",
            hint="leave dimensions out",
            param="dimensions",
        )
    if not wanted.input:
        return _json({"model": wanted.model, "embeddings": [], **spent.told()})
    result = await inputs.vectors(request, card, inputs.checked(wanted.input))
    if wanted.truncate is False and result.truncated:
        raise ContextTooLong(
            f"{result.truncated} of the texts are longer than the {card.capabilities.context_length} tokens that "
            f"{wanted.model} reads",
            param="input",
        )
    took = {**spent.told(), "prompt_eval_count": sum(result.tokens)}
    return _json({"model": wanted.model, "embeddings": result.vectors.tolist(), **took})


async def embeddings(request: Request, inputs: EmbeddingInputs) -> Response:
    """`POST /api/embeddings`: one text, one vector."""
    wanted = parse(EmbeddingsBody, await request.body())
    use.said(wanted.keep_alive)
    card = await inputs.card(bare(wanted.model), principal_of(request))
    _check_options(wanted.options, card.capabilities.context_length)
    if not wanted.prompt:
        return _json({"embedding": []})
    try:
        checked = inputs.checked(wanted.prompt)
    except HeliostatError as error:
        error.param = "prompt"
        raise
    result = await inputs.vectors(request, card, checked)
    return _json({"embedding": result.vectors[0].tolist()})


def _check_options(options: Options | None, context_length: int) -> None:
    """Raise for what does not go with embeddings, and for a context that the model does not have."""
    if options is None:
        return
    odd = sorted(options.given - {"num_ctx"})
    if odd:
        raise UnsupportedParameter(f"{odd[0]} is no option of embeddings", param=f"options.{odd[0]}")
    check_context(options, context_length)


def check_context(options: Options | None, context_length: int) -> None:
    """Raise BadRequest where the model has no room for `num_ctx` tokens."""
    if options is not None and options.num_ctx is not None and options.num_ctx > context_length:
        raise BadRequest(
            f"options.num_ctx is {options.num_ctx}, and the model's context is {context_length} tokens",
            hint="leave it out, or ask for less",
            param="options.num_ctx",
        )


def _json(content: dict[str, Any]) -> Response:
    return Response(json.dumps(content), media_type="application/json")
