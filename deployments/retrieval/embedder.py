"""The embedding model's replica: a shell of one worker thread and a batcher around an engine."""

import asyncio
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from cluster import collector
from cluster.documents import Chunk
from cluster.engines.card import loaded_card
from cluster.engines.factory import embedding_engine
from cluster.engines.tokenizing import read_prompt
from cluster.errors import BadRequest, HeliostatError
from cluster.settings.models import ModelSettings
from cluster.settings.pipelines import DocumentSettings
from cluster.settings.tree import Settings
from cluster.types import EmbeddingCall, Embeddings, ModelCard, TokenizeCall, Tokenized
from deployments.retrieval.batcher import Batcher
from pipelines.documents.chunker import cut
from pipelines.documents.parsed import ParsedDocument, Uncut


class Embedder:
    """One replica of the embedding model. Its constructor returns when the model is loaded."""

    def __init__(self, model: ModelSettings, settings: Settings) -> None:
        self._model = model
        self._settings = settings.documents
        self._engine = embedding_engine(model, settings)
        with collector.paused():
            self._engine.start()
        # One thread computes: torch spreads a batch over the cores by itself. Cutting has its own, so that a
        # long document keeps no query waiting.
        self._computing = ThreadPoolExecutor(1, thread_name_prefix="embed")
        self._cutting = ThreadPoolExecutor(1, thread_name_prefix="cut")
        self._batcher = Batcher(
            read=self._engine.read,
            embed=self._engine.embed,
            reader=ThreadPoolExecutor(1, thread_name_prefix="read"),
            computer=self._computing,
        )
        self._loaded = int(time.time())

    async def card(self) -> ModelCard:
        """What the model is and can do."""
        return loaded_card(self._model, self._engine, created=self._loaded)

    async def embed(self, call: EmbeddingCall) -> Embeddings:
        """Vectors in the order of the inputs. Raises BadRequest as the engine's `pre` does."""
        if not call.inputs:
            raise BadRequest("There is nothing to embed", hint="send at least one input", param="input")
        return await self._batcher.embed(call.inputs)

    async def tokenize(self, call: TokenizeCall) -> Tokenized:
        """The tokens of a text. Raises BadRequest, and UnsupportedParameter for messages."""
        wanted = read_prompt(call)
        work = partial(self._engine.encode, special=wanted.special, strings=wanted.return_token_strs)
        return await asyncio.get_running_loop().run_in_executor(self._cutting, work, wanted.prompt)

    async def detokenize(self, tokens: Sequence[int]) -> str:
        """The text of tokens. Raises BadRequest for one outside the vocabulary."""
        return await asyncio.get_running_loop().run_in_executor(self._cutting, self._engine.decode, tokens)

    async def cut(
        self,
        parsed: ParsedDocument,
        *,
        document_id: str,
        source: str,
        documents: DocumentSettings | None = None,
    ) -> tuple[Chunk, ...]:
        """The document's chunks, measured with this model's tokenizer. documents: other sizes than the config's."""
        uncut = Uncut(parsed=parsed, document_id=document_id, source=source)
        found = await asyncio.get_running_loop().run_in_executor(self._cutting, self._cut, uncut, documents)
        if isinstance(found, HeliostatError):
            raise found
        return found

    async def cut_many(self, documents: Sequence[Uncut]) -> tuple[tuple[Chunk, ...] | HeliostatError, ...]:
        """The same of several documents at once; of each its chunks, or why it has none."""
        return await asyncio.get_running_loop().run_in_executor(
            self._cutting, lambda: tuple(self._cut(one) for one in documents)
        )

    def _cut(
        self, document: Uncut, documents: DocumentSettings | None = None
    ) -> tuple[Chunk, ...] | HeliostatError:
        try:
            return cut(
                document.parsed,
                document_id=document.document_id,
                source=document.source,
                tokenize=self._engine.tokenize,
                settings=documents or self._settings,
                model=self._model.id,
                context_length=self._engine.capabilities.context_length,
            )
        except HeliostatError as error:
            return error

    async def check_health(self) -> None:
        """Called by Serve every second: answering at all shows that the loop is free."""
