"""What a gateway does once after its start, so that the first figure that somebody asks for doesn't wait for it."""

import json
from datetime import UTC, datetime, timedelta
from itertools import product

from deployments.gateway.lab import shapes

PROMPTS, WARMTHS, REPEATS = 4, (0.2, 1.0), 2


def warm() -> None:
    """Compute the statistics of a few made-up rows: the libraries behind them take a second to import."""
    import pyarrow as pa
    import pyarrow.dataset
    import pyarrow.parquet

    from cluster.stores.run_light import light_of
    from cluster.stores.run_rows import schema
    from pipelines.analysis.exports import export  # noqa: F401
    from pipelines.analysis.frame import frame_of

    began = datetime(2000, 1, 1, tzinfo=UTC)
    rows = [
        {
            **dict.fromkeys(schema().names),
            "run_id": "warm",
            "cell_id": f"{place}",
            "ordinal": place,
            "model": "warm",
            "prompt_id": f"{prompt}",
            "prompt_hash": f"{prompt}",
            "prompt": "",
            "temperature": warmth,
            "parameters": "{}",
            "repeat": repeat,
            "latency_ms": 1.0 + place % 3,
            "started": began + timedelta(days=place),
            "scores": json.dumps({"overall": 50.0 + place % 5 + warmth, "fluency": 40.0 + place % 3}),
            "attempts": 1,
        }
        for place, (prompt, warmth, repeat) in enumerate(product(range(PROMPTS), WARMTHS, range(REPEATS)))
    ]
    frame = frame_of(light_of(pa.Table.from_pylist(rows, schema=schema())))
    for shape in (shapes.analysis, shapes.trends, shapes.models, shapes.optimization, shapes.insights):
        shape(frame, "overall")
