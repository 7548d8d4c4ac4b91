"""The engine that settings name. Heavy adapters are imported only when one is asked for."""

from functools import partial
from typing import TYPE_CHECKING

from cluster.engines.protocol import ChatEngine, EmbeddingEngine, RerankEngine
from cluster.engines.source import resolve_source
from cluster.errors import StartFailed
from cluster.gpus import nvml, sizes_gib
from cluster.settings.engines import (
    CrossEncoderSettings,
    HashSettings,
    LlamaCppSettings,
    ScriptedSettings,
    SentenceSettings,
    TransformersSettings,
    VllmSettings,
)
from cluster.settings.models import ModelSettings
from cluster.settings.remote import OllamaSettings, OpenAISettings
from cluster.settings.tree import Settings

if TYPE_CHECKING:
    from cluster.engines.remote.connection import Place

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
            _shared(model.engine, model, settings),
            model.id,
            source=source,
            context_length=model.context_length,
            hub=settings.hub,
            limits=settings.limits,
        )
    if isinstance(model.engine, TransformersSettings):
        return _transformers(model.engine, model, settings)
    if isinstance(model.engine, LlamaCppSettings):
        from cluster.engines.llama_cpp import LlamaCppEngine
        from cluster.engines.llama_cpp_source import find

        find(model.id, model.engine, settings.hub)  # a file that does not exist is told now
        return LlamaCppEngine(model.engine, model.id, context_length=model.context_length, hub=settings.hub)
    if isinstance(model.engine, OpenAISettings | OllamaSettings):
        return _remote(model.engine, model, settings)
    raise StartFailed(
        f"The engine {model.engine.kind!r} of {model.id} does not chat",
        hint="vllm, transformers, llama_cpp, openai, ollama or scripted",
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
    if isinstance(model.engine, OpenAISettings | OllamaSettings):
        from cluster.engines.remote.embedding import RemoteEmbedder

        return RemoteEmbedder(model.engine, place=_place(model.engine, model), context_length=model.context_length)
    raise StartFailed(
        f"The engine {model.engine.kind!r} of {model.id} does not embed", hint="sentence, openai, ollama or hash"
    )


def rerank_engine(model: ModelSettings, settings: Settings) -> RerankEngine:
    """Build an engine that scores pairs, not yet started. Raises StartFailed when its folder does not exist."""
    if isinstance(model.engine, CrossEncoderSettings):
        from cluster.engines.cross_encoder import CrossEncoderEngine

        source = resolve_source(model.engine.source, settings.hub)
        return CrossEncoderEngine(
            model.engine, model.id, source=source, context_length=model.context_length, hub=settings.hub
        )
    raise StartFailed(f"The engine {model.engine.kind!r} of {model.id} does not rerank", hint="cross_encoder")


def _shared(engine: VllmSettings, model: ModelSettings, settings: Settings) -> VllmSettings:
    """The engine's settings with the part of its GPUs that this model takes."""
    reserved = settings.gpus_of(model)
    if not reserved:
        return engine
    from cluster.engines.gpu_share import share

    total = min(sizes_gib(nvml()), default=None)
    part = share(engine, memory_gib=model.memory_gib, gpus=reserved, total_gib=total)
    return engine.model_copy(update={"gpu_memory_utilization": part})


def _remote(engine: OpenAISettings | OllamaSettings, model: ModelSettings, settings: Settings) -> ChatEngine:
    from cluster.engines.remote.ollama import OllamaEngine
    from cluster.engines.remote.openai import OpenAIEngine

    place, context, limits = _place(engine, model), model.context_length, settings.limits
    if isinstance(engine, OllamaSettings):
        return OllamaEngine(engine, model.id, place=place, context_length=context, limits=limits)
    return OpenAIEngine(engine, model.id, place=place, context_length=context, limits=limits)


def _place(engine: OpenAISettings | OllamaSettings, model: ModelSettings) -> "Place":
    from cluster.config import secret
    from cluster.engines.remote.engine import place_of

    key = None if engine.api_key_env is None else secret(engine.api_key_env)
    return place_of(engine.url if isinstance(engine, OllamaSettings) else engine.base_url, engine, model.id, key)


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
