"""The parameters of generation that a sweep may vary: those of `POST /v1/chat/completions` that shape an answer.

`n` is not one: repeats are cells of their own. `seed` is not one: the spec's `seeds` says who sends which.
"""

from collections.abc import Mapping
from typing import Any, Self

from pydantic import model_validator

from pipelines.sweeps.axis import AnyAxis, Bounds
from pipelines.sweeps.axis_field import choices, numbers
from pipelines.sweeps.strict import Strict

LIMITS = ("max_tokens", "max_completion_tokens")  # two names of one parameter
MAX_STOPS = 4  # what chat takes
MAX_TOKENS = 1_000_000

_PENALTY = Bounds(least=-2, most=2)
_TOKENS = Bounds(whole=True, least=1, most=MAX_TOKENS)


def _stop(value: Any) -> Any:
    texts = value if isinstance(value, list | tuple) else [value]
    if not 1 <= len(texts) <= MAX_STOPS or not all(isinstance(text, str) and text for text in texts):
        raise ValueError(
            f"should be a text, a list of texts, or a list of lists of up to {MAX_STOPS}; got {value!r}"
        )
    return list(texts) if isinstance(value, list | tuple) else value


def _object(value: Any) -> Any:
    if not isinstance(value, Mapping):
        raise ValueError(f"should be an object, or a list of objects; got {value!r}")
    return dict(value)


def _flag(value: Any) -> Any:
    if not isinstance(value, bool):
        raise ValueError(f"should be true, false, or a list of both; got {value!r}")
    return value


def _tokens(value: Any) -> Any:
    ids = value if isinstance(value, list | tuple) else ()
    if not ids or not all(isinstance(one, int) and not isinstance(one, bool) for one in ids):
        raise ValueError(f"should be a list of lists of token ids; got {value!r}")
    return list(ids)


_TEXTS = {"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]}
_OBJECT, _FLAG = {"type": "object"}, {"type": "boolean"}
_IDS = {"type": "array", "items": {"type": "integer"}}


class Parameters(Strict):
    """Sampling parameters, each one value, a list, or for numbers `{min, max, step}` with both ends included.

    One that is not named is left to the model. max_tokens: tokens of an answer at most. A value that is itself a
    list, as of `stop`, stands in a list: `stop: ["a", ["b", "c"]]` is two values.
    """

    # Stored runs are named by these in this order: new ones go to the end.
    temperature: numbers(Bounds(least=0, most=2)) = None  # type: ignore[valid-type]  # built by a function
    top_p: numbers(Bounds(above=0, most=1)) = None  # type: ignore[valid-type]
    max_tokens: numbers(_TOKENS) = None  # type: ignore[valid-type]
    frequency_penalty: numbers(_PENALTY) = None  # type: ignore[valid-type]
    presence_penalty: numbers(_PENALTY) = None  # type: ignore[valid-type]
    repetition_penalty: numbers(Bounds(above=0, most=10)) = None  # type: ignore[valid-type]
    top_k: numbers(Bounds(whole=True, least=-1, most=1_000_000)) = None  # type: ignore[valid-type]
    min_p: numbers(Bounds(least=0, most=1)) = None  # type: ignore[valid-type]
    min_tokens: numbers(Bounds(whole=True, least=0, most=MAX_TOKENS)) = None  # type: ignore[valid-type]
    max_completion_tokens: numbers(_TOKENS) = None  # type: ignore[valid-type]
    truncate_prompt_tokens: numbers(_TOKENS) = None  # type: ignore[valid-type]
    stop: choices(_stop, _TEXTS) = None  # type: ignore[valid-type]
    stop_token_ids: choices(_tokens, _IDS) = None  # type: ignore[valid-type]
    response_format: choices(_object, _OBJECT) = None  # type: ignore[valid-type]
    structured_outputs: choices(_object, _OBJECT) = None  # type: ignore[valid-type]
    logit_bias: choices(_object, _OBJECT) = None  # type: ignore[valid-type]
    chat_template_kwargs: choices(_object, _OBJECT) = None  # type: ignore[valid-type]
    ignore_eos: choices(_flag, _FLAG) = None  # type: ignore[valid-type]
    include_stop_str_in_output: choices(_flag, _FLAG) = None  # type: ignore[valid-type]

    @model_validator(mode="after")
    def _one_limit(self) -> Self:
        if self.max_tokens is not None and self.max_completion_tokens is not None:
            raise ValueError("max_tokens and max_completion_tokens are two names of one limit: name one")
        return self

    @property
    def axes(self) -> dict[str, AnyAxis]:
        """The parameters that were named, in a fixed order."""
        found = ((name, getattr(self, name)) for name in type(self).model_fields)
        return {name: axis for name, axis in found if axis is not None}
