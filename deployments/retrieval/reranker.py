"""A cross-encoder's replica: a shell of one worker thread and a batcher around an engine."""

import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from cluster import collector
from cluster.engines.card import loaded_card
from cluster.engines.factory import rerank_engine
from cluster.engines.reading import Reading
from cluster.errors import BadRequest
from cluster.settings.models import ModelSettings
from cluster.settings.tree import Settings
from cluster.types import Embeddings, ModelCard, ScoreCall, Scores
from deployments.retrieval.batcher import Batcher


class Reranker:
    """One replica of a cross-encoder. Its constructor returns when the model is loaded."""

    def __init__(self, model: ModelSettings, settings: Settings) -> None:
        self._model = model
        self._engine = rerank_engine(model, settings)
        with collector.paused():
            self._engine.start()
        # One thread computes: torch spreads a batch over the cores by itself.
        self._batcher = Batcher(
            read=self._read,
            embed=self._rows,
            reader=ThreadPoolExecutor(1, thread_name_prefix="read"),
            computer=ThreadPoolExecutor(1, thread_name_prefix="score"),
        )
        self._loaded = int(time.time())

    async def card(self) -> ModelCard:
        """What the model is and can do."""
        return loaded_card(self._model, self._engine, created=self._loaded)

    async def score(self, call: ScoreCall) -> Scores:
        """The scores of the pairs, in their order. Raises BadRequest as the engine's `read` does."""
        if not call.second or len(call.first) not in (1, len(call.second)):
            raise BadRequest(f"{len(call.first)} and {len(call.second)} texts are no pairs", hint="one, or as many")
        found = await self._batcher.embed(call)
        return Scores(values=found.vectors[:, 0], tokens=found.tokens, truncated=found.truncated)

    async def check_health(self) -> None:
        """Called by Serve every second: answering at all shows that the loop is free."""

    def _read(self, call: ScoreCall) -> Reading:
        return self._engine.read(call.first, call.second)

    def _rows(self, items: Sequence[Any]) -> Embeddings:
        """Scores as the batcher joins them: rows of one number."""
        found = self._engine.compute(items)
        return Embeddings(vectors=found.values[:, None], tokens=found.tokens)
