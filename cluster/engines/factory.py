"""The engine that settings name. Heavy adapters are imported only when one is asked for."""

from functools import partial

from cluster.engines.protocol import ChatEngine, EmbeddingEngine
from cluster.engines.source import resolve_source
from cluster.errors import StartFailed
from cluster.settings.engines import (
    HashSettings,
    ScriptedSettings,
    SentenceSettings,
    TransformersSettings,
    VllmSettings,
)
from cluster.settings.models import ModelSettings
from cluster.settings.tree import Settings

SCRIPTED_CONTEXT = 4096  # words, where the model's settings say nothing


def chat_engine(model: ModelSettings, settings: Settings) -> ChatEngine:
    """Build a chat engine, not yet started. Raises StartFailed when its folder does not exist."""
    if isinstance(model.engine, ScriptedSettings):
        from cluster.engines.scripted import ScriptedEngine

        context = model.context_length or SCRIPTED_CONTEXT
        return ScriptedEngine(model.engine, model.id, context, limits=settings.limits)
    if isinstance(model.engine, VllmSettings):
        source = resolve_source(model.engine.source, settings.hub)
        from cluster.engines.vllm import VllmEngine

        return VllmEngine(
            model.engine,
            model.id,
            source=source,
            context_length=model.context_length,
            hub=settings.hub,
            limits=settings.limits,
        )
    if isinstance(model.engine, TransformersSettings):
        return _transformers(model.engine, model, settings)
    raise StartFailed(
        f"The engine {model.engine.kind!r} of {model.id} does not chat", hint="vllm, transformers or scripted"
    )


def embedding_engine(model: ModelSettings, settings: Settings) -> EmbeddingEngine:
    """Build an embedding engine, not yet started. Raises StartFailed when its folder does not exist."""
    if isinstance(model.engine, HashSettings):
        from cluster.engines.hashing import HashEmbedder

        return HashEmbedder(model.engine)
    if isinstance(model.engine, SentenceSettings):
        from cluster.engines.sentence import BUILTIN, SentenceEngine

        source = model.engine.source
        if source != BUILTIN:
            source = resolve_source(source, settings.hub)
        return SentenceEngine(model.engine, source=source, context_length=model.context_length, hub=settings.hub)
    raise StartFailed(f"The engine {model.engine.kind!r} of {model.id} does not embed", hint="sentence or hash")


def _transformers(engine: TransformersSettings, model: ModelSettings, settings: Settings) -> ChatEngine:
    from cluster.engines.threaded import ThreadedEngine
    from cluster.engines.transformers import load

    source = resolve_source(engine.source, settings.hub)
    return ThreadedEngine(
        partial(load, engine, model.id, source=source, context_length=model.context_length, hub=settings.hub),
        model.id,
        kind=engine.kind,
        limits=settings.limits,
        context_length=model.context_length or 0,
    )
