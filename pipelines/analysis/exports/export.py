"""What is exported: a source's rows, unfolded to columns, those columns and rows that were asked for."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cluster.errors import BadRequest
from pipelines.analysis.exports.filters import Filter, check, mask, unknown_field
from pipelines.analysis.exports.layout import Layout, Objects, layout_of

if TYPE_CHECKING:
    import pyarrow as pa

    from pipelines.analysis.exports.source import Source


@dataclass(frozen=True, slots=True, kw_only=True)
class Export:
    """The rows and columns of one export; `export_of` makes it. layout: what is written. all: what there is."""

    source: "Source"
    layout: Layout
    all: Layout
    filters: tuple[Filter, ...] = ()

    @property
    def whole(self) -> list[str]:
        """The columns that an export has where nobody chooses."""
        return [column.name for column in self.all.columns if column.source != "features"]

    @property
    def schema(self) -> "pa.Schema":
        """Of the rows."""
        return self.layout.schema

    def batches(self) -> "Iterator[pa.RecordBatch]":
        """The rows, few at a time; the same ones every time. None at all is an answer, too."""
        asked = dict.fromkeys([*self.layout.names, *(one.field for one in self.filters)])
        needed, objects = self.all.only(list(asked)), Objects()
        for batch in self.source.batches(needed.sources):
            rows = needed.expand(batch, objects)
            kept = mask(rows, self.filters)
            rows = rows if kept is None else rows.filter(kept)
            if rows.num_rows:
                yield rows.select(self.layout.names)


def export_of(
    source: "Source",
    *,
    fields: Sequence[str] | None = None,
    filters: Sequence[Filter] = (),
    features: bool = False,
) -> Export:
    """An export of a source's rows: all columns in their order, or `fields` in theirs.

    features: with the raw features that scores are made of, a column each; a feature that is named in `fields`
    or `filters` needs it not. Raises BadRequest for a column that there is not, or one named twice.
    """
    named = {*(fields or ()), *(one.field for one in filters)}
    layout = whole = layout_of(source, features=features or any(name.startswith("feature_") for name in named))
    check(whole.schema, filters)
    if fields is not None:
        for place, name in enumerate(fields):
            if name not in whole.names:
                raise unknown_field(name, whole.names, f"fields[{place}]")
        if len(set(fields)) < len(fields) or not fields:
            raise BadRequest("fields: name one column or more, each once", param="fields")
        layout = whole.only(fields)
    elif not features:
        layout = whole.only([column.name for column in whole.columns if column.source != "features"])
    return Export(source=source, layout=layout, all=whole, filters=tuple(filters))
