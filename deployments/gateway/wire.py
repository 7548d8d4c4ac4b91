"""What the OpenAI-compatible endpoints accept: strict models, one a request.

A field that is not declared is refused, because a parameter accepted and ignored is worse than an error.
Ranges are OpenAI's. Whether a model honours a parameter is the model's to say (`Capabilities.parameters`).
"""

from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

STRUCTURE = frozenset({"model", "messages", "stream", "stream_options"})
"""Fields that every chat engine takes; all others must be among its capabilities."""

INSTEAD = {"functions": "send tools", "function_call": "send tool_choice"}
"""What to send in place of a parameter that no model honours."""


class Wire(BaseModel):
    """Base of request bodies: no unknown field, no coercion, no change after parsing."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, protected_namespaces=())


class TextPart(Wire):
    """A piece of text in a message."""

    type: Literal["text"]
    text: str


class ImageUrl(Wire):
    """Where an image is: a data URL, or http(s)."""

    url: str = Field(min_length=1)
    detail: Literal["auto", "low", "high"] | None = None


class ImagePart(Wire):
    """An image in a message."""

    type: Literal["image_url"]
    image_url: ImageUrl


class FunctionCall(Wire):
    """The function that an assistant called, its arguments as JSON text."""

    name: str = Field(min_length=1)
    arguments: str


class ToolCall(Wire):
    """A call of a tool by an assistant."""

    id: str = Field(min_length=1)
    type: Literal["function"]
    function: FunctionCall


Part = Annotated[TextPart | ImagePart, Field(discriminator="type")]


class SystemMessage(Wire):
    """Instructions to the model."""

    role: Literal["system", "developer"]
    content: str | list[TextPart]
    name: str | None = None


class UserMessage(Wire):
    """What the person says, or shows."""

    role: Literal["user"]
    content: str | Annotated[list[Part], Field(min_length=1)]
    name: str | None = None


class AssistantMessage(Wire):
    """What the model said, or which tools it called."""

    role: Literal["assistant"]
    content: str | list[TextPart] | None = None
    name: str | None = None
    refusal: str | None = None
    tool_calls: list[ToolCall] | None = None

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if self.content is None and not self.tool_calls:
            raise ValueError("an assistant message needs content or tool_calls")
        return self


class ToolMessage(Wire):
    """What a tool answered."""

    role: Literal["tool"]
    content: str | list[TextPart]
    tool_call_id: str = Field(min_length=1)


Message = Annotated[SystemMessage | UserMessage | AssistantMessage | ToolMessage, Field(discriminator="role")]


class StreamOptions(Wire):
    """What a stream carries besides the text."""

    include_usage: bool | None = None


Penalty = Annotated[float, Field(ge=-2, le=2)]
Tokens = Annotated[int, Field(ge=1, le=1_000_000)]
Stop = Annotated[str, Field(min_length=1, max_length=1024)]  # each is looked for at every token
Label = Annotated[str, Field(max_length=512)]  # the client's own, as long as OpenAI's
TokenId = Annotated[int, Field(ge=0, lt=2**31)]
Seed = Annotated[int, Field(ge=-(2**63), lt=2**63)]


class GenerationRequest(Wire):
    """What chat and raw completions share: OpenAI's fields, and vLLM's own."""

    model: str = Field(min_length=1, max_length=256)
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    top_p: Annotated[float, Field(gt=0, le=1)] | None = None
    n: Annotated[int, Field(ge=1, le=128)] | None = None
    stop: Stop | Annotated[list[Stop], Field(max_length=4)] | None = None
    seed: Seed | None = None
    frequency_penalty: Penalty | None = None
    presence_penalty: Penalty | None = None
    logit_bias: dict[str, Annotated[float, Field(ge=-100, le=100)]] | None = None
    response_format: dict[str, Any] | None = None
    user: Label | None = None
    # vLLM's own parameters
    top_k: Annotated[int, Field(ge=-1, lt=2**31)] | None = None
    min_p: Annotated[float, Field(ge=0, le=1)] | None = None
    repetition_penalty: Annotated[float, Field(gt=0, le=10)] | None = None
    min_tokens: Annotated[int, Field(ge=0, le=1_000_000)] | None = None
    stop_token_ids: Annotated[list[int], Field(max_length=64)] | None = None
    allowed_token_ids: Annotated[list[int], Field(min_length=1, max_length=4096)] | None = None
    ignore_eos: bool | None = None
    skip_special_tokens: bool | None = None
    spaces_between_special_tokens: bool | None = None
    include_stop_str_in_output: bool | None = None
    truncate_prompt_tokens: Tokens | None = None
    truncation_side: Literal["left", "right"] | None = None
    return_token_ids: bool | None = None
    structured_outputs: dict[str, Any] | None = None

    @model_validator(mode="after")
    def _streamed(self) -> Self:
        if self.stream_options is not None and not self.stream:
            raise ValueError("stream_options is only allowed when stream is true")
        return self

    @property
    def wants_usage(self) -> bool:
        """Whether a stream is to end with its counts."""
        return bool(self.stream_options and self.stream_options.include_usage)


class ChatRequest(GenerationRequest):
    """Body of `POST /v1/chat/completions`: OpenAI's fields, and vLLM's own."""

    messages: list[Message] = Field(min_length=1)
    max_tokens: Tokens | None = None
    max_completion_tokens: Tokens | None = None
    logprobs: bool | None = None
    top_logprobs: Annotated[int, Field(ge=0, le=20)] | None = None
    tools: Annotated[list[dict[str, Any]], Field(max_length=128)] | None = None
    tool_choice: str | dict[str, Any] | None = None
    parallel_tool_calls: bool | None = None
    metadata: Annotated[dict[Annotated[str, Field(max_length=64)], Label], Field(max_length=16)] | None = None
    prompt_cache_key: str | None = None
    safety_identifier: str | None = None
    # Only where they say what is done anyway
    store: Literal[False] | None = None
    service_tier: Literal["auto", "default"] | None = None
    modalities: Annotated[list[Literal["text"]], Field(min_length=1, max_length=1)] | None = None
    # No engine here honours these; declared, so that they are refused for what they are (`INSTEAD`)
    audio: Any = None
    function_call: Any = None
    functions: Any = None
    prediction: Any = None
    reasoning_effort: Any = None
    verbosity: Any = None
    web_search_options: Any = None
    # vLLM's own parameters
    add_generation_prompt: bool | None = None
    continue_final_message: bool | None = None
    chat_template_kwargs: dict[str, Any] | None = None

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.top_logprobs is not None and not self.logprobs:
            raise ValueError("top_logprobs is only allowed when logprobs is true")
        return self

    @property
    def has_images(self) -> bool:
        """Whether any message shows a picture."""
        return self.pictures > 0

    @property
    def pictures(self) -> int:
        """How many pictures the messages show."""
        return sum(
            isinstance(part, ImagePart)
            for message in self.messages
            if isinstance(message.content, list)
            for part in message.content
        )


class CompletionRequest(GenerationRequest):
    """Body of `POST /v1/completions`: a raw prompt, text or token ids, or several."""

    prompt: str | list[str] | list[TokenId] | list[list[TokenId]]
    max_tokens: Annotated[int, Field(ge=0, le=1_000_000)] | None = None
    logprobs: Annotated[int, Field(ge=0, le=5)] | None = None
    echo: bool | None = None
    best_of: Annotated[int, Field(ge=1, le=128)] | None = None
    suffix: str | None = None
    add_special_tokens: bool | None = None


class EmbeddingRequest(Wire):
    """Body of `POST /v1/embeddings`."""

    model: str = Field(min_length=1, max_length=256)
    input: str | list[str] | list[int] | list[list[int]]
    encoding_format: Literal["float", "base64"] | None = None
    dimensions: Annotated[int, Field(ge=1)] | None = None
    user: Label | None = None
