"""Names and numbers as a reader sees them: `mean latency (ms)`, `81.5`, `p < 0.001`."""

from collections.abc import Mapping
from typing import Any

UNITS = {
    "latency_ms": ("latency", "ms"),
    "ttft_ms": ("time to first token", "ms"),
    "completion_tokens": ("answer length", "tokens"),
    "cost": ("cost", "USD"),
}


def axis(metric: str) -> str:
    """A metric with its unit; a score's is points of 100."""
    name, unit = UNITS.get(metric, (metric.replace("_", " "), "0–100"))
    return f"{name} ({unit})"


def number(value: float | None, digits: int = 1) -> str:
    """A figure of a table; – for none. Small ones keep two significant digits."""
    if value is None:
        return "–"
    if value and abs(value) < 0.5 * 10**-digits:
        return f"{value:.2g}"
    return f"{value:.{digits}f}".replace("-", "−")


def p_value(value: float | None) -> str:
    """A p, never 0."""
    if value is None:
        return "–"
    return "<\u00a00.001" if value < 0.001 else f"{value:.3f}"


def interval(low: float | None, high: float | None, digits: int = 1) -> str:
    """An interval, or – where there is none."""
    return "–" if low is None or high is None else f"{number(low, digits)} to {number(high, digits)}"


def level(value: Any) -> str:
    """A parameter's value."""
    return f"{value:.12g}" if isinstance(value, float) else str(value)


def settings(values: Mapping[str, Any], among: "tuple[str, ...] | list[str]") -> str:
    """A configuration by what distinguishes it: `temperature 0.7, top_p 0.9`."""
    parts = [
        f"{name} {level(values[name])}" if name != "model" else str(values[name])
        for name in among
        if name in values
    ]
    return ", ".join(parts) or str(values.get("model", "all"))
