"""Cells that are answered from passages: the message is the one that the API would send."""

import asyncio
import json
from collections.abc import Sequence
from typing import Any

import pytest

from cluster.documents import Chunk, LegWeights, Passage, SearchCall, SearchMode
from cluster.errors import ModelNotFound
from cluster.retrieval.fusion import CANDIDATES
from cluster.settings.pipelines import DocumentSettings
from pipelines.documents.grounding import ABSTENTION, message
from pipelines.sweeps.cell import body_of
from pipelines.sweeps.cuts import Cut
from pipelines.sweeps.grounding import Grounding
from pipelines.sweeps.plan import Cell, Plan
from pipelines.sweeps.rankers import check_rankers
from pipelines.sweeps.spec import read_spec
from tests.unit.sweeps.test_cell import Model
from tests.unit.sweeps.test_spec import SPEC

QUESTION = "How long is the mast?"


def passage(text: str, cosine: float) -> Passage:
    chunk = Chunk(id=text, document_id="d", source="s.md", ordinal=0, start=0, end=len(text), text=text, tokens=3)
    return Passage(chunk=chunk, score=cosine, cosine=cosine)


class Library:
    """Finds the same passages for everybody."""

    def __init__(self, *passages: Passage) -> None:
        self.passages = passages
        self.calls: list[SearchCall] = []

    async def search(self, call: SearchCall) -> tuple[Passage, ...]:
        self.calls.append(call)
        await asyncio.sleep(0)
        return self.passages[: call.limit]


def cells(**retrieval: Any) -> list[Cell]:
    spec = {**SPEC, "prompts": [QUESTION], "retrieval": retrieval, "parameters": {"temperature": [0, 0.9]}}
    return list(Plan(spec=read_spec(spec)).cells())


def grounding(library: Library) -> Grounding:
    return Grounding(library.search, DocumentSettings(), {"ours": "tenant-ours"})


FOUND = (
    passage("The mast is nine metres long.", 0.8),
    passage("The mast is of wood.", 0.5),
    passage("Birds.", 0.1),
)


async def test_a_cell_is_asked_what_the_api_would_ask() -> None:
    library = Library(*FOUND)
    cell = cells(limit=4, mode="bm25", collection="ours", diversity=0.2, per_document=3)[0]
    grounded = await grounding(library)(cell, 4096)
    assert grounded.message == message(FOUND[:2], QUESTION)
    call = library.calls[0]
    assert (call.query, call.limit, call.mode, call.collection) == (QUESTION, 4, SearchMode.BM25, "tenant-ours")
    assert (call.diversity, call.per_document) == (0.2, 3)
    assert json.loads(body_of(cell, grounded))["messages"][-1]["content"] == grounded.message


async def test_cells_that_ask_the_same_search_once() -> None:
    library = Library(*FOUND)
    ground = grounding(library)
    one, other = cells(limit=2)
    assert await asyncio.gather(ground(one, 4096), ground(other, 4096), ground(one, 4096))
    assert len(library.calls) == 1


async def test_a_small_context_is_shown_fewer_passages() -> None:
    grounded = await grounding(Library(*FOUND))(cells(limit=2)[0], 150)
    assert grounded.message == message(FOUND[:1], QUESTION)


async def test_where_no_passage_is_worth_showing_no_model_is_asked() -> None:
    model = Model()
    row = await model.run(cells(min_score=0.99)[0], ground=grounding(Library(*FOUND)))
    assert (row["text"], row["finish_reason"], row["completion_tokens"]) == (ABSTENTION, "stop", 0)
    assert json.loads(row["retrieval"]) == {"min_score": 0.99}
    assert model.calls == []


async def test_a_search_that_fails_is_tried_again() -> None:
    library = Library(*FOUND)
    failing = [ValueError("away")]

    async def search(call: SearchCall) -> tuple[Passage, ...]:
        if failing:
            raise failing.pop()
        return await library.search(call)

    ground = Grounding(search, DocumentSettings(), {})
    cell = cells(limit=2)[0]
    try:
        await ground(cell, 4096)
    except ValueError:
        assert (await ground(cell, 4096)).message
    else:
        raise AssertionError("the failure was swallowed")


async def test_the_legs_weights_are_the_cells() -> None:
    library = Library(*FOUND)
    ground = grounding(library)
    for cell in cells(weights=[{"dense": 3}, {"dense": 1, "bm25": 2}]):
        await ground(cell, 4096)
    assert [call.weights for call in library.calls] == [LegWeights(dense=3, bm25=1), LegWeights(dense=1, bm25=2)]


async def test_cells_with_sizes_of_chunks_search_what_was_cut_so() -> None:
    library = Library(*FOUND)
    recuts = {Cut(collection="ours", tokens=tokens): f"cut-{tokens}" for tokens in (32, 64)}
    ground = Grounding(library.search, DocumentSettings(), {"ours": "tenant-ours"}, None, recuts)
    for cell in cells(collection="ours", chunk_tokens=[32, 64]):
        await ground(cell, 4096)
    assert [call.collection for call in library.calls] == ["cut-32", "cut-64"]


class Ranker:
    """Prefers what is longer."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, str, tuple[str, ...]]] = []

    async def rank(self, model: str, query: str, texts: Sequence[str]) -> list[float]:
        self.calls.append((model, query, tuple(texts)))
        return [float(len(text)) for text in texts]


async def test_a_ranker_reads_more_than_is_shown_and_its_order_is() -> None:
    library, ranker = Library(*reversed(FOUND)), Ranker()
    ground = Grounding(library.search, DocumentSettings(), {}, ranker.rank)
    both = cells(limit=1, rerank=[None, "ms-marco"])
    plain, ranked = (
        next(cell for cell in both if (cell.retrieval or {})["rerank"] == name) for name in (None, "ms-marco")
    )
    assert (await ground(ranked, 4096)).message == message(FOUND[:1], QUESTION)
    assert library.calls[0].limit == CANDIDATES
    assert ranker.calls == [("ms-marco", QUESTION, tuple(one.chunk.text for one in reversed(FOUND)))]
    assert (await ground(plain, 4096)).answer == ABSTENTION  # the search's own first is about birds
    assert library.calls[1].limit == 1
    assert plain.config_id != ranked.config_id


def test_a_spec_that_reranks_survives_being_stored() -> None:
    spec = read_spec({**SPEC, "retrieval": {"rerank": [None, "ms-marco"]}})
    again = read_spec(json.loads(spec.canonical()))
    assert again == spec
    assert Plan(spec=again).configurations == 2
    check_rankers(spec, ["ms-marco", "embedder"])


def test_a_ranker_that_is_not_served_is_refused_before_anything_runs() -> None:
    spec = read_spec({**SPEC, "retrieval": {"rerank": [None, "ms-marco"]}})
    with pytest.raises(ModelNotFound, match="'ms-marco' ranks nothing here") as caught:
        check_rankers(spec, ["embedder"])
    assert caught.value.param == "retrieval.rerank"
