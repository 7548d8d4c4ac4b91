"""What the conversations' routes accept."""

from typing import Annotated, Any

from pydantic import AfterValidator, Field

from deployments.gateway.wire import ImagePart, Part, Penalty, Seed, Stop, Tokens, Wire

MAX_TITLE = 256  # characters
MAX_SYSTEM_PROMPT = 1_000_000  # characters: more than any context here holds


def _storable(text: str) -> str:
    if "\0" in text:
        raise ValueError("a NUL character cannot be stored")
    return text


Stored = AfterValidator(_storable)
ModelId = Annotated[str, Field(min_length=1, max_length=256), Stored]
Metadata = Annotated[
    dict[Annotated[str, Field(min_length=1, max_length=64), Stored], Annotated[str, Field(max_length=512), Stored]],
    Field(max_length=16),
]


class ConversationRequest(Wire):
    """Body of `POST` and `PATCH /api/v1/conversations`. A null takes back what was said before.

    model: None takes `conversations.model`, or the first chat model. metadata: the client's own, as at OpenAI.
    """

    title: Annotated[str, Field(max_length=MAX_TITLE), Stored] | None = None
    model: ModelId | None = None
    systemPrompt: Annotated[str, Field(max_length=MAX_SYSTEM_PROMPT), Stored] | None = None  # noqa: N815 - the API's
    metadata: Metadata | None = None


class MessageRequest(Wire):
    """Body of `POST /api/v1/conversations/{id}/messages`: the question, and chat's generation parameters.

    model: None takes the conversation's. stream: False waits for the whole answer.
    """

    content: Annotated[str, Field(min_length=1)] | Annotated[list[Part], Field(min_length=1)]
    model: ModelId | None = None
    stream: bool = True
    max_tokens: Tokens | None = None
    max_completion_tokens: Tokens | None = None
    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    top_p: Annotated[float, Field(gt=0, le=1)] | None = None
    stop: Stop | Annotated[list[Stop], Field(max_length=4)] | None = None
    seed: Seed | None = None
    frequency_penalty: Penalty | None = None
    presence_penalty: Penalty | None = None
    logit_bias: dict[str, Annotated[float, Field(ge=-100, le=100)]] | None = None
    response_format: dict[str, Any] | None = None
    user: str | None = None
    top_k: Annotated[int, Field(ge=-1, lt=2**31)] | None = None
    min_p: Annotated[float, Field(ge=0, le=1)] | None = None
    repetition_penalty: Annotated[float, Field(gt=0, le=10)] | None = None
    min_tokens: Annotated[int, Field(ge=0, le=1_000_000)] | None = None
    stop_token_ids: Annotated[list[int], Field(max_length=64)] | None = None
    ignore_eos: bool | None = None
    skip_special_tokens: bool | None = None

    @property
    def generation(self) -> dict[str, Any]:
        """The generation parameters that were sent, as chat's body has them."""
        own = {"content", "model", "stream"}
        return {
            name: getattr(self, name) for name in self.model_fields_set - own if getattr(self, name) is not None
        }

    @property
    def shows(self) -> bool:
        """Whether the question has a picture."""
        return isinstance(self.content, list) and any(isinstance(part, ImagePart) for part in self.content)

    @property
    def limit(self) -> int | None:
        """How many tokens the answer may have, where the request says so."""
        return self.max_completion_tokens or self.max_tokens
