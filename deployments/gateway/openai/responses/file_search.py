"""The tool `file_search`: vector stores are searched for the last question once, before the model is asked.

At OpenAI the model decides when to search, and for what. Here it is searched whenever the tool is offered and the
choice of tools does not rule it out, so that it works with any model; what is found and speaks for itself is put
before the question, and where nothing is, the question goes to the model as it came.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Engine

from cluster.errors import BadRequest, CollectionNotFound
from cluster.retrieval.relevance import Judged
from cluster.settings.pipelines import DocumentSettings
from cluster.settings.tree import Settings
from cluster.stores.vector_store_files import StoreFile, StoreFiles
from cluster.types import Priority
from deployments.clients import Backends
from deployments.gateway.chats import Chats
from deployments.gateway.collections.directory import Collections
from deployments.gateway.limits.gate import Gate
from deployments.gateway.limits.usage import Estimate
from deployments.gateway.openai.responses.items import Stored
from deployments.gateway.openai.responses.wire import SEARCH_RESULTS, FileSearchTool, ResponseRequest
from deployments.gateway.principal import Asker, Role
from deployments.gateway.rag.citations import cite
from deployments.gateway.rag.searching import Searches, open_searches
from deployments.gateway.rag.wire import MAX_QUERY, SearchRequest

NOTHING = Estimate(prompt=0, answer=0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """A passage that was found, and the file that it is from."""

    found: Judged
    file_id: str
    filename: str
    attributes: Mapping[str, Any]

    def result(self) -> Stored:
        """As a result of the search. Its score is how likely it is about what was asked."""
        return {
            "attributes": dict(self.attributes),
            "file_id": self.file_id,
            "filename": self.filename,
            "score": round(self.found.confidence, 6),
            "text": self.found.passage.chunk.text,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Searched:
    """A search that was made. results: whether they were asked for. shown: sources that the model sees."""

    question: str
    sources: tuple[Source, ...]
    results: bool
    shown: int

    def item(self, identity: str) -> Stored:
        """The search as an output item."""
        results = [source.result() for source in self.sources] if self.results else None
        return {
            "id": identity,
            "type": "file_search_call",
            "status": "completed",
            "queries": [self.question],
            "results": results,
        }

    def annotations(self, text: str) -> list[Stored]:
        """The files that an answer names, or has words of, each by its place in the text."""
        shown = self.sources[: self.shown]
        cited = cite(text, [source.found.passage for source in shown])
        places = {
            (place, source.file_id): source
            for citation, source in zip(cited.citations, shown, strict=True)
            for place in (*citation.marks, *(quote.answer_end for quote in citation.quotes))
        }
        return [
            {
                "type": "file_citation",
                "file_id": file_id,
                "filename": places[index, file_id].filename,
                "index": index,
            }
            for index, file_id in sorted(places)
        ]


class FileSearch:
    """Searches vector stores, and collections, which are the same thing under another name."""

    def __init__(
        self, searches: Searches, collections: Collections, engine: Engine, gate: Gate, settings: DocumentSettings
    ) -> None:
        self._searches = searches
        self._collections = collections
        self._files = StoreFiles(engine)
        self._gate = gate
        self._settings = settings

    async def find(self, wanted: ResponseRequest, question: str, asker: Asker) -> Searched:
        """Search all that the tool names. Raises CollectionNotFound and BadRequest that name the tool's place.

        Raises Overloaded for who is over their limits, before anything is searched.
        """
        question = question[:MAX_QUERY]  # an embedder reads less
        at, tool = next((at, one) for at, one in enumerate(wanted.tools or ()) if isinstance(one, FileSearchTool))
        limit = tool.max_num_results or self._settings.passages
        # Given back at once: the answer that follows is counted by itself.
        async with self._gate.account(asker.principal, priority=Priority.INTERACTIVE, estimate=NOTHING):
            found = await asyncio.gather(
                *(
                    self._search(tool, question, limit, name, asker, f"tools[{at}]", place)
                    for place, name in enumerate(dict.fromkeys(tool.vector_store_ids))
                )
            )
        best = sorted((one for part in found for one in part), key=lambda source: -source.found.evidence)
        enough = [source for source in best if self._is_enough(source, tool)][:limit]
        asked = SEARCH_RESULTS in (wanted.include or ())
        return Searched(question=question, sources=tuple(enough), results=asked, shown=len(enough))

    def _is_enough(self, source: Source, tool: FileSearchTool) -> bool:
        least = tool.ranking_options.score_threshold if tool.ranking_options is not None else None
        if least is None:
            return source.found.evidence >= self._settings.min_score
        return source.found.confidence >= least

    async def _search(
        self, tool: FileSearchTool, question: str, limit: int, name: str, asker: Asker, param: str, place: int
    ) -> Sequence[Source]:
        """The sources of one store. place: of its name among the tool's."""
        request = SearchRequest(query=question, limit=limit, collection=name, filters=tool.filters)
        try:
            found = await self._searches.find(request, asker)
        except CollectionNotFound as error:
            error.param = f"{param}.vector_store_ids[{place}]"
            raise
        except BadRequest as error:
            of_filters = (error.param or "").startswith("filters")
            error.param = f"{param}.{error.param}" if of_filters else "input"
            raise
        files = await self._files_of(name, found, asker)
        return [_source(one, files.get(one.passage.chunk.document_id)) for one in found]

    async def _files_of(self, name: str, found: Sequence[Judged], asker: Asker) -> Mapping[str, StoreFile]:
        """The files behind documents, by the documents' ids."""
        principal = asker.principal
        store = await self._collections.find(principal.owner, name, operator=principal.role is Role.ADMIN)
        if store.made is None:
            return {}
        documents = {one.passage.chunk.document_id for one in found}
        return await asyncio.to_thread(self._files.of_documents, store.made.id, documents)


def open_file_search(backends: Backends, settings: Settings, chats: Chats, engine: Engine) -> FileSearch | None:
    """The search of an app; None where it has no documents."""
    if backends.retriever is None:
        return None
    collections = Collections(engine, backends.retriever, settings)
    searches = open_searches(backends, settings, chats, collections)
    return FileSearch(searches, collections, engine, chats.gate, settings.documents)


def _source(found: Judged, file: StoreFile | None) -> Source:
    """A document that came in without `/v1/files` is known by its own id."""
    chunk = found.passage.chunk
    if file is None:
        return Source(found=found, file_id=chunk.document_id, filename=chunk.source, attributes={})
    return Source(found=found, file_id=file.file_id, filename=file.filename, attributes=file.attributes)
