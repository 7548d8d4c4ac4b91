"""Stored cells by configuration: means and medians of what was measured, nothing inferred from them."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cluster.stores.runs import DUCKDB

if TYPE_CHECKING:
    import pyarrow as pa

COLUMNS = (
    "ordinal",
    "model",
    "temperature",
    "top_p",
    "max_tokens",
    "parameters",
    "retrieval",
    "greedy",
    "completion_tokens",
    "ttft_ms",
    "latency_ms",
    "completeness",
    "completeness_metric",
    "error_code",
)
"""The columns of a stored run that `by_configuration` reads."""

QUERY = """
    SELECT model, temperature, top_p, max_tokens, parameters, retrieval,
           count(*), count(error_code), avg(completeness), avg(completion_tokens),
           quantile_cont(ttft_ms, 0.5), quantile_cont(latency_ms, 0.5), any_value(completeness_metric)
    FROM rows WHERE greedy IS NOT TRUE GROUP BY ALL ORDER BY model, min(ordinal)
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """One configuration. cells: with its errors; the figures are over the others, None where there is none.

    parameters: with settings of retrieval as `retrieval.NAME`.

    completeness: mean of the metric named in `metric`, 0 to 100. tokens: mean of an answer. ttft_ms,
    latency_ms: medians over prompts and repeats, in milliseconds.
    """

    model: str
    parameters: Mapping[str, Any]
    cells: int
    errors: int
    completeness: float | None
    tokens: float | None
    ttft_ms: float | None
    latency_ms: float | None
    metric: str | None


def by_configuration(rows: "pa.Table") -> list[Summary]:
    """A summary for each configuration, in the plan's order; greedy anchors are none. rows: with COLUMNS."""
    import duckdb

    with duckdb.connect(config=DUCKDB) as connection:
        connection.register("rows", rows)
        found = connection.execute(QUERY).fetchall()
    return [_summary(*row) for row in found]


def _summary(
    model: str, temperature: Any, top_p: Any, max_tokens: Any, others: str, retrieval: str | None, *figures: Any
) -> Summary:
    named = {"temperature": temperature, "top_p": top_p, "max_tokens": max_tokens}
    parameters = {name: value for name, value in named.items() if value is not None} | json.loads(others)
    parameters |= {f"retrieval.{name}": value for name, value in json.loads(retrieval or "{}").items()}
    cells, errors, complete, tokens, ttft, latency, metric = figures
    return Summary(
        model=model,
        parameters=parameters,
        cells=cells,
        errors=errors,
        completeness=complete,
        tokens=tokens,
        ttft_ms=ttft,
        latency_ms=latency,
        metric=metric,
    )
