"""What is known of a model beside its record: of the fleet, of its card, of its files. Asking loads nothing."""

import asyncio
from collections.abc import Mapping
from datetime import UTC, datetime

from cluster.errors import HeliostatError
from cluster.library.entry import ModelEntry
from cluster.library.library import Library
from cluster.settings.tree import Settings
from cluster.types import LoadedModel, ModelCard, ModelState
from deployments.clients import Backends
from deployments.gateway.model_records.shown import Facts
from deployments.gateway.models.on_demand import Available

ANSWER_S = 1.0  # a model or fleet that does not answer by then adds nothing to what is shown


class Known:
    """The models of a gateway, by the names that records have."""

    def __init__(self, backends: Backends, settings: Settings) -> None:
        self._backends = backends
        self._settings = settings
        self._embedder = settings.embedding_models[0].id if settings.embedding_models else None

    def name_of(self, asked: str) -> str | None:
        """A model's own name; None where there is none of that name."""
        models = self._backends.models
        if asked == self._embedder or asked in self._backends.rerankers:
            return asked
        if isinstance(models, Available):
            return models.name_of(asked)
        return asked if asked in models else None

    def names(self) -> set[str]:
        """All models that may be asked for."""
        models = self._backends.models
        coming = {card.id for card in models.loadable()} if isinstance(models, Available) else set()
        return {*models, *coming, *self._backends.rerankers, *([self._embedder] if self._embedder else [])}

    async def loaded(self) -> Mapping[str, LoadedModel]:
        """What the fleet has loaded, or is about to."""
        fleet = self._backends.fleet
        if fleet is None:
            return {}
        try:
            async with asyncio.timeout(ANSWER_S):
                return {row.id: row for row in await fleet.loaded()}
        except (HeliostatError, TimeoutError):
            return {}

    def entries(self) -> dict[str, ModelEntry]:
        """What the library says of models, by each of their names. Reads the disk."""
        return {name: entry for entry in Library(self._settings.hub).entries() for name in entry.names}

    async def facts(self, name: str, *, row: LoadedModel | None, entry: ModelEntry | None, paths: bool) -> Facts:
        """Of one model. row: the fleet's; entry: the library's. paths: whether to tell where its files are."""
        card = await self._card(name)
        configured = next((model for model in self._settings.models if model.id == name), None)
        generation = entry.generation if entry is not None else {}
        if configured is not None and (own := getattr(configured.engine, "generation", None)) is not None:
            generation = {**generation, **own.model_dump(exclude_none=True)}
        ready = row is not None and row.state is ModelState.READY
        loaded_at = row.loaded_at if row is not None else None
        if loaded_at is None and card is not None:
            loaded_at = card.created or None
        context = card.capabilities.context_length if card is not None else None
        task = "vision" if card is not None and card.capabilities.images else None
        return Facts(
            provider=card.engine if card is not None else entry.kind if entry is not None else None,
            task=task or (str(card.capabilities.task) if card is not None else entry.task if entry else None),
            folder=entry.folder if entry is not None and paths else None,
            loaded=ready or (row is None and card is not None and card.created > 0),
            loaded_at=datetime.fromtimestamp(loaded_at, UTC) if loaded_at else None,
            memory_gib=(row.memory_gib if row is not None else None) or (card.memory_gib if card else None),
            load_s=row.load_s if row is not None else None,
            context_length=context or (entry.context_length if entry is not None else None),
            generation=generation,
        )

    async def _card(self, name: str) -> ModelCard | None:
        """A model's card: of a replica where one is there, else what its description says."""
        models, embedder = self._backends.models, self._backends.embedder
        try:
            async with asyncio.timeout(ANSWER_S):
                if isinstance(models, Available) and (card := await models.card(name)) is not None:
                    return card
                if name in models:
                    return await models[name].card()
                if name in self._backends.rerankers:
                    return await self._backends.rerankers[name].card()
                return await embedder.card() if embedder is not None and name == self._embedder else None
        except (HeliostatError, TimeoutError):
            return None
