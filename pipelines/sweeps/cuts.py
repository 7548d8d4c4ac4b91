"""Which cuts of collections into chunks a sweep searches, and whether they can be: pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cluster.errors import BadRequest
from cluster.settings.pipelines import DocumentSettings
from pipelines.documents.chunker import SPECIAL_TOKENS
from pipelines.sweeps.configurations import RETRIEVAL, Configurations

TOKENS, OVERLAP, COLLECTION = "chunk_tokens", "chunk_overlap", "collection"
MOST_CUTS = 64  # each is a copy of its collection's text and vectors


@dataclass(frozen=True, slots=True, kw_only=True)
class Cut:
    """A collection in chunks of a size. collection: as the spec names it, None is the configured one.

    tokens, overlap: None is what the config says; one of them is named.
    """

    collection: str | None = None
    tokens: int | None = None
    overlap: int | None = None

    def tokens_by(self, documents: DocumentSettings) -> int:
        """Tokens of a chunk at most, where the config says the rest."""
        return documents.chunk_tokens if self.tokens is None else self.tokens

    def overlap_by(self, documents: DocumentSettings) -> int:
        """Tokens that neighbours share at most, where the config says the rest."""
        return documents.chunk_overlap if self.overlap is None else self.overlap


def cut_of(asked: Mapping[str, Any]) -> Cut | None:
    """What a cell's settings of retrieval ask for; None where they take the chunks as they are stored."""
    if TOKENS not in asked and OVERLAP not in asked:
        return None
    return Cut(collection=asked.get(COLLECTION), tokens=asked.get(TOKENS), overlap=asked.get(OVERLAP))


def cuts_of(space: Configurations) -> list[Cut]:
    """The cuts of all configurations, each once, in their order; no further than a few too many.

    Raises PlanTooLarge as `space.count` does.
    """
    named = [name for name in (COLLECTION, TOKENS, OVERLAP) if RETRIEVAL + name in space.axes]
    if TOKENS not in named and OVERLAP not in named:
        return []
    if space.sample is None and not space.constraints:  # the grid of these alone has all of them
        space = Configurations(axes={RETRIEVAL + name: space.axes[RETRIEVAL + name] for name in named})
    found: dict[Cut, None] = {}
    for place in range(space.count):
        cut = cut_of(space.at(place).retrieval or {})
        if cut is not None:
            found[cut] = None
        if len(found) > MOST_CUTS:
            break
    return list(found)


def check_cuts(cuts: Sequence[Cut], documents: DocumentSettings | None = None, context_length: int = 0) -> None:
    """Raises BadRequest for cuts that cannot be.

    documents: the config's sizes, for what a spec leaves out; None where nobody knows them. context_length: tokens
    that the embedder reads, 0 likewise.
    """
    if len(cuts) > MOST_CUTS:
        raise BadRequest(
            f"retrieval: sizes of chunks and collections make more than {MOST_CUTS} cuts",
            hint="fewer sizes: each cut is a copy of a collection",
            param=RETRIEVAL + TOKENS,
        )
    for cut in cuts:
        tokens = cut.tokens if documents is None else cut.tokens_by(documents)
        overlap = cut.overlap if documents is None else cut.overlap_by(documents)
        if tokens is not None and overlap is not None and overlap >= tokens:
            raise _too_wide(cut, tokens, overlap)
        if tokens is not None and context_length and tokens > context_length - SPECIAL_TOKENS:
            raise BadRequest(
                f"{RETRIEVAL}{TOKENS}: {tokens} is more than the embedder reads",
                hint=f"{context_length - SPECIAL_TOKENS} at most",
                param=RETRIEVAL + TOKENS,
            )


def _too_wide(cut: Cut, tokens: int, overlap: int) -> BadRequest:
    if cut.tokens is None or cut.overlap is None:
        hint = f"one of them is the config's: name both, {TOKENS} and {OVERLAP}"
    else:
        rule = f"exclude: {{{RETRIEVAL}{OVERLAP}: {{at_least: {RETRIEVAL}{TOKENS}}}}}"
        hint = f"less overlap, or a constraint that leaves such out: {rule}"
    told = f"{RETRIEVAL}{OVERLAP}: {overlap} is not below chunks of {tokens} tokens"
    return BadRequest(told, hint=hint, param=RETRIEVAL + OVERLAP)


def told(cuts: Sequence[Cut]) -> str | None:
    """What a plan says of its cuts; None without any."""
    if not cuts:
        return None
    sizes = dict.fromkeys((cut.tokens, cut.overlap) for cut in cuts)
    shown = ", ".join(_size(tokens, overlap) for tokens, overlap in sizes)
    return f"documents are cut again before the first cell, unless they are stored so: {shown}"


def _size(tokens: int | None, overlap: int | None) -> str:
    parts = [
        "chunks as long as ever" if tokens is None else f"{tokens} tokens",
        *([] if overlap is None else [f"overlap {overlap}"]),
    ]
    return " with ".join(parts)
