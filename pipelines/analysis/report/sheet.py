"""A table of results, as the page, the PDF, the workbook and the API show it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Sheet:
    """name: short, in a workbook the sheet's. caption: what the figures are. rows: values in the columns' order."""

    name: str
    caption: str
    columns: Sequence[str]
    rows: Sequence[Sequence[Any]]

    def records(self) -> list[Mapping[str, Any]]:
        """The rows as objects, for JSON."""
        return [dict(zip(self.columns, row, strict=True)) for row in self.rows]
