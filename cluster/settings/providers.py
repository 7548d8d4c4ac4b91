"""Providers whose models are not named one by one: all that they list may be asked for, as `provider/model`."""

from fnmatch import fnmatchcase
from typing import Annotated, Any

from pydantic import Field

from cluster.settings.remote import OllamaPlace, OllamaSettings, OpenAIPlace, OpenAISettings
from cluster.settings.strict import Strict

LOCAL = "local"
"""The provider of what this cluster runs itself."""
WILD = frozenset("*?[")


class Offer(Strict):
    """What of a provider's models is offered here. Patterns are a shell's: `*`, `?`, `[ab]`.

    id: clients write it before a model's name, with a slash. A model of `models` without `*?[` in its name may be
    asked for whether or not the provider lists it.
    """

    id: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")
    models: tuple[str, ...] = Field(("*",), min_length=1, description="names, or patterns, of what is offered")
    without: tuple[str, ...] = Field((), description="the same, of what is not")
    embeddings: tuple[str, ...] = Field(
        ("*embed*",), description="names, or patterns, of those that embed, where the provider does not say"
    )
    pictures: tuple[str, ...] = Field((), description="the same, of those that see pictures")
    ttl_s: float = Field(300.0, ge=1, description="how old its list may be before it is asked again")
    context_length: int | None = Field(None, ge=16, description="where it does not say; None assumes 8192")
    max_ongoing: int = Field(64, ge=1, description="requests of a gateway to it at once; past it 429")

    def offers(self, name: str) -> bool:
        """Whether a model of that name is offered, if the provider has it."""
        return _any(self.models, name) and not _any(self.without, name)

    def embeds(self, name: str) -> bool:
        """Whether a model of which nothing else is known is taken for one that embeds."""
        return _any(self.embeddings, name)

    def sees(self, name: str) -> bool:
        """The same of pictures."""
        return _any(self.pictures, name)

    @property
    def named(self) -> tuple[str, ...]:
        """The models that may be asked for whatever the provider lists."""
        return tuple(name for name in self.models if not WILD & set(name) and self.offers(name))


class OpenAIProvider(OpenAIPlace, Offer):
    """All models of an OpenAI-compatible endpoint."""

    def engine(self, model: str) -> OpenAISettings:
        """The engine of one of them."""
        return OpenAISettings.model_validate({**_shared(self, OpenAIPlace), "model": model})


class OllamaProvider(OllamaPlace, Offer):
    """All models of an Ollama server."""

    def engine(self, model: str) -> OllamaSettings:
        """The engine of one of them."""
        return OllamaSettings.model_validate({**_shared(self, OllamaPlace), "model": model})


AnyProvider = OpenAIProvider | OllamaProvider
Provider = Annotated[AnyProvider, Field(discriminator="kind")]


def check_providers(providers: tuple[AnyProvider, ...], model_ids: frozenset[str]) -> None:
    """Raises ValueError where two would be called the same."""
    ids = [provider.id for provider in providers]
    for name in ids:
        if ids.count(name) > 1:
            raise ValueError(f"the provider {name!r} is given twice")
        if name == LOCAL:
            raise ValueError(f"a provider cannot be called {LOCAL!r}: that is this cluster itself")
        shadowed = sorted(model for model in model_ids if model.startswith(f"{name}/"))
        if shadowed:
            raise ValueError(f"the model {shadowed[0]!r} looks like one of the provider {name!r}: rename either")


def _any(patterns: tuple[str, ...], name: str) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in patterns)


def _shared(provider: OpenAIPlace | OllamaPlace, place: type[Strict]) -> dict[str, Any]:
    return {name: getattr(provider, name) for name in place.model_fields}
