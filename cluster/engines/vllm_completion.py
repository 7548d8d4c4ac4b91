"""Raw prompts as vLLM's requests: OpenAI's legacy completions."""

import json
from typing import TYPE_CHECKING, Any

from cluster.engines.chat_request import check_known, read_object
from cluster.engines.raw_prompts import COMPLETION, check_raw
from cluster.engines.schema_limits import check_outputs, check_response_format
from cluster.engines.vllm_request import SAMPLING, fields_for, translate
from cluster.engines.vllm_tokens import tokenize
from cluster.errors import BadRequest
from cluster.types import ChatCall, TokenizeCall

if TYPE_CHECKING:
    from vllm.entrypoints.openai.completion.protocol import CompletionRequest

OF_CHAT = frozenset(
    {"messages", "top_logprobs", "add_generation_prompt", "continue_final_message", "chat_template_kwargs"}
)
HONOURED = COMPLETION | (SAMPLING - OF_CHAT) | {"add_special_tokens"}
MAX_ECHOED_FIGURES = 2**28  # tokens of a prompt times the vocabulary: a GiB, all of it held at once


async def read_raw(call: ChatCall, model: str, *, tokenization: Any, stream: bool) -> "CompletionRequest":
    """The call's body as vLLM's request. tokenization: vLLM's ServingTokenization.

    Raises BadRequest and UnsupportedParameter with the JSON path.
    """
    from vllm.entrypoints.openai.completion.protocol import CompletionRequest

    given = {name: value for name, value in read_object(call.body).items() if value is not None}
    check_known(given, HONOURED)
    raw = check_raw(given)
    check_response_format(given.get("response_format"))
    check_outputs(given.get("structured_outputs"), given.get("response_format"))
    top = tokenization.renderer.get_tokenizer().max_token_id
    for prompt in raw.prompts:
        # Before vLLM decodes them for an echo, which overflows.
        if not isinstance(prompt, str) and max(prompt) > top:
            raise BadRequest(
                f"prompt: {max(prompt)} is not a token of this model", hint=f"0 to {top}", param="prompt"
            )
        if raw.echo and given.get("logprobs") is not None:
            _check_figures(await _length(prompt, tokenization), top)
    fields = fields_for(
        call, {name: value for name, value in given.items() if name != "best_of"}, model, stream=stream
    )
    try:
        return CompletionRequest.model_validate(fields)
    except Exception as error:  # vLLM's validators raise errors of their own, and plain ones on odd input
        raise translate(error) from error


async def _length(prompt: str | tuple[int, ...], tokenization: Any) -> int:
    if not isinstance(prompt, str):
        return len(prompt)
    body = json.dumps({"prompt": prompt}).encode()
    call = TokenizeCall(body=body, request_id="echo")
    return (await tokenize(tokenization, call)).count


def _check_figures(tokens: int, vocabulary: int) -> None:
    if tokens * vocabulary > MAX_ECHOED_FIGURES:
        raise BadRequest(
            f"echo with logprobs of a prompt of {tokens} tokens takes too much memory",
            hint=f"at most {MAX_ECHOED_FIGURES // vocabulary} tokens with this model",
            param="echo",
        )
