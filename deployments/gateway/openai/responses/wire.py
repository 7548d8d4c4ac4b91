"""What `POST /v1/responses` accepts: OpenAI's fields, as far as they are honoured here.

A field of OpenAI's that is not declared is refused as unknown. One whose only declared values change nothing
(`truncation: disabled`, `service_tier: auto`) is declared because clients send it. What depends on two fields
at once is in `translate.check`, which names one of them.
"""

from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, Tag, field_validator

from deployments.gateway.wire import Tokens, Wire

LOGPROBS = "message.output_text.logprobs"
SEARCH_RESULTS = "file_search_call.results"
MOST_STORES = 16
MOST_RESULTS = 50

ItemId = Annotated[str, Field(min_length=1, max_length=128)]
Status = Literal["in_progress", "completed", "incomplete"]
Label = Annotated[str, Field(max_length=512)]


class InputText(Wire):
    """A piece of text that the model reads."""

    type: Literal["input_text"]
    text: str


class InputImage(Wire):
    """A picture that the model sees, as a data URL."""

    type: Literal["input_image"]
    image_url: str = Field(min_length=1)
    detail: Literal["auto", "low", "high"] | None = None


class OutputText(Wire):
    """A piece of text that a model wrote. annotations, logprobs: as they came with it; no model reads them."""

    type: Literal["output_text"]
    text: str
    annotations: list[dict[str, Any]] | None = None
    logprobs: list[dict[str, Any]] | None = None


class Refusal(Wire):
    """What a model said instead of an answer."""

    type: Literal["refusal"]
    refusal: str


InputPart = Annotated[InputText | InputImage, Field(discriminator="type")]
OutputPart = Annotated[OutputText | Refusal, Field(discriminator="type")]


class InputMessage(Wire):
    """What a person, or whoever instructs the model, says or shows."""

    type: Literal["message"] | None = None
    role: Literal["user", "system", "developer"]
    content: str | Annotated[list[InputPart], Field(min_length=1)]
    id: ItemId | None = None
    status: Status | None = None


class OutputMessage(Wire):
    """What a model said before: an item of an earlier response's output, or a shorter form of one."""

    type: Literal["message"] | None = None
    role: Literal["assistant"]
    content: str | Annotated[list[OutputPart], Field(min_length=1)]
    id: ItemId | None = None
    status: Status | None = None


class FunctionCall(Wire):
    """A call that a model made before. arguments: JSON text."""

    type: Literal["function_call"]
    call_id: ItemId
    name: str = Field(min_length=1)
    arguments: str
    id: ItemId | None = None
    status: Status | None = None


class FunctionCallOutput(Wire):
    """What the called function answered."""

    type: Literal["function_call_output"]
    call_id: ItemId
    output: str | list[InputText]
    id: ItemId | None = None
    status: Status | None = None


class Reasoning(Wire):
    """Another model's reasoning, sent back with its answer as OpenAI asks for. It is stored; no model reads it."""

    type: Literal["reasoning"]
    id: ItemId
    summary: list[dict[str, Any]]
    content: list[dict[str, Any]] | None = None
    encrypted_content: str | None = None
    status: Status | None = None


class FileSearchCall(Wire):
    """A search of an earlier response, sent back with its answer. It is stored; no model reads it again."""

    type: Literal["file_search_call"]
    id: ItemId
    queries: list[str]
    status: Literal["in_progress", "searching", "completed", "incomplete", "failed"]
    results: list[dict[str, Any]] | None = None


class ItemReference(Wire):
    """A stored item, by its id."""

    type: Literal["item_reference"] | None = None
    id: ItemId


def _kind(item: Any) -> str | None:
    """Which of the items it is: a message may leave its type out, and so may a reference."""
    if not isinstance(item, dict):
        return None
    kind = item.get("type")
    if kind is None:
        kind = "message" if "role" in item else "item_reference"
    if kind == "message" and item.get("role") == "assistant":
        return "assistant"
    return kind if isinstance(kind, str) else None


Item = Annotated[
    Annotated[InputMessage, Tag("message")]
    | Annotated[OutputMessage, Tag("assistant")]
    | Annotated[FunctionCall, Tag("function_call")]
    | Annotated[FunctionCallOutput, Tag("function_call_output")]
    | Annotated[Reasoning, Tag("reasoning")]
    | Annotated[FileSearchCall, Tag("file_search_call")]
    | Annotated[ItemReference, Tag("item_reference")],
    Discriminator(
        _kind,
        custom_error_type="item_type",
        custom_error_message="Items are message, function_call, function_call_output, reasoning, "
        "file_search_call, item_reference",
    ),
]


