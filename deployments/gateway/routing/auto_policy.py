"""Which model answers a request that leaves the choice to the gateway: a pure policy.

First what a model can do: one that cannot answer the request is passed over, whatever else speaks for it. Then, of
those that can, by what is ready, by who waits where, and by how much is going on; what is alike in all of these is
taken in the order of the list. The same facts give the same choice, and each candidate is told why it was not it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum, StrEnum

from cluster.types import LoadedModel, ModelState

LOAD_STEPS = 4  # models are equally busy within a quarter of their places: else requests would hop at every one
SURE = 2  # an estimate of tokens may be that many times too high: only beyond it a context is surely too short
FALLBACKS = 2  # others that may answer where the chosen one fails before its first byte


class Standing(IntEnum):
    """How soon a model can begin. CROWDED: it has to be loaded, and there is no room but what is in use."""

    READY = 0
    LOADING = 1
    UNLOADED = 2
    CROWDED = 3


class Lack(StrEnum):
    """What a model cannot do that a request asks."""

    PICTURES = "pictures"
    TOOLS = "tools"
    SCHEMA = "schema"
    RAW = "raw_prompts"
    PARAMETER = "parameter"
    CONTEXT = "context"
    LOADED = "loaded"


SCHEMAS = frozenset({"response_format", "structured_outputs"})
TOOLS = frozenset({"tools", "tool_choice", "parallel_tool_calls"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Need:
    """What a request asks. parameters: that have to be honoured. tokens: of prompt and answer, an estimate.

    raw: a prompt without messages.
    """

    images: bool = False
    parameters: frozenset[str] = frozenset()
    tokens: int = 1
    raw: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A model that may be chosen. None is what nobody knows of it just now.

    parameters, raw: the parameters that it honours, for chats and for raw prompts. away: why asking it now would be
    in vain, in a word. waits: whether requests wait for it. load: the part of its places that is taken. remote: it
    runs elsewhere.
    """

    name: str
    context_length: int | None = None
    images: bool | None = None
    tools: bool | None = None
    parameters: frozenset[str] | None = None
    raw: frozenset[str] | None = None
    standing: Standing = Standing.READY
    away: str | None = None
    waits: bool = False
    load: float = 0.0
    remote: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What became of a candidate. passed_over: why it was not chosen; None of the one that was.

    lacks: what it cannot do, None where it only was not the best.
    """

    name: str
    passed_over: str | None = None
    lacks: Lack | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """chosen: None where no candidate can answer. reason: what decided, in a word; `only` where nothing had to.

    others: who may answer if the chosen one cannot, the best first. verdicts: of all, in the order of the list.
    """

    chosen: str | None
    reason: str
    others: tuple[str, ...] = ()
    verdicts: tuple[Verdict, ...] = ()


def choose(need: Need, candidates: Sequence[Candidate], *, load: bool = True) -> Choice:
    """The model that answers. candidates: the preferred first. load: whether one may be loaded for it."""
    lacking = {one.name: lack_of(one, need, load=load) for one in candidates}
    able = [(_rank(one, need, place), one) for place, one in enumerate(candidates) if lacking[one.name] is None]
    able.sort(key=lambda ranked: ranked[0])
    if not able:
        verdicts = tuple(_lacking(one, lacking[one.name], need) for one in candidates)
        return Choice(chosen=None, reason="none", verdicts=verdicts)
    (best, chosen), *rest = able
    why = {one.name: _why(best, rank, one, need) for rank, one in rest}
    reason = CRITERIA[_first_difference(best, rest[0][0])] if rest else "only"
    at_hand = [one.name for _, one in rest if one.standing is Standing.READY and one.away is None]
    return Choice(
        chosen=chosen.name,
        reason=reason,
        others=tuple(at_hand[:FALLBACKS]),
        verdicts=tuple(
            _lacking(one, lack, need)
            if (lack := lacking[one.name]) is not None
            else Verdict(name=one.name, passed_over=why.get(one.name))
            for one in candidates
        ),
    )


def lack_of(one: Candidate, need: Need, *, load: bool = True) -> Lack | None:
    """What keeps a candidate from answering at all; None where nothing is known that would."""
    honoured = one.raw if need.raw else one.parameters
    if need.raw and honoured is not None and not honoured:
        return Lack.RAW
    if need.images and one.images is False:
        return Lack.PICTURES
    if need.parameters & TOOLS and one.tools is False:
        return Lack.TOOLS
    missing = frozenset() if honoured is None else need.parameters - honoured
    if missing & TOOLS:
        return Lack.TOOLS
    if missing & SCHEMAS:
        return Lack.SCHEMA
    if missing:
        return Lack.PARAMETER
    if one.context_length and need.tokens > SURE * one.context_length:
        return Lack.CONTEXT
    if not load and one.standing is not Standing.READY:
        return Lack.LOADED
    return None


def room_for(
    memory_gib: float | None,
    loaded: Sequence[LoadedModel],
    *,
    most: int,
    budget_gib: float | None,
    free_gib: float | None = None,
) -> bool:
    """Whether a model could be loaded without unloading one that is in use.

    memory_gib: what it takes. most: models that may be loaded. budget_gib: of all together; None: free_gib is what
    the machine has left. Where nobody knows a size, there is room.
    """
    staying = [one for one in loaded if one.fixed or one.pinned or one.in_use or one.state is not ModelState.READY]
    if len(staying) >= most:
        return False
    if memory_gib is None:
        return True
    if budget_gib is not None:
        return sum(one.memory_gib for one in staying) + memory_gib <= budget_gib
    if free_gib is None:
        return True
    going = sum(one.memory_gib for one in loaded) - sum(one.memory_gib for one in staying)
    return memory_gib <= free_gib + going


CRITERIA = ("available", "known", "context", "loaded", "queue", "task", "local", "load", "order")
"""What decides, one after the other, in a word each."""

_Rank = tuple[int, ...]


def _rank(one: Candidate, need: Need, place: int) -> _Rank:
    return (
        one.away is not None,
        _unknown(one, need),
        bool(one.context_length) and need.tokens > (one.context_length or 0),
        int(one.standing),
        one.waits,
        bool(one.images) and not need.images,
        one.remote,
        min(int(one.load * LOAD_STEPS), LOAD_STEPS),
        place,
    )


def _unknown(one: Candidate, need: Need) -> bool:
    """Whether nobody knows if it can do what is asked."""
    if need.images and one.images is None:
        return True
    if need.parameters & TOOLS and one.tools is None:
        return True
    return (need.raw and one.raw is None) or (bool(need.parameters & SCHEMAS) and one.parameters is None)


def _first_difference(best: _Rank, other: _Rank) -> int:
    return next(at for at, (one, two) in enumerate(zip(best, other, strict=True)) if one != two)


def _why(best: _Rank, rank: _Rank, one: Candidate, need: Need) -> str:
    """Why a model that could have answered was not chosen, in a sentence."""
    said = {
        "available": f"it cannot be asked now: {one.away}",
        "known": "nobody knows whether it can do that",
        "context": f"its context of {one.context_length} tokens may be too short for about {need.tokens}",
        "loaded": STANDINGS.get(one.standing, ""),
        "queue": "requests wait for it",
        "task": "it sees pictures, and none is shown",
        "local": "it runs elsewhere",
        "load": "it has more to do",
        "order": "it comes later in the list",
    }
    return said[CRITERIA[_first_difference(best, rank)]]


STANDINGS = {
    Standing.LOADING: "it is still loading",
    Standing.UNLOADED: "it is not loaded",
    Standing.CROWDED: "it is not loaded, and there is no room but what is in use",
}


def _lacking(one: Candidate, lack: Lack | None, need: Need) -> Verdict:
    assert lack is not None
    honoured = one.raw if need.raw else one.parameters
    missing = sorted(need.parameters - (honoured or frozenset()))
    said = {
        Lack.PICTURES: "it sees no pictures",
        Lack.TOOLS: "it calls no functions",
        Lack.SCHEMA: "it writes no JSON by a schema",
        Lack.RAW: "it takes no raw prompts",
        Lack.PARAMETER: f"it does not honour {missing[0] if missing else ''}",
        Lack.CONTEXT: f"its context of {one.context_length} tokens is too short for about {need.tokens}",
        Lack.LOADED: "it is not loaded, and routing.auto.load is off",
    }
    return Verdict(name=one.name, passed_over=said[lack], lacks=lack)
