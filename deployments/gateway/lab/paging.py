"""What lists are asked with: a page, a filter and an order."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Literal

from fastapi import Depends, Path, Query
from pydantic import Field

from cluster.errors import BadRequest
from cluster.stores.lab_filter import SORTS, LabFilter
from pipelines.sweeps.spec import NO_NUL

LARGEST_ID = 2**31 - 1  # of a PostgreSQL integer

ExperimentId = Annotated[int, Path(alias="id", description="As its creation gave it.")]
Limit = Annotated[int, Query(ge=1, le=200)]
Offset = Annotated[int, Query(ge=0, le=LARGEST_ID)]
Sort = Annotated[str, Query(max_length=32, description="A column; `-` before it for the greatest first.")]
Tag = Annotated[str, Field(min_length=1, max_length=50)]
MOST_TAGS = 20  # that an experiment has, and a filter asks for: each is a condition of its query
Tags = Annotated[
    list[Tag] | None, Query(max_length=MOST_TAGS, description="Again for several, all of which it must have.")
]
Search = Annotated[
    str | None, Query(max_length=200, pattern=NO_NUL, description="A part of a name, description or prompt.")
]
Flag = Literal["true", "false"] | None


def sorted_by(name: str, known: Sequence[str]) -> str:
    """The order, checked. Raises BadRequest."""
    if name.removeprefix("-") not in known:
        hint = f"one of {', '.join(known)}, with - before it for the greatest first"
        raise BadRequest(f"Cannot sort by {name[:32]!r}", hint=hint, param="sort")
    return name


@dataclass(frozen=True, slots=True, kw_only=True)
class Paged:
    """Which page of a list of experiments, of which of them, in which order."""

    limit: int
    offset: int
    wanted: LabFilter

    def of(self, status: str | None) -> LabFilter:
        """The filter, of one status alone where it is named: single experiments and batches have their own."""
        return replace(self.wanted, status=status)

    def told(self, total: int) -> dict[str, int]:
        """What a list says of itself."""
        return {"total": total, "limit": self.limit, "offset": self.offset}


async def paged(  # not `def`, which FastAPI would send to a thread
    limit: Limit = 50,
    offset: Offset = 0,
    tag: Tags = None,
    favorited: Flag = None,
    archived: Flag = None,
    search: Search = None,
    sort: Sort = "-id",
) -> Paged:
    """What a list of experiments is asked with. Raises BadRequest."""
    wanted = LabFilter(
        tags=tuple(tag or ()),
        favorited=flag(favorited),
        archived=flag(archived),
        search=search,
        sort=sorted_by(sort, SORTS),
    )
    return Paged(limit=limit, offset=offset, wanted=wanted)


Page = Annotated[Paged, Depends(paged)]


def flag(given: Flag) -> bool | None:
    """A yes or no of a query."""
    return None if given is None else given == "true"
