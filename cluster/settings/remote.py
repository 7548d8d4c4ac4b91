"""Models that run elsewhere: any OpenAI-compatible endpoint, and Ollama by its own API."""

import re
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator
from pydantic_core import Url

from cluster.settings.generation import GenerationDefaults
from cluster.settings.strict import Strict

REMOTE_KINDS = ("openai", "ollama")  # they hold no memory here
OPENAI_SAMPLING = ("temperature", "top_p")  # that every such endpoint takes
OWN_HEADERS = frozenset(
    {"accept", "accept-encoding", "connection", "content-encoding", "content-length", "content-type", "cookie"}
    | {"expect", "host", "te", "trailer", "transfer-encoding", "upgrade"}
)
SECRET_WORDS = ("authorization", "key", "token", "secret", "password")
HEADER_NAME = re.compile(r"[a-z0-9-]{1,64}")
HEADER_VALUE = re.compile(r"[\x21-\x7e]([\x20-\x7e]{0,510}[\x21-\x7e])?")


def _address(text: str) -> str:
    try:
        url = Url(text)
    except ValueError:
        raise ValueError("not an address, such as https://api.example.com/v1") from None
    if url.scheme not in ("http", "https") or not url.host:
        raise ValueError("not an http(s) address")
    if url.username or url.password:
        raise ValueError("an address without a user: name the variable that holds the key in api_key_env")
    if url.fragment:
        raise ValueError("an address without a fragment")
    return text


def _headers(headers: dict[str, str]) -> dict[str, str]:
    lowered = {name.lower(): value for name, value in headers.items()}
    for name, value in lowered.items():
        if name in OWN_HEADERS or not HEADER_NAME.fullmatch(name):
            raise ValueError(f"{name!r} is not a header that may be set here")
        if any(word in name for word in SECRET_WORDS):
            raise ValueError(f"{name!r} sounds like a secret: name its variable in api_key_env, and api_key_header")
        if not HEADER_VALUE.fullmatch(value):
            raise ValueError(f"the value of {name!r} is not one line of ASCII")
    return lowered


Address = Annotated[str, AfterValidator(_address)]
Headers = Annotated[dict[str, str], AfterValidator(_headers)]
Option = bool | int | float | str | tuple[str, ...]


class TimeoutSettings(Strict):
    """How long a provider is waited for, in milliseconds. Past it the request fails with provider_error."""

    connect_ms: int = Field(5_000, ge=1, description="for a connection; past it provider_unavailable")
    first_token_ms: int = Field(60_000, ge=1, description="of a stream, from the request to its first token")
    idle_ms: int = Field(60_000, ge=1, description="of a stream that has begun: between two signs of life")
    total_ms: int = Field(600_000, ge=1, description="of an answer, whole or streamed")


class PlaceSettings(Strict):
    """How any provider is reached. api_key_env: a variable of the environment of whoever asks, never the key."""

    api_key_env: str | None = Field(
        None, pattern=r"^[A-Za-z_][A-Za-z0-9_]*$", description="variable that holds the key; None sends none"
    )
    api_key_header: str = Field(
        "authorization", pattern=r"^[A-Za-z0-9-]{1,64}$", description="authorization takes `Bearer KEY`, others KEY"
    )
    headers: Headers = Field({}, description="further headers of every request; no secrets")
    proxy: Address | None = Field(None, description="proxies named by the environment are not used")
    ca_file: str | None = Field(None, description="certificate authorities to trust in place of the usual ones")
    timeouts: TimeoutSettings = TimeoutSettings()


class RemoteSettings(PlaceSettings):
    """One model of a provider."""

    model: str = Field(min_length=1, max_length=256, description="what the provider calls it")
    images: bool | None = Field(None, description="whether it sees pictures; None: as the provider says, else not")
    dimensions: int | None = Field(None, ge=1, description="of an embedding model; None asks for one embedding")


class OpenAIPlace(PlaceSettings):
    """Any OpenAI-compatible endpoint. base_url: with its version, such as https://api.example.com/v1.

    Nothing is tried again here: retries and fallbacks are the gateway's.
    """

    kind: Literal["openai"] = "openai"
    base_url: Address
    token_limit: Literal["max_tokens", "max_completion_tokens"] | None = Field(
        None, description="the only name that the provider knows for a limit of tokens; None sends it as it came"
    )
    extra_parameters: tuple[str, ...] = Field(
        (), description="honoured by it beyond OpenAI's, such as top_k, min_p and repetition_penalty at vLLM"
    )
    unsupported_parameters: tuple[str, ...] = Field((), description="of OpenAI's, not honoured by it")
    generation: GenerationDefaults = Field(GenerationDefaults(), description="sent where a request is silent")

    @model_validator(mode="after")
    def _sendable(self) -> "OpenAIPlace":
        for name in self.generation.said:
            known = name in OPENAI_SAMPLING or name in self.extra_parameters
            if not known or name in self.unsupported_parameters:
                raise ValueError(f"generation.{name} is not honoured there: extra_parameters names what is")
        return self


class OpenAISettings(OpenAIPlace, RemoteSettings):
    """A model of an OpenAI-compatible endpoint."""


class OllamaPlace(PlaceSettings):
    """An Ollama server of 0.12.6 or newer, by its native API. options: Ollama's own, where a request is silent."""

    kind: Literal["ollama"] = "ollama"
    url: Address = "http://127.0.0.1:11434"
    keep_alive: int | str | None = Field(
        None, description="how long it keeps the model loaded: seconds, `10m`, -1; None is its own default"
    )
    options: dict[str, Option] = Field({}, description="such as num_ctx, num_thread, repeat_last_n")
    think: bool | Literal["low", "medium", "high"] = Field(
        False, description="whether a model that can think does so; its thoughts are `reasoning` in the answer"
    )


class OllamaSettings(OllamaPlace, RemoteSettings):
    """A model of an Ollama server."""
