"""Which experiments of a list are wanted, and in which order: the same for single ones and batches."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from string import ascii_lowercase, ascii_uppercase
from typing import Any

from sqlalchemy import Select, Table, func, or_

SORTS = ("id", "name", "status", "created_at", "updated_at")
"""The columns that a list may be sorted by."""

ASCII_LOWERED = str.maketrans(ascii_uppercase, ascii_lowercase)


@dataclass(frozen=True, slots=True, kw_only=True)
class LabFilter:
    """What somebody looks for; None leaves all in. tags: those that an experiment must all have.

    search: a part of the name, the description or the prompt, in any case. sort: one of SORTS, with `-` before it
    for the greatest first.
    """

    status: str | None = None
    tags: tuple[str, ...] = ()
    favorited: bool | None = None
    archived: bool | None = None
    search: str | None = None
    sort: str = "-id"

    def applied(self, query: Select[Any], table: Table, *, searched: Sequence[str]) -> Select[Any]:
        """The query for these alone, in order. searched: the columns that hold text. Raises KeyError."""
        columns = table.c
        for name in ("status", "favorited", "archived"):
            wanted = getattr(self, name)
            if wanted is not None:
                query = query.where(columns[name] == wanted)
        for tag in self.tags:
            # Tags are one JSON array of strings, so that a quoted tag is in it whole or not at all.
            query = query.where(func.lower(columns.tags).contains(json.dumps(tag).lower(), autoescape=True))
        if self.search:
            held = (
                func.lower(columns[name]).contains(part, autoescape=True)
                for name in searched
                for part in _forms(self.search)
            )
            query = query.where(or_(*held))
        name = self.sort.removeprefix("-")
        column = columns[name]
        ordered = column.desc() if self.sort.startswith("-") else column.asc()
        return query.order_by(ordered, *([] if name == "id" else [columns.id.desc()]))


def _forms(search: str) -> list[str]:
    """What to look for in lowered text: SQLite lowers A to Z alone, so that other letters stay as they are."""
    forms = (search.lower(), *(each.translate(ASCII_LOWERED) for each in (search, search.upper(), search.title())))
    return list(dict.fromkeys(forms))
