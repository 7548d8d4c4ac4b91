"""The columns of a sweep's rows."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pyarrow as pa


def schema() -> "pa.Schema":
    """The columns of a row. Times in UTC, durations in milliseconds; NULL is not known or not sent.

    Parts of an older version lack the later columns; they read as NULL.
    """
    import pyarrow as pa

    text: pa.DataType = pa.string()
    whole: pa.DataType = pa.int64()
    number: pa.DataType = pa.float64()
    return pa.schema(
        [
            pa.field("run_id", text, nullable=False),
            pa.field("cell_id", text, nullable=False),
            pa.field("ordinal", whole, nullable=False),
            pa.field("model", text, nullable=False),
            pa.field("model_revision", text),
            pa.field("engine", text),
            pa.field("engine_version", text),
            pa.field("config_id", text),  # one value for all prompts and repeats of a configuration
            pa.field("greedy", pa.bool_()),  # an anchor cell, of no configuration
            pa.field("retrieval", text),  # settings of retrieval, a JSON object
            pa.field("prompt_id", text, nullable=False),
            pa.field("prompt_hash", text, nullable=False),
            pa.field("prompt", text, nullable=False),
            pa.field("system", text),
            pa.field("temperature", number),
            pa.field("top_p", number),
            pa.field("max_tokens", whole),
            pa.field("parameters", text, nullable=False),  # the other parameters, a JSON object
            pa.field("repeat", whole, nullable=False),
            pa.field("seed", whole),
            pa.field("text", text),
            pa.field("finish_reason", text),
            pa.field("prompt_tokens", whole),
            pa.field("completion_tokens", whole),
            pa.field("ttft_ms", number),
            pa.field("latency_ms", number),
            pa.field("started", pa.timestamp("us", tz="UTC"), nullable=False),
            pa.field("completeness", number),
            pa.field("completeness_metric", text),
            pa.field("cost", number),  # US dollars, where the spec names the model's price
            pa.field("features", text),  # raw figures by name, a JSON object
            pa.field("scores", text),  # name -> 0 to 100, a JSON object of those that could be computed
            pa.field("score_versions", text),  # name -> version, a JSON object
            pa.field("error_code", text),
            pa.field("error_message", text),
            pa.field("attempts", whole, nullable=False),
        ]
    )


def as_stored(rows: "pa.Table") -> "pa.Table":
    """The rows in the columns that are stored, whatever order they come in."""
    return rows.select(schema().names).cast(schema())
