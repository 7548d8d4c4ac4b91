"""What a provider says of a model: its context, whether it sees pictures, calls functions, or embeds."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

ASSUMED_CONTEXT = 8192  # tokens, where neither provider nor config says: prompts that we make ourselves fit in it
LEAST_CONTEXT = 16
CONTEXT_NAMES = ("max_model_len", "context_length", "context_window", "max_context_length")


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """None is what it does not say."""

    context_length: int | None = None
    images: bool | None = None
    tools: bool | None = None
    embeds: bool | None = None


def of_listed(data: Any, model: str) -> Facts:
    """What an OpenAI-compatible `/models` says of one model, in the words of several providers."""
    entry = next((one for one in entries_of(data) if one.get("id") == model), None)
    return Facts() if entry is None else of_entry(entry)


def entries_of(data: Any) -> list[Mapping[str, Any]]:
    """The entries of an OpenAI-compatible list of models; what is none is left out."""
    listed = data.get("data") if isinstance(data, Mapping) else None
    return [one for one in listed if isinstance(one, Mapping)] if isinstance(listed, list) else []


def of_entry(entry: Mapping[str, Any]) -> Facts:
    """What one entry of such a list says of its model."""
    told = entry.get("capabilities")
    context = next((size for name in CONTEXT_NAMES if (size := length(entry.get(name)))), None)
    if isinstance(told, list):  # as we ourselves list them
        embeds = "embedding" in told and "chat" not in told
        return Facts(context_length=context, images="vision" in told, tools="tools" in told, embeds=embeds)
    if isinstance(told, Mapping):
        return Facts(
            context_length=context, images=_flag(told.get("vision")), tools=_flag(told.get("function_calling"))
        )
    architecture, honoured = entry.get("architecture"), entry.get("supported_parameters")
    seen = architecture.get("input_modalities") if isinstance(architecture, Mapping) else None
    return Facts(
        context_length=context,
        images="image" in seen if isinstance(seen, list) else None,
        tools="tools" in honoured if isinstance(honoured, list) else None,
    )


def length(value: Any) -> int | None:
    """A context length, None for what is none."""
    return value if isinstance(value, int) and LEAST_CONTEXT <= value < 2**31 else None


def _flag(value: Any) -> bool | None:
    return value if isinstance(value, bool) else None
