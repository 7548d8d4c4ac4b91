"""A library without Serve: the real retrieval parts over the fake engines and the fake store."""

import json
from pathlib import Path
from typing import Any

from cluster.config import resolve
from cluster.engines.scripted import ScriptedEngine
from cluster.errors import ContextTooLong
from cluster.settings.engines import ScriptedSettings
from cluster.stores.embedding_cache import EmbeddingCache
from cluster.types import ChatCall, EmbeddingCall, Embeddings, ModelCard
from deployments.retrieval.embedder import Embedder
from deployments.retrieval.library import Library
from deployments.retrieval.vectors import VectorStore


class Chat:
    """A scripted chat model that keeps its requests. room: passages that fit, as its context would say."""

    def __init__(self, room: int = 99, context_length: int = 4096) -> None:
        self.engine = ScriptedEngine(ScriptedSettings(), "echo", context_length)
        self.room = room
        self.asked: list[str] = []

    async def card(self) -> ModelCard:
        return ModelCard(
            id="echo", engine="scripted", revision="r", created=1, capabilities=self.engine.capabilities
        )

    async def chat(self, call: ChatCall) -> bytes:
        content = json.loads(call.body)["messages"][0]["content"]
        self.asked.append(content)
        await self.engine.start()
        if content.count("\n[") > self.room:
            raise ContextTooLong("too long")
        return await self.engine.chat(call)

    def stream(self, call: ChatCall) -> Any:
        return self.engine.stream(call)


class CountingEmbedder(Embedder):
    """Counts the texts that it embeds."""

    embedded = 0

    async def embed(self, call: EmbeddingCall) -> Embeddings:
        self.embedded += len(call.inputs)
        return await super().embed(call)


def library(home: Path, vectors: Any = None, **documents: Any) -> Library:
    args = {
        "home": str(home),
        "models": [{"id": "hash", "engine": {"kind": "hash", "dimensions": 256}}],
        "documents": {"chunk_tokens": 32, "chunk_overlap": 0, **documents},
        "stores": {"vectors": {"kind": "memory"}},
    }
    settings = resolve(args, {})
    embedder = CountingEmbedder(settings.embedding_models[0], settings)
    cache = EmbeddingCache(home / "embeddings.sqlite", max_bytes=1024**2)
    return Library(settings.documents, embedder, vectors or VectorStore(settings), cache, clock=lambda: 1234.5)
