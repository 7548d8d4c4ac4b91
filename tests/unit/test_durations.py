"""Spans of time as people write them."""

import pytest

from cluster.durations import seconds


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        (0, 0.0), (300, 300.0), ("300", 300.0), ("5m", 300.0), ("1h30m", 5400.0), ("1.5h", 5400.0), ("250ms", 0.25),
        (" 2D ", 172800.0), (-1, -1.0), ("-1", -1.0), ("-1m", -1.0), (-7.5, -1.0),
    ],
)  # fmt: skip
def test_a_span_is_read(said: float | str, meant: float) -> None:
    assert seconds(said) == meant


@pytest.mark.parametrize("said", ["", "soon", "5 m", "m5", "5m3", "nan", "inf", "1e400", "--5", float("nan")])
def test_what_is_no_span_is_refused(said: float | str) -> None:
    with pytest.raises(ValueError, match=r".*"):
        seconds(said)
