"""Settings of retrieval as axes of a sweep: each prompt is answered from the passages that are found for it.

A question is answered as `POST /api/v1/rag/query` answers it: the same search, the same judgement of what is worth
showing, the same message. With other sizes of chunks than a collection has, it is answered from a recut of it:
pipelines/documents/recut.py.
"""

from typing import Any, Self

from pydantic import model_validator

from cluster.errors import BadRequest
from pipelines.sweeps.axis import AnyAxis, Bounds
from pipelines.sweeps.axis_field import choices, numbers
from pipelines.sweeps.strict import Strict

MODES = ("dense", "bm25", "hybrid")
MAX_PASSAGES = 100  # what a search gives
MAX_NAME = 512
LEGS = ("dense", "bm25")
MOST_WEIGHT = 100.0  # as at the API
LEAST_TOKENS = 16  # of a chunk, as documents.chunk_tokens has it
MOST_TOKENS = 8192
WEIGHT = {"type": "number", "exclusiveMinimum": 0, "maximum": MOST_WEIGHT}
WEIGHTS = {"type": "object", "properties": dict.fromkeys(LEGS, WEIGHT), "additionalProperties": False}
NOT_HERE = {
    "chunk_size": "chunk_tokens is its name here",
    "embedder": "it belongs to a stored collection: ingest one collection for each, and sweep `collection`",
}


def _mode(value: Any) -> Any:
    if value not in MODES:
        raise ValueError(f"should be one of {', '.join(MODES)}, or a list of them; got {value!r}")
    return value


def _name(value: Any) -> Any:
    if not isinstance(value, str) or not 1 <= len(value) <= MAX_NAME:
        raise ValueError(f"should be a collection's name, or a list of them; got {value!r}")
    return value


def _ranker(value: Any) -> Any:
    if value is not None and (not isinstance(value, str) or not 1 <= len(value) <= MAX_NAME):
        raise ValueError(f"should be a model's name, or a list of them, with null for none; got {value!r}")
    return value


def _weights(value: Any) -> Any:
    if not isinstance(value, dict) or not value or not value.keys() <= set(LEGS):
        raise ValueError(f"should be {{dense: 2, bm25: 1}}, or a list of such; got {value!r}")
    bounds = Bounds(above=0, most=MOST_WEIGHT)
    return {leg: bounds.check(value.get(leg, 1.0)) for leg in LEGS}


def _filter(value: Any) -> Any:
    from cluster.filters import parse_filter

    parse_filter(value, param="retrieval.where")
    return value


class RetrievalAxes(Strict):
    """Settings of retrieval, each one value or a list of values; what is not named is as the API has it.

    limit: passages. min_score: evidence below which a passage is not shown. diversity: 0 takes the best alone.
    rerank: a cross-encoder's or the embedder's name, null for the search's own order. chunk_tokens, chunk_overlap:
    of the chunks that passages are, in the embedder's tokens. weights: of the two legs of a hybrid search.
    """

    collection: choices(_name, {"type": "string"}) = None  # type: ignore[valid-type]  # built by a function
    mode: choices(_mode, {"enum": list(MODES)}) = None  # type: ignore[valid-type]
    limit: numbers(Bounds(whole=True, least=1, most=MAX_PASSAGES)) = None  # type: ignore[valid-type]
    min_score: numbers(Bounds(least=-1, most=2)) = None  # type: ignore[valid-type]
    diversity: numbers(Bounds(least=0, most=1)) = None  # type: ignore[valid-type]
    per_document: numbers(Bounds(whole=True, least=1, most=MAX_PASSAGES)) = None  # type: ignore[valid-type]
    where: choices(_filter, {"type": "object"}) = None  # type: ignore[valid-type]
    weights: choices(_weights, WEIGHTS) = None  # type: ignore[valid-type]
    rerank: choices(_ranker, {"type": ["string", "null"]}) = None  # type: ignore[valid-type]
    chunk_tokens: numbers(Bounds(whole=True, least=LEAST_TOKENS, most=MOST_TOKENS)) = None  # type: ignore[valid-type]
    chunk_overlap: numbers(Bounds(whole=True, least=0, most=MOST_TOKENS)) = None  # type: ignore[valid-type]

    @model_validator(mode="before")
    @classmethod
    def _known_here(cls, given: object) -> object:
        if isinstance(given, dict):
            for name, why in NOT_HERE.items():
                if name in given:
                    raise ValueError(f"{name} is no setting of retrieval: {why}")
        return given

    @model_validator(mode="after")
    def _something(self) -> Self:
        if not self.axes:
            raise ValueError("names no setting: `retrieval: {limit: 4}` is the least")
        # As at the API, and both would be asked together somewhere in the grid.
        if any(value is not None for value in _values(self.rerank)) and any(_values(self.diversity)):
            raise ValueError("rerank and diversity are two orders of the same passages: leave one out")
        if self.weights is not None and any(mode != "hybrid" for mode in _values(self.mode)):
            raise BadRequest(
                "retrieval.weights: they are of hybrid search, and mode has another",
                hint="mode: hybrid, or leave weights out",
                param="retrieval.weights",
            )
        return self

    @property
    def axes(self) -> dict[str, AnyAxis]:
        """The settings that were named, in a fixed order."""
        found = ((name, getattr(self, name)) for name in type(self).model_fields)
        return {name: axis for name, axis in found if axis is not None}


def _values(axis: AnyAxis | None) -> list[Any]:
    return [] if axis is None else [axis.at(place) for place in range(axis.count)]
