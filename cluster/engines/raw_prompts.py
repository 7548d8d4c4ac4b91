"""Raw prompts: OpenAI's legacy completions, for engines that compute token by token.

A prompt is given to the model as it stands, without the template that makes a conversation of it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, TypeVar

from pydantic import Field

from cluster.engines.chat_request import CHOICES_MAX, GENERATION, Generation, check_known, read_object, validated
from cluster.engines.completions import Delta, Writer
from cluster.errors import BadRequest

DEFAULT_TOKENS = 16  # as at OpenAI
CHAT_ONLY = frozenset(
    {"max_completion_tokens", "metadata", "store", "service_tier", "modalities"}
    | {"prompt_cache_key", "safety_identifier"}
)
Token = Annotated[int, Field(ge=0, lt=2**63)]


class CompletionRequest(Generation):
    """A raw prompt, or several. best_of: only as many as n, since all are returned."""

    prompt: str | tuple[str, ...] | tuple[Token, ...] | tuple[tuple[Token, ...], ...]
    echo: bool = False
    best_of: int | None = None
    max_tokens: int | None = Field(None, ge=0)

    @property
    def limit(self) -> int:
        """The most tokens that may be generated."""
        return DEFAULT_TOKENS if self.max_tokens is None else self.max_tokens

    @property
    def prompts(self) -> tuple[str | tuple[int, ...], ...]:
        """The prompts, each a text or token ids."""
        return prompts_of(self.prompt)


COMPLETION = (GENERATION | CompletionRequest.model_fields.keys()) - CHAT_ONLY
"""The parameters of raw completions that every engine honours which makes any."""

Kind = TypeVar("Kind", bound=CompletionRequest)


def read_completion(body: bytes, kind: type[Kind], honoured: frozenset[str]) -> Kind:
    """A request for raw completions. Raises BadRequest and UnsupportedParameter with the JSON path."""
    given = {name: value for name, value in read_object(body).items() if value is not None}
    check_known(given, honoured)
    check_raw(given)
    return validated(kind, given)


def check_raw(given: Mapping[str, Any]) -> CompletionRequest:
    """Check the parameters of raw completions, among others. Raises BadRequest with the JSON path."""
    if "prompt" not in given:
        raise BadRequest("Missing required parameter: prompt", hint="send a text or token ids", param="prompt")
    request = validated(CompletionRequest, {name: value for name, value in given.items() if name in COMPLETION})
    prompts = request.prompts
    if not prompts or not all(prompts):
        raise BadRequest("prompt is empty", hint="send a text or token ids", param="prompt")
    if len(prompts) * request.choices > CHOICES_MAX:
        param = "prompt" if len(prompts) > CHOICES_MAX else "n"
        raise BadRequest(
            f"{len(prompts)} prompts with {request.choices} choices each are over the limit of {CHOICES_MAX}",
            hint="send them in several requests",
            param=param,
        )
    if request.best_of not in (None, request.choices):
        hint = "leave it out, or send the same number as n"
        raise BadRequest("best_of is not done here: all choices are returned", hint=hint, param="best_of")
    if request.max_tokens == 0 and not request.echo:
        raise BadRequest("max_tokens is 0, and nothing is echoed", hint="ask for a token", param="max_tokens")
    return request


def prompts_of(given: Any) -> tuple[str | tuple[int, ...], ...]:
    """One prompt or several, in OpenAI's four shapes, as several. given: of a right shape."""
    if isinstance(given, str):
        return (given,)
    if given and all(isinstance(item, int) for item in given):
        return (tuple(given),)
    return tuple(item if isinstance(item, str) else tuple(item) for item in given)


@dataclass(frozen=True, slots=True, kw_only=True)
class TextWriter(Writer):
    """Writes `text_completion` objects. echoes: what is put before each choice's text; none where nothing is."""

    KIND: ClassVar[str] = "text_completion"
    CHUNK: ClassVar[str] = "text_completion"
    ID: ClassVar[str] = "cmpl"

    echoes: tuple[str, ...] = ()

    def whole(self, texts: Sequence[str], ends: Sequence[Delta], completion_tokens: int) -> bytes:
        """One `text_completion`."""
        echoes = self.echoes or [""] * len(texts)
        choices = [
            _choice(index, echo + text, end)
            for index, (echo, text, end) in enumerate(zip(echoes, texts, ends, strict=True))
        ]
        return self.object_of(choices, completion_tokens)

    def opening(self, index: int) -> bytes:
        """The echo, where one is wanted."""
        return self.event_of(_choice(index, self.echoes[index])) if self.echoes else b""

    def text(self, delta: Delta) -> bytes:
        """A choice's next text."""
        return self.event_of(_choice(delta.index, delta.text))

    def closing(self, end: Delta) -> bytes:
        """A choice's end."""
        return self.event_of(_choice(end.index, "", end))


def _choice(index: int, text: str, end: Delta | None = None) -> dict[str, Any]:
    reason, met = (end.finish_reason, end.met) if end is not None else (None, None)
    return {"index": index, "text": text, "logprobs": None, "finish_reason": reason, "stop_reason": met}
