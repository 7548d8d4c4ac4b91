"""The caches that the settings ask for."""

from dataclasses import dataclass

from cluster.settings.gateway import CacheSettings
from cluster.settings.tree import Settings
from deployments.gateway.cache.answers import AnswerCache
from deployments.gateway.cache.memory import MemoryStore
from deployments.gateway.cache.store import CacheStore
from deployments.gateway.cache.vectors import VectorCache
from deployments.gateway.metrics import Metrics


@dataclass(frozen=True, slots=True, kw_only=True)
class Caches:
    """One gateway's caches, over one store."""

    answers: AnswerCache
    vectors: VectorCache


def open_caches(settings: Settings, metrics: Metrics | None = None) -> Caches | None:
    """None where the cache is off. Connects to nothing yet."""
    store = _store(settings.cache)
    if store is None:
        return None
    # A changed default, such as a temperature, changes answers as much as other weights do.
    configured = {model.id: model.engine.model_dump_json() for model in settings.models}
    return Caches(
        answers=AnswerCache(settings.cache, store, configured, metrics=metrics),
        vectors=VectorCache(store, configured, metrics=metrics),
    )


def _store(settings: CacheSettings) -> CacheStore | None:
    if not settings.enabled:
        return None
    if settings.redis is not None:
        from deployments.gateway.cache.redis import RedisStore

        return RedisStore(settings.redis, max_entry_bytes=settings.max_entry_bytes, ttl_s=settings.ttl_s)
    return MemoryStore(
        max_bytes=settings.max_bytes,
        max_entries=settings.max_entries,
        max_entry_bytes=settings.max_entry_bytes,
        ttl_s=settings.ttl_s,
    )