class FunctionTool(Wire):
    """A function that the model may call. strict: its calls are held to `parameters`, a JSON schema."""

    type: Literal["function"]
    name: str = Field(min_length=1)
    description: str | None = None
    parameters: dict[str, Any] | None = None
    strict: bool | None = None


class RankingOptions(Wire):
    """How a search ranks. ranker: there is one, by meaning and words. score_threshold: the least score."""

    ranker: Literal["auto", "default-2024-11-15"] | None = None
    score_threshold: Annotated[float, Field(ge=0, le=1)] | None = None


class FileSearchTool(Wire):
    """A search of vector stores, made once for a response. max_num_results: None takes documents.passages."""

    type: Literal["file_search"]
    vector_store_ids: Annotated[
        list[Annotated[str, Field(min_length=1, max_length=512)]], Field(min_length=1, max_length=MOST_STORES)
    ]
    filters: dict[str, Any] | None = None
    max_num_results: Annotated[int, Field(ge=1, le=MOST_RESULTS)] | None = None
    ranking_options: RankingOptions | None = None


def _tool(tool: Any) -> str | None:
    """Which of the tools it is. Not by its `type`, which is the name of a field inside other things."""
    kind = tool.get("type") if isinstance(tool, dict) else None
    return "file_search_tool" if kind == "file_search" else "function_tool"


Tool = Annotated[
    Annotated[FunctionTool, Tag("function_tool")] | Annotated[FileSearchTool, Tag("file_search_tool")],
    Discriminator(_tool),
]


class TextFormat(Wire):
    """What the text must look like. name, description, schema, strict: of a `json_schema` only."""

    type: Literal["text", "json_object", "json_schema"]
    name: str | None = Field(None, min_length=1, max_length=64)
    description: str | None = None
    json_schema: dict[str, Any] | None = Field(None, alias="schema")
    strict: bool | None = None


class TextOptions(Wire):
    """How the text is written. verbosity: `medium` is how a model writes anyway."""

    format: TextFormat | None = None
    verbosity: Literal["medium"] | None = None


class ResponseStreamOptions(Wire):
    """What a stream carries besides: no padding, which OpenAI calls obfuscation."""

    include_obfuscation: Literal[False] | None = None


class ResponseRequest(Wire):
    """Body of `POST /v1/responses`."""

    model: str = Field(min_length=1, max_length=256)
    input: str | Annotated[list[Item], Field(min_length=1)]
    instructions: str | None = None
    previous_response_id: ItemId | None = None
    stream: bool | None = None
    stream_options: ResponseStreamOptions | None = None
    store: bool | None = None
    background: bool | None = None
    max_output_tokens: Tokens | None = None
    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    top_p: Annotated[float, Field(gt=0, le=1)] | None = None
    top_logprobs: Annotated[int, Field(ge=0, le=20)] | None = None
    include: list[Literal["message.output_text.logprobs", "file_search_call.results"]] | None = None
    tools: Annotated[list[Tool], Field(max_length=128)] | None = None
    tool_choice: str | dict[str, Any] | None = None
    parallel_tool_calls: bool | None = None
    text: TextOptions | None = None
    metadata: Annotated[dict[Annotated[str, Field(max_length=64)], Label], Field(max_length=16)] | None = None
    user: Label | None = None
    safety_identifier: Label | None = None
    truncation: Literal["disabled"] | None = None
    service_tier: Literal["auto", "default"] | None = None
    reasoning: None = None

    @field_validator("tools", mode="before")
    @classmethod
    def _served_only(cls, given: Any) -> Any:
        """OpenAI's own tools have other fields: say what is wrong with them before pydantic lists those."""
        for tool in given if isinstance(given, list) else ():
            kind = tool.get("type") if isinstance(tool, dict) else None
            if isinstance(kind, str) and kind not in ("function", "file_search"):
                raise ValueError(
                    f"the built-in tool {kind[:40]!r} is not served here: function and file_search are"
                )
        return given

    @property
    def stored(self) -> bool:
        """Whether the response is kept; it is where nothing is said."""
        return self.store is not False

    @property
    def logprobs(self) -> bool:
        """Whether the text comes with the log probabilities of its tokens."""
        return LOGPROBS in (self.include or ())

    @property
    def functions(self) -> list[FunctionTool]:
        """The tools that the model may call."""
        return [tool for tool in self.tools or () if isinstance(tool, FunctionTool)]

    @property
    def searches(self) -> bool:
        """Whether there is a search to make: one that is offered, and not ruled out by the choice of tools."""
        choice = self.tool_choice
        chosen = choice.get("type") == "file_search" if isinstance(choice, dict) else choice != "none"
        return chosen and any(isinstance(tool, FileSearchTool) for tool in self.tools or ())
