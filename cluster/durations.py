"""Spans of time as people write them."""

import re

_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_PART = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)")
FOREVER = -1.0


def seconds(said: float | str) -> float:
    """Seconds of `300`, `"300"`, `"5m"` or `"1h30m"`; anything negative is for ever, -1.

    Raises ValueError for what is no span of time.
    """
    if isinstance(said, int | float):
        number = float(said)
    else:
        text = said.strip().lower()
        sign = -1 if text.startswith("-") else 1
        parts = _PART.findall(text.lstrip("-"))
        if parts and "".join(f"{count}{unit}" for count, unit in parts) == text.lstrip("-"):
            number = sign * sum(float(count) * _UNITS[unit] for count, unit in parts)
        else:
            number = float(text)
    if number != number or number == float("inf"):  # not a number
        raise ValueError(f"{said!r} is no span of time")
    return FOREVER if number < 0 else number
