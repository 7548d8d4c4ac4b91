"""What the stores over the SQL database share: an engine, and the few ways in which they ask it."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Engine, Row, Select, func
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

    def _change(self, statement: UpdateBase) -> int:
        """Carry an INSERT, UPDATE or DELETE out; how many rows it changed."""
        with self._engine.begin() as connection:
            return connection.execute(statement).rowcount
