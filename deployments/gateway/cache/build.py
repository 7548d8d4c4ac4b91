"""The caches that the settings ask for."""

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass

from cluster.settings.gateway import CacheSettings
from cluster.settings.tree import Settings
from deployments.clients import Embedder
from deployments.gateway.cache.answers import AnswerCache
from deployments.gateway.cache.memory import MemoryStore
from deployments.gateway.cache.questions import MemoryQuestions, QuestionStore
from deployments.gateway.cache.semantic import QuestionEmbedder, SemanticCache
from deployments.gateway.cache.store import CacheStore
from deployments.gateway.cache.vectors import VectorCache
from deployments.gateway.limits.gate import Gate
from deployments.gateway.metrics import Metrics

CLOSE_S = 2.0  # whoever stops a gateway waits no longer for the cache


@dataclass(frozen=True, slots=True, kw_only=True)
class Caches:
    """One gateway's caches, over one store."""

    answers: AnswerCache
    vectors: VectorCache
    store: CacheStore

    async def close(self) -> None:
        """Store what is still to be stored, as far as that is soon done; then give back what the stores hold."""
        with suppress(TimeoutError):
            async with asyncio.timeout(CLOSE_S):
                await self.answers.settled()
                await self.vectors.settled()
        if self.answers.semantic is not None:
            await self.answers.semantic.close()
        await self.store.close()


def open_caches(
    settings: Settings,
    metrics: Metrics | None = None,
    *,
    embedder: Embedder | None = None,
    gate: Gate | None = None,
) -> Caches | None:
    """None where the cache is off. Connects to nothing yet.

    embedder: of questions, where `cache.semantic` is on; it is asked through the gate.
    """
    if not settings.cache.enabled:
        return None
    # A changed default, such as a temperature, changes answers as much as other weights do.
    configured = {model.id: model.engine.model_dump_json() for model in settings.models}
    store, questions = _stores(settings.cache)
    semantic = None
    if settings.cache.semantic.enabled:
        asked = _embedder(settings, configured, embedder, gate or Gate())
        semantic = SemanticCache(settings.cache.semantic, questions, asked)
    return Caches(
        answers=AnswerCache(settings.cache, store, configured, metrics=metrics, semantic=semantic),
        vectors=VectorCache(store, configured, metrics=metrics),
        store=store,
    )


def _embedder(
    settings: Settings, configured: Mapping[str, str], embedder: Embedder | None, gate: Gate
) -> QuestionEmbedder:
    if embedder is None:
        raise ValueError("cache.semantic.enabled needs the embedder")
    return QuestionEmbedder(embedder, gate, configured[settings.embedding_models[0].id])


def _stores(settings: CacheSettings) -> tuple[CacheStore, QuestionStore]:
    """Where answers are kept, and where questions are; of Redis, over the same connections."""
    semantic = settings.semantic
    if settings.redis is None:
        answers = MemoryStore(
            max_bytes=settings.max_bytes,
            max_entries=settings.max_entries,
            max_entry_bytes=settings.max_entry_bytes,
            ttl_s=settings.ttl_s,
        )
        return answers, MemoryQuestions(
            max_entries=semantic.max_entries, max_bytes=semantic.max_bytes, ttl_s=settings.ttl_s
        )
    from deployments.gateway.cache.redis import RedisStore
    from deployments.gateway.cache.redis_link import RedisLink
    from deployments.gateway.cache.redis_questions import RedisQuestions

    link = RedisLink(settings.redis)
    return (
        RedisStore(link, max_entry_bytes=settings.max_entry_bytes, ttl_s=settings.ttl_s),
        RedisQuestions(link, max_entries=semantic.max_entries, ttl_s=settings.ttl_s),
    )
