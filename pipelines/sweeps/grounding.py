"""A cell's passages: searched for, judged, and put into the message that its model is asked. Knows no Ray.

What a question would get from `POST /api/v1/rag/query` with the same settings: a test compares the messages.
"""

import asyncio
import json
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from cluster.documents import EQUAL, LegWeights, Passage, SearchCall, SearchMode
from cluster.retrieval.fusion import CANDIDATES
from cluster.retrieval.relevance import judge
from cluster.settings.pipelines import DocumentSettings
from pipelines.documents.grounding import ABSTENTION, fit, message
from pipelines.sweeps.cuts import Cut, cut_of
from pipelines.sweeps.plan import Cell

KEPT = 256  # searches whose result is kept: the cells of a prompt come together
LIMITS = ("max_tokens", "max_completion_tokens")

Search = Callable[[SearchCall], Awaitable[tuple[Passage, ...]]]
Rank = Callable[[str, str, Sequence[str]], Awaitable[list[float]]]
"""Scores texts for a question by a model's own measure; higher is closer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Grounded:
    """What a cell sends in its prompt's place. answer: what stands where no passage is worth showing."""

    message: str = ""
    answer: str | None = None


Ground = Callable[[Cell, int], Awaitable[Grounded]]
"""Grounds a cell, for a model whose context has so many tokens. Raises what a search raises."""


class Grounding:
    """Grounds the cells of a sweep. collections: the store's names of those that the spec names.

    rank: for specs that rerank. recuts: the store's names of what cells with sizes of chunks search.
    """

    def __init__(
        self,
        search: Search,
        settings: DocumentSettings,
        collections: Mapping[str, str],
        rank: Rank | None = None,
        recuts: Mapping[Cut, str] | None = None,
    ) -> None:
        self._search = search
        self._rank = rank
        self._settings = settings
        self._collections = collections
        self._recuts = recuts or {}
        self._found: OrderedDict[str, asyncio.Task[Sequence[Passage]]] = OrderedDict()

    async def __call__(self, cell: Cell, context_length: int) -> Grounded:
        """The message for one cell."""
        asked = dict(cell.retrieval or {})
        passages = await self._passages(cell.text, asked)
        if not passages:
            return Grounded(answer=ABSTENTION)
        answer = next((cell.parameters[name] for name in LIMITS if name in cell.parameters), None)
        count = fit(
            passages,
            cell.text,
            context_length=context_length,
            answer_tokens=answer or self._settings.answer_tokens,
        )
        return Grounded(message=message(passages[:count], cell.text))

    async def _passages(self, question: str, asked: Mapping[str, Any]) -> Sequence[Passage]:
        """The passages worth showing; asked for once by all cells that ask the same."""
        key = json.dumps([question, asked], sort_keys=True)
        task = self._found.get(key)
        if task is None or (task.done() and (task.cancelled() or task.exception() is not None)):
            task = self._found[key] = asyncio.ensure_future(self._searched(question, asked))
            while len(self._found) > KEPT:
                self._found.popitem(last=False)
        return await asyncio.shield(task)

    async def _searched(self, question: str, asked: Mapping[str, Any]) -> Sequence[Passage]:
        limit, ranker = asked.get("limit") or self._settings.passages, asked.get("rerank")
        call = SearchCall(
            query=question,
            limit=limit if ranker is None else max(limit, CANDIDATES),
            collection=self._searched_in(asked),
            mode=SearchMode(asked.get("mode") or SearchMode.HYBRID),
            where=asked.get("where"),
            diversity=asked.get("diversity") or 0.0,
            per_document=asked.get("per_document"),
            weights=LegWeights(**asked["weights"]) if "weights" in asked else EQUAL,
        )
        least = asked.get("min_score", self._settings.min_score)
        found = await self._search(call)
        if ranker is not None:
            found = await self._ranked(ranker, question, found)
        return [one.passage for one in judge(question, found[:limit]) if one.evidence >= least]

    def _searched_in(self, asked: Mapping[str, Any]) -> str:
        cut, collection = cut_of(asked), asked.get("collection")
        if cut is not None:
            return self._recuts[cut]
        return self._settings.collection if collection is None else self._collections[collection]

    async def _ranked(self, model: str, question: str, found: Sequence[Passage]) -> tuple[Passage, ...]:
        """The passages in a model's order, each with its score."""
        assert self._rank is not None, "a sweep that reranks has something to rank with"
        if not found:
            return ()
        scores = await self._rank(model, question, [passage.chunk.text for passage in found])
        order = sorted(range(len(found)), key=lambda place: -scores[place])
        return tuple(replace(found[place], score=scores[place]) for place in order)
