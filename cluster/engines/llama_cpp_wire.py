"""The requests that llama.cpp's engine honours, as they are written."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from cluster.engines.raw_prompts import CompletionRequest
from cluster.engines.sampling import SampledRequest

MAX_TOP = 20  # as at OpenAI
ANYTHING = {"type": "object"}


class _Wire(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class LlamaSampling(SampledRequest):
    """What llama.cpp honours of a sampling, beyond what every sampling engine here does."""

    frequency_penalty: float | None = Field(None, ge=-2, le=2)
    presence_penalty: float | None = Field(None, ge=-2, le=2)
    logit_bias: dict[str, Annotated[float, Field(ge=-100, le=100)]] | None = None
    ignore_eos: bool = False


class LlamaCompletion(CompletionRequest, LlamaSampling):
    """The same, for a raw prompt."""


class Schema(_Wire):
    """A named JSON schema."""

    name: str
    schema_: dict[str, Any] = Field(ANYTHING, alias="schema")
    description: str | None = None
    strict: bool | None = None


class ResponseFormat(_Wire):
    """What an answer must be."""

    type: Literal["text", "json_object", "json_schema"]
    json_schema: Schema | None = None


class Function(_Wire):
    """A function that the model may call."""

    name: str = Field(min_length=1)
    description: str | None = None
    parameters: dict[str, Any] | None = None
    strict: bool | None = None


class Tool(_Wire):
    """A tool."""

    type: Literal["function"]
    function: Function


class Named(_Wire):
    """A function's name."""

    name: str


class Choice(_Wire):
    """The tool that must be called."""

    type: Literal["function"]
    function: Named


class LlamaChat(LlamaSampling):
    """A request to chat; its messages and template options are checked apart."""

    logprobs: bool = False
    top_logprobs: int | None = Field(None, ge=0, le=MAX_TOP)
    response_format: ResponseFormat | None = None
    tools: tuple[Tool, ...] | None = None
    tool_choice: Literal["none", "auto", "required"] | Choice | None = None
    parallel_tool_calls: bool | None = None

    @property
    def named(self) -> str | None:
        """The one tool that must be called, None where the model chooses."""
        return self.tool_choice.function.name if isinstance(self.tool_choice, Choice) else None
