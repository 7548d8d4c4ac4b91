"""The columns of an export: a row's own ones, and what its JSON objects hold, each name a column of its own.

    parameters  {"min_p": 0.1}     ->  min_p               by its own name; parameter_<name> where that is taken
    retrieval   {"top_k": 4}       ->  retrieval_top_k
    scores      {"overall": 81.5}  ->  score_overall
    features    {"words": 40}      ->  feature_words        where features are asked for

A column has the narrowest type that holds all its values: booleans, whole numbers, numbers, else text. Values
that are lists or objects are JSON text. NULL is not sent, not known, or not computed.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pipelines.analysis.exports.compute import compute

if TYPE_CHECKING:
    import pyarrow as pa

    from pipelines.analysis.exports.source import Source

ORDER = (
    "run_id",
    "cell_id",
    "ordinal",
    "config_id",
    "model",
    "model_revision",
    "engine",
    "engine_version",
    "prompt_id",
    "prompt_hash",
    "system",
    "prompt",
    "temperature",
    "top_p",
    "max_tokens",
    "parameters",
    "retrieval",
    "greedy",
    "repeat",
    "seed",
    "text",
    "finish_reason",
    "prompt_tokens",
    "completion_tokens",
    "ttft_ms",
    "latency_ms",
    "cost",
    "started",
    "scores",
    "score_versions",
    "completeness",
    "completeness_metric",
    "features",
    "error_code",
    "error_message",
    "attempts",
)  # how an export reads from left to right; columns that are not named here come last
PREFIXES = {"parameters": "", "retrieval": "retrieval_", "scores": "score_", "features": "feature_"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """One column of an export. source: the row's column it comes from. key: the name in its JSON object."""

    name: str
    type: "pa.DataType"
    source: str
    key: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """The columns of an export, in order."""

    columns: tuple[Column, ...]

    @property
    def names(self) -> list[str]:
        """Of the columns."""
        return [column.name for column in self.columns]

    @property
    def schema(self) -> "pa.Schema":
        """Of the exported rows."""
        import pyarrow as pa

        return pa.schema([pa.field(column.name, column.type) for column in self.columns])

    @property
    def sources(self) -> list[str]:
        """The columns of a row that are read."""
        return list(dict.fromkeys(column.source for column in self.columns))

    def only(self, names: Sequence[str]) -> "Layout":
        """These columns alone, in this order."""
        found = {column.name: column for column in self.columns}
        return Layout(columns=tuple(found[name] for name in names))

    def expand(self, rows: "pa.RecordBatch", objects: "Objects") -> "pa.RecordBatch":
        """Rows with these columns. objects: keeps what was read, for the next batch."""
        import pyarrow as pa

        arrays = []
        unfolded: dict[str, list[Mapping[str, Any]]] = {}
        for column in self.columns:
            if column.key is None:
                arrays.append(rows.column(column.source).cast(column.type))
                continue
            if column.source not in unfolded:
                unfolded[column.source] = [objects.read(text) for text in rows.column(column.source).to_pylist()]
            values = [value.get(column.key) for value in unfolded[column.source]]
            if pa.types.is_string(column.type):
                values = [
                    value if value is None or isinstance(value, str) else json.dumps(value) for value in values
                ]
            arrays.append(pa.array(values, column.type))
        return pa.record_batch(arrays, schema=self.schema)


class Objects:
    """JSON objects as they stand in rows, each text read once while it comes again and again."""

    KEPT = 4096

    def __init__(self) -> None:
        self._read: dict[str, Mapping[str, Any]] = {}

    def read(self, text: str | None) -> Mapping[str, Any]:
        """The object; empty for NULL."""
        if text is None:
            return {}
        found = self._read.get(text)
        if found is None:
            value = json.loads(text)
            found = value if isinstance(value, dict) else {}
            if len(self._read) >= self.KEPT:
                self._read.clear()
            self._read[text] = found
        return found


def layout_of(source: "Source", *, features: bool = False) -> Layout:
    """The columns that a source's rows have; reads the rows' JSON columns once, by batches."""
    import pyarrow as pa

    there = source.schema()
    ordered = [name for name in ORDER if name in there.names] + [n for n in there.names if n not in ORDER]
    unfolded = [name for name in PREFIXES if name in there.names and (features or name != "features")]
    kinds = _kinds(source, unfolded)
    columns: list[Column] = []
    for name in ordered:
        if name == "features" and not features:
            continue
        if name not in unfolded:
            kind = there.field(name).type
            columns.append(Column(name=name, type=pa.string() if pa.types.is_null(kind) else kind, source=name))
            continue
        for key in sorted(kinds[name]):
            plain = PREFIXES[name] + key
            taken = name == "parameters" and (plain in there.names or plain.startswith(("score_", "retrieval_")))
            exported = f"parameter_{key}" if taken else plain
            columns.append(Column(name=exported, type=_type(kinds[name][key]), source=name, key=key))
    return Layout(columns=tuple(columns))


def _kinds(source: "Source", names: Sequence[str]) -> dict[str, dict[str, set[type]]]:
    """For each JSON column its keys, and the types of their values."""

    pc = compute()
    kinds: dict[str, dict[str, set[type]]] = {name: {} for name in names}
    objects = Objects()
    if names:
        for batch in source.batches(names):
            for name in names:
                for text in pc.unique(batch.column(name)).to_pylist():
                    for key, value in objects.read(text).items():
                        if value is not None:
                            kinds[name].setdefault(key, set()).add(_kind(value))
                        else:
                            kinds[name].setdefault(key, set())
    return kinds


def _kind(value: Any) -> type:
    kind = type(value)
    if kind is int and not -(2**63) <= value < 2**63:
        return float
    return kind if kind in (bool, int, float) else str


def _type(kinds: set[type]) -> "pa.DataType":
    import pyarrow as pa

    if kinds == {bool}:
        return pa.bool_()
    if kinds == {int}:
        return pa.int64()
    if kinds and kinds <= {int, float}:
        return pa.float64()
    return pa.string()
