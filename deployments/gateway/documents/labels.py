"""What owners say of their documents, tags and metadata: read from bodies and forms, bounded, filterable."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any

from pydantic import AfterValidator, Field
from pydantic_core import from_json

from cluster.documents import MetadataValue
from cluster.errors import BadRequest
from deployments.gateway.parsing import parsed
from deployments.gateway.wire import Wire

OWN = frozenset({"tags", "source", "media_type", "created"})  # a filter's key of that name means the document's own


def _tag(text: str) -> str:
    if not text.isprintable() or "," in text or text != text.strip():
        raise ValueError("a tag has no comma, no control character and no space around it")
    return text


def _key(text: str) -> str:
    if not text.isprintable():
        raise ValueError("a key has no control character")
    if text in OWN:
        raise ValueError("the key is the document's own in filters; choose another")
    return text


def _value(value: MetadataValue) -> MetadataValue:
    if isinstance(value, str) and "\0" in value:
        raise ValueError("a NUL character cannot be stored")
    if isinstance(value, int) and not -(2**53) < value < 2**53:
        raise ValueError("a whole number is below 2^53, or it is changed on its way through JSON")
    return value


Tag = Annotated[str, Field(min_length=1, max_length=64), AfterValidator(_tag)]
Tags = Annotated[list[Tag], Field(max_length=32)]
Text = Annotated[str, Field(max_length=512)]
Number = Annotated[float, Field(allow_inf_nan=False)]
Metadata = Annotated[
    dict[
        Annotated[str, Field(min_length=1, max_length=64), AfterValidator(_key)],
        Annotated[Text | bool | int | Number, AfterValidator(_value)],
    ],
    Field(max_length=16),
]


class LabelChange(Wire):
    """Body of `PATCH /api/v1/documents/{id}`: what is left out, or null, stays."""

    tags: Tags | None = None
    metadata: Metadata | None = None


class _Metadata(Wire):
    metadata: Metadata


class _Tags(Wire):
    tags: Tags


@dataclass(frozen=True, slots=True, kw_only=True)
class Labels:
    """Tags, each once, and metadata."""

    tags: tuple[str, ...] = ()
    metadata: Mapping[str, MetadataValue] = field(default_factory=dict)


NONE = Labels()


def read_tags(sent: Iterable[str]) -> tuple[str, ...]:
    """Tags of a form: each value is one, or several divided by commas. Raises BadRequest naming `tags`."""
    tags = [tag.strip() for value in sent for tag in value.split(",") if tag.strip()]
    return tuple(dict.fromkeys(parsed(_Tags, {"tags": tags}).tags))


def read_metadata(sent: str) -> dict[str, MetadataValue]:
    """Metadata of a form: one JSON object. Raises BadRequest naming `metadata`."""
    return dict(parsed(_Metadata, {"metadata": json_field("metadata", sent)}).metadata)


def json_field(name: str, sent: str) -> Any:
    """What a field of a form says in JSON. Raises BadRequest naming it."""
    try:
        return from_json(sent, allow_inf_nan=False)
    except ValueError as error:
        raise BadRequest(f"{name} is not valid JSON: {error}", hint="it is read as JSON", param=name) from None
