"""What the stores over the SQL database share: an engine, and the few ways in which they ask it."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import ColumnElement, Engine, Row, Select, func
from sqlalchemy.sql.dml import UpdateBase


class SqlStore:
    """The rows of one noun in one database. Every method blocks; what it writes is one transaction."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def _row(self, query: Select[Any]) -> Row[Any] | None:
        """The only row of a query, or None."""
        with self._engine.connect() as connection:
            return connection.execute(query).one_or_none()

    def _rows(self, query: Select[Any]) -> Sequence[Any]:
        """All rows of a query."""
        with self._engine.connect() as connection:
            return connection.execute(query).all()

    def _page(self, query: Select[Any], *, limit: int, offset: int) -> tuple[int, Sequence[Row[Any]]]:
        """How many rows an ordered query has, and some of them."""
        count = query.order_by(None).with_only_columns(func.count(), maintain_column_froms=True)
        with self._engine.connect() as connection:
            total = connection.execute(count).scalar_one()
            return total, connection.execute(query.limit(limit).offset(offset)).all()

    def _next_to(
        self,
        query: Select[Any],
        seq: ColumnElement[int],
        *,
        limit: int,
        after: int | None = None,
        before: int | None = None,
        newest_first: bool = True,
    ) -> tuple[Sequence[Row[Any]], bool]:
        """Some rows of a query, by their place in the order of arrival, and whether there are more.

        after, before: the places that the page lies behind, or ends at; both bound it, and it is read from `after`.
        """
        if after is not None:
            query = query.where(seq < after if newest_first else seq > after)
        if before is not None:
            query = query.where(seq > before if newest_first else seq < before)
        backwards = before is not None and after is None
        falling = newest_first is not backwards  # a page before a place is read from that place, and turned round
        rows = self._rows(query.order_by(seq.desc() if falling else seq).limit(limit + 1))
        return rows[:limit][::-1] if backwards else rows[:limit], len(rows) > limit

    def _change(self, statement: UpdateBase) -> int:
        """Carry an INSERT, UPDATE or DELETE out; how many rows it changed."""
        with self._engine.begin() as connection:
            return connection.execute(statement).rowcount
