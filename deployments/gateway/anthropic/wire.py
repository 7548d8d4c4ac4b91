"""What the Anthropic-compatible endpoints accept.

As elsewhere, a field that is not declared is refused: extended thinking, containers, MCP servers and tools that
Anthropic's own servers run are not here. `cache_control` alone is a hint: the engine caches every prefix anyway.
"""

from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from deployments.gateway.wire import Wire

Text = Annotated[str, Field(min_length=1)]


class CacheControl(Wire):
    """A wish that the prompt be cached up to here; nothing is charged or counted for it."""

    type: Literal["ephemeral"]
    ttl: Literal["5m", "1h"] | None = None


class Block(Wire):
    """Base of a message's content blocks."""

    cache_control: CacheControl | None = None


class TextBlock(Block):
    """A piece of text. citations: null, as an answer that is sent back may have it."""

    type: Literal["text"]
    text: Text
    citations: None = None


class ImageSource(Wire):
    """A picture itself in base64, or its address."""

    type: Literal["base64", "url"]
    media_type: Literal["image/jpeg", "image/png", "image/gif", "image/webp"] | None = None
    data: Text | None = None
    url: Text | None = None

    @model_validator(mode="after")
    def _of_its_type(self) -> Self:
        wanted = {"media_type", "data"} if self.type == "base64" else {"url"}
        given = {name for name in ("media_type", "data", "url") if getattr(self, name) is not None}
        if given != wanted:
            raise ValueError(f"a source of type {self.type} has {' and '.join(sorted(wanted))}, and nothing else")
        return self


class ImageBlock(Block):
    """A picture."""

    type: Literal["image"]
    source: ImageSource


class Caller(Wire):
    """Who called a tool: the model itself."""

    type: Literal["direct"]


class ToolUseBlock(Block):
    """A call of a tool by the model."""

    type: Literal["tool_use"]
    id: str = Field(min_length=1)
    name: str = Field(min_length=1)
    input: dict[str, Any]
    caller: Caller | None = None


class ToolResultBlock(Block):
    """What a tool answered. is_error: that it failed; the content then says why."""

    type: Literal["tool_result"]
    tool_use_id: str = Field(min_length=1)
    content: str | list[Annotated[TextBlock | ImageBlock, Field(discriminator="type")]] | None = None
    is_error: bool | None = None


class UserMessage(Wire):
    """What the person says or shows, and what tools answered."""

    role: Literal["user"]
    content: (
        Text
        | Annotated[
            list[Annotated[TextBlock | ImageBlock | ToolResultBlock, Field(discriminator="type")]],
            Field(min_length=1),
        ]
    )


class AssistantMessage(Wire):
    """What the model said, and which tools it called."""

    role: Literal["assistant"]
    content: (
        Text
        | Annotated[
            list[Annotated[TextBlock | ToolUseBlock, Field(discriminator="type")]],
            Field(min_length=1),
        ]
    )


class SystemMessage(Wire):
    """Instructions in the middle of a conversation."""

    role: Literal["system"]
    content: Text | Annotated[list[TextBlock], Field(min_length=1)]


Message = Annotated[UserMessage | AssistantMessage | SystemMessage, Field(discriminator="role")]


class Tool(Wire):
    """A function that the client can run. strict: its input must follow the schema."""

    type: Literal["custom"] | None = None
    name: str = Field(min_length=1)
    description: str | None = None
    input_schema: dict[str, Any]
    strict: bool | None = None
    cache_control: CacheControl | None = None


class ToolChoice(Wire):
    """Whether a tool must be called. name: of the one that must, with type `tool`."""

    type: Literal["auto", "any", "tool", "none"]
    name: str | None = None
    disable_parallel_tool_use: bool | None = None

    @model_validator(mode="after")
    def _of_its_type(self) -> Self:
        if (self.type == "tool") != (self.name is not None):
            raise ValueError("a name goes with type tool, and type tool needs a name")
        if self.type == "none" and self.disable_parallel_tool_use is not None:
            raise ValueError("disable_parallel_tool_use does not go with type none")
        return self


class Metadata(Wire):
    """Labels of a request."""

    user_id: Annotated[str, Field(max_length=512)] | None = None


class NoThinking(Wire):
    """Thinking that is switched off: there is none here to switch on."""

    type: Literal["disabled"]


class JsonFormat(Wire):
    """A schema that the answer is held to."""

    type: Literal["json_schema"]
    schema_: dict[str, Any] = Field(alias="schema")


class OutputConfig(Wire):
    """What the answer looks like."""

    format: JsonFormat | None = None


class CountRequest(Wire):
    """Body of `POST /v1/messages/count_tokens`: a prompt without the rest."""

    model: str = Field(min_length=1, max_length=256)
    messages: list[Message] = Field(min_length=1)
    system: str | list[TextBlock] | None = None
    tools: Annotated[list[Tool], Field(max_length=128)] | None = None
    tool_choice: ToolChoice | None = None
    thinking: NoThinking | None = None
    output_config: OutputConfig | None = None
    cache_control: CacheControl | None = None

    @model_validator(mode="after")
    def _tools_to_choose_from(self) -> Self:
        if self.tool_choice is not None and self.tool_choice.type != "none" and not self.tools:
            raise ValueError("tool_choice is only allowed with tools")
        return self


class MessagesRequest(CountRequest):
    """Body of `POST /v1/messages`."""

    max_tokens: Annotated[int, Field(ge=1, le=1_000_000)]
    stream: bool | None = None
    stop_sequences: Annotated[list[Text], Field(max_length=4)] | None = None
    temperature: Annotated[float, Field(ge=0, le=1)] | None = None
    top_p: Annotated[float, Field(gt=0, le=1)] | None = None
    top_k: Annotated[int, Field(ge=0, lt=2**31)] | None = None
    metadata: Metadata | None = None
    service_tier: Literal["auto", "standard_only"] | None = None
