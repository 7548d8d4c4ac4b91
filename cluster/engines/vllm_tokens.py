"""Tokens by vLLM's own serving class: a text's, or those of messages in the model's template, pictures included."""

from collections.abc import Sequence
from typing import Any

from cluster.engines.plain_text import PlainText
from cluster.engines.schema_limits import check_tools
from cluster.engines.template_options import check_options
from cluster.engines.tokenizing import read, within
from cluster.engines.vllm_request import AS_IT_IS, error_of, read_messages, translate
from cluster.settings.limits import LimitSettings
from cluster.types import TokenizeCall, Tokenized


async def tokenize(
    serving: Any,
    call: TokenizeCall,
    *,
    pictures: LimitSettings | None = None,
    plain: PlainText = AS_IT_IS,
    options: frozenset[str] = frozenset(),
) -> Tokenized:
    """serving: vLLM's ServingTokenization. The others: as for read_call. Raises BadRequest."""
    from vllm.entrypoints.serve.tokenize.protocol import TokenizeChatRequest, TokenizeCompletionRequest

    wanted = read(call)
    fields: dict[str, Any] = {"add_special_tokens": wanted.special, "return_token_strs": wanted.return_token_strs}
    kind = TokenizeCompletionRequest if wanted.messages is None else TokenizeChatRequest
    if wanted.messages is None:
        fields["prompt"] = wanted.prompt
    else:
        check_tools(wanted.tools)
        check_options(wanted.chat_template_kwargs, options)
        fields |= {
            "messages": await read_messages(wanted.messages, pictures, plain),
            "tools": wanted.tools,
            "add_generation_prompt": wanted.add_generation_prompt,
            "continue_final_message": wanted.continue_final_message,
            "chat_template_kwargs": wanted.chat_template_kwargs,
        }
    try:
        answer = await serving.create_tokenize(kind.model_validate(fields), None)
    except Exception as error:  # vLLM raises many kinds; `translate` knows them
        raise translate(error) from error
    if hasattr(answer, "error"):
        raise error_of(answer.error.model_dump())
    texts = None if answer.token_strs is None else tuple(answer.token_strs)
    return Tokenized(tokens=tuple(answer.tokens), texts=texts)


async def detokenize(serving: Any, tokens: Sequence[int]) -> str:
    """The text of tokens, special ones included. Raises BadRequest for one outside the vocabulary."""
    from vllm.entrypoints.serve.tokenize.protocol import DetokenizeRequest

    known = within(tokens, serving.renderer.get_tokenizer().max_token_id + 1)
    answer = await serving.create_detokenize(DetokenizeRequest(tokens=known), None)
    if hasattr(answer, "error"):
        raise error_of(answer.error.model_dump())
    return str(answer.prompt)
