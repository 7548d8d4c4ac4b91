"""What the Ollama-compatible endpoints accept.

As elsewhere, a field that is not declared is refused. What sets up llama.cpp (`num_gpu`, `num_thread`, `use_mmap`)
is not here: an engine's settings are its configuration's. A null counts as not given.
"""

from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from deployments.gateway.models.use import span
from deployments.gateway.wire import Wire

Name = Annotated[str, Field(min_length=1, max_length=256)]
KeepAlive = Annotated[float | int | str | None, AfterValidator(lambda said: None if said is None else span(said))]
Size = Annotated[int, Field(ge=1, lt=2**31)]


class Options(Wire):
    """How to generate. num_ctx: what the model's context must have room for. num_predict: -1, -2 are all that fits.

    The last ones only where they say what is done anyway: neither method of sampling is here.
    """

    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    min_p: float | None = None
    seed: int | None = None
    num_predict: Annotated[int, Field(ge=-2, le=1_000_000)] | None = None
    stop: str | list[str] | None = None
    repeat_penalty: float | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    num_ctx: Size | None = None
    mirostat: Literal[0] | None = None
    repeat_last_n: Literal[-1] | None = None
    tfs_z: Annotated[float, Field(ge=1, le=1)] | None = None
    typical_p: Annotated[float, Field(ge=1, le=1)] | None = None

    @model_validator(mode="before")
    @classmethod
    def _given(cls, said: Any) -> Any:
        """Some clients send all their options, null where nobody set one."""
        return {name: one for name, one in said.items() if one is not None} if isinstance(said, dict) else said

    @model_validator(mode="after")
    def _some_tokens(self) -> Self:
        if self.num_predict == 0:
            raise ValueError("num_predict is 0, and an answer has a token at least")
        return self

    @property
    def given(self) -> frozenset[str]:
        """The names of those that were given."""
        return frozenset(self.model_fields_set)


class Asking(Wire):
    """What chats and generations share. stream: also where it is left out. think: only off, as nothing else is."""

    model: Name
    stream: bool | None = None
    format: Literal["", "json"] | dict[str, Any] | None = None
    options: Options | None = None
    keep_alive: KeepAlive = None
    think: bool | str | None = None
    logprobs: bool | None = None
    top_logprobs: Annotated[int, Field(ge=0, le=20)] | None = None
    # Only where they say what is done anyway: a prompt that is too long is refused
    truncate: Literal[False] | None = None
    shift: Literal[False] | None = None

    @property
    def streamed(self) -> bool:
        """Whether the answer is wanted line by line, which is Ollama's default."""
        return self.stream is not False


class Called(Wire):
    """A function that the model called."""

    name: str = Field(min_length=1)
    arguments: dict[str, Any]
    index: int | None = None
    description: str | None = None


class ToolCall(Wire):
    """A call of a tool. id: as our answers give it; an older client sends none."""

    function: Called
    id: str | None = None
    type: Literal["function"] | None = None


class Message(Wire):
    """One message. thinking: of an answer that is sent back; as in models' templates, earlier thoughts go."""

    role: Literal["system", "user", "assistant", "tool"]
    content: str | None = None
    images: list[Annotated[str, Field(min_length=1)]] | None = None
    tool_calls: list[ToolCall] | None = None
    tool_name: str | None = None
    tool_call_id: str | None = None
    thinking: str | None = None

    @model_validator(mode="after")
    def _of_its_role(self) -> Self:
        if self.images and self.role != "user":
            raise ValueError("images belong to a message of the user")
        if self.role != "assistant" and (self.tool_calls or self.thinking):
            raise ValueError("tool_calls and thinking belong to a message of the assistant")
        if self.role != "tool" and (self.tool_name or self.tool_call_id):
            raise ValueError("tool_name and tool_call_id belong to a message of role tool")
        return self


class ChatBody(Asking):
    """Body of `POST /api/chat`. No messages: the model is loaded, or unloaded where keep_alive is 0."""

    messages: list[Message] | None = None
    tools: Annotated[list[dict[str, Any]], Field(max_length=128)] | None = None


class GenerateBody(Asking):
    """Body of `POST /api/generate`. raw: the prompt goes to the model as it is. No prompt: as no messages."""

    prompt: str | None = None
    system: str | None = None
    images: list[Annotated[str, Field(min_length=1)]] | None = None
    raw: bool | None = None
    # Declared, so that they are refused for what they are
    suffix: str | None = None
    template: str | None = None
    context: list[int] | None = None


class EmbedBody(Wire):
    """Body of `POST /api/embed`. truncate: whether a text that is too long is cut, which is the default."""

    model: Name
    input: str | list[str]
    truncate: bool | None = None
    dimensions: Size | None = None
    options: Options | None = None
    keep_alive: KeepAlive = None


class EmbeddingsBody(Wire):
    """Body of `POST /api/embeddings`, which came before `/api/embed`."""

    model: Name
    prompt: str | None = None
    options: Options | None = None
    keep_alive: KeepAlive = None


class NamedBody(Wire):
    """A body that names a model: by `model`, or by `name` as older clients do."""

    model: Name | None = None
    name: Name | None = None

    @model_validator(mode="after")
    def _names_one(self) -> Self:
        if (self.model or self.name) is None:
            raise ValueError("model is missing")
        return self

    @property
    def wanted(self) -> str:
        """The name."""
        return self.model or self.name or ""


class ShowBody(NamedBody):
    """Body of `POST /api/show`."""

    verbose: Literal[False] | None = None
    system: Literal[""] | None = None
    template: Literal[""] | None = None


class PullBody(NamedBody):
    """Body of `POST /api/pull`."""

    stream: bool | None = None
    insecure: Literal[False] | None = None

    @property
    def streamed(self) -> bool:
        """Whether progress is wanted line by line."""
        return self.stream is not False


class DeleteBody(NamedBody):
    """Body of `DELETE /api/delete`."""
