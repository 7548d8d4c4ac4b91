"""All providers of a gateway: who provides which model, and what is known of the models that they list."""

import asyncio
from collections.abc import Callable, Mapping

from cluster.config import secret
from cluster.engines.remote.openai import PARAMETERS, TOOLS
from cluster.engines.remote.provider import Provider, ProviderState
from cluster.errors import ProviderNotFound
from cluster.settings.providers import LOCAL
from cluster.settings.remote import REMOTE_KINDS
from cluster.settings.tree import Settings
from cluster.types import Capabilities, ModelCard, Task


class Providers:
    """Who provides which model: this cluster, a provider of one configured model, or one that lists its own."""

    def __init__(self, settings: Settings, *, key: Callable[[str], str | None] = secret) -> None:
        """key: a secret by the name of its variable."""
        self._kinds = {model.id: model.engine.kind for model in settings.models}
        self.listing: Mapping[str, Provider] = {
            one.id: Provider(one, key=key(one.api_key_env) if one.api_key_env else None, limits=settings.limits)
            for one in settings.providers
        }

    @property
    def ids(self) -> tuple[str, ...]:
        """All providers: this cluster first, unless it runs no model itself; then those of single models."""
        found = {self.of(name): None for name in self._kinds}
        first = [LOCAL] if LOCAL in found else []
        return tuple(dict.fromkeys([*first, *sorted(found), *self.listing]))

    def of(self, model: str) -> str:
        """Whose model it is: `local`, the kind of its engine where that asks elsewhere, or a provider's id."""
        kind = self._kinds.get(model)
        if kind is not None:
            return kind if kind in REMOTE_KINDS else LOCAL
        ahead, slash, _ = model.partition("/")
        return ahead if slash and ahead in self.listing else LOCAL

    def check(self, provider: str) -> None:
        """Raises ProviderNotFound for one that there is not."""
        if provider not in self.ids:
            hint = f"there are {', '.join(self.ids)}"
            raise ProviderNotFound(f"No provider is called {provider[:64]!r}", hint=hint, param="provider")

    def full_name(self, provider: str, model: str) -> str | None:
        """A provider's model as clients ask for it, by that name or by the provider's own; None where it has none.

        Whether a model that this cluster runs itself is here is not known here.
        """
        for name in (model, f"{provider}/{model}"):
            if self.find(name) is not None and self.of(name) == provider:
                return name
        return model if provider not in self.listing and self.of(model) == provider else None

    def find(self, model: str) -> tuple[Provider, str] | None:
        """The provider of a model that it lists, and the model's name there; None for any other model."""
        if model in self._kinds:
            return None
        ahead, _, name = model.partition("/")
        provider = self.listing.get(ahead)
        return None if provider is None or not name or not provider.has(name) else (provider, name)

    def cards(self, provider: str | None = None) -> tuple[ModelCard, ...]:
        """What the providers list, as far as it is known; waits for nobody. provider: of one alone."""
        chosen = [one for one in self.listing.values() if provider in (None, one.id)]
        return tuple(card_of(one, model.name) for one in chosen for model in one.models)

    def states(self) -> tuple[ProviderState, ...]:
        """How those that list their models are."""
        return tuple(one.state for one in self.listing.values())

    def look(self) -> None:
        """Begin to ask for the lists."""
        for one in self.listing.values():
            one.look()

    async def stop(self) -> None:
        """Close all connections."""
        await asyncio.gather(*(one.stop() for one in self.listing.values()))


def card_of(provider: Provider, name: str) -> ModelCard:
    """The card of a model by what its provider says of it; nobody is asked."""
    facts, full = provider.facts(name), f"{provider.id}/{name}"
    able = Capabilities(
        task=Task.EMBEDDING if provider.embeds(name) else Task.CHAT,
        context_length=provider.context_length(name),
        images=bool(facts.images),
        parameters=PARAMETERS - (TOOLS if facts.tools is False else frozenset()),
    )
    return ModelCard(
        id=full,
        engine=provider.settings.kind,
        revision="",
        created=provider.created(name),
        capabilities=able,
    )
