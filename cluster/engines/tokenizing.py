"""Reading a request for tokens: a text, or messages, in vLLM's shape.

An engine whose model chats takes both; an embedder, and a model with a template of its own code, takes texts.
"""

from collections.abc import Sequence
from typing import Any, Self, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError, model_validator

from cluster.engines.chat_request import read_object, refusal
from cluster.errors import BadRequest, UnsupportedParameter
from cluster.types import TokenizeCall

FOR_MESSAGES = ("tools", "add_generation_prompt", "continue_final_message", "chat_template_kwargs")


class Tokenizing(BaseModel):
    """What is to be tokenised. add_special_tokens: None is true for a text, false for messages, as at vLLM."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    model: str | None = None
    prompt: str | None = None
    messages: list[dict[str, Any]] | None = None
    tools: list[dict[str, Any]] | None = None
    add_special_tokens: bool | None = None
    add_generation_prompt: bool = True
    continue_final_message: bool = False
    chat_template_kwargs: dict[str, Any] | None = None
    return_token_strs: bool = False

    @model_validator(mode="after")
    def _one_of_them(self) -> Self:
        if (self.prompt is None) == (self.messages is None):
            raise ValueError("send either prompt or messages")
        if self.continue_final_message and self.add_generation_prompt:
            raise ValueError("continue_final_message goes with add_generation_prompt: false only")
        return self

    @property
    def special(self) -> bool:
        """Whether special tokens are put around what is tokenised."""
        return self.messages is None if self.add_special_tokens is None else self.add_special_tokens


class PromptTokenizing(Tokenizing):
    """The same, of a text alone."""

    prompt: str


Kind = TypeVar("Kind", bound=Tokenizing)


def read(call: TokenizeCall) -> Tokenizing:
    """The request. Raises BadRequest and UnsupportedParameter with the JSON path."""
    given = {name: value for name, value in read_object(call.body).items() if value is not None}
    for name in FOR_MESSAGES if "messages" not in given else ():
        if name in given:
            raise BadRequest(f"{name} is for messages", hint="leave it out with a prompt", param=name)
    return _read(Tokenizing, given)


def read_prompt(call: TokenizeCall) -> PromptTokenizing:
    """The request to a model that has no template. Raises UnsupportedParameter for messages."""
    given = {name: value for name, value in read_object(call.body).items() if value is not None}
    for name in ("messages", *FOR_MESSAGES):
        if name in given:
            raise UnsupportedParameter(
                f"This model's tokenizer takes texts, and no {name}", hint="send a prompt", param=name
            )
    if "prompt" not in given:
        raise BadRequest("Missing required parameter: prompt", param="prompt")
    return _read(PromptTokenizing, given)


def within(tokens: Sequence[int], vocabulary: int) -> list[int]:
    """The tokens, all of them below `vocabulary`. Raises BadRequest with the place of one that is not."""
    for place, token in enumerate(tokens):
        if not 0 <= token < vocabulary:
            raise BadRequest(
                f"tokens[{place}]: {str(token)[:40]} is not a token of this model",
                hint=f"0 to {vocabulary - 1}",
                param=f"tokens[{place}]",
            )
    return list(tokens)


def _read(kind: type[Kind], given: dict[str, Any]) -> Kind:
    try:
        return kind.model_validate(given)
    except ValidationError as error:
        raise refusal(error) from None
