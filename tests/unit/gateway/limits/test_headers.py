"""OpenAI's headers and its way to write a time."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deployments.gateway.limits.account import Standing
from deployments.gateway.limits.headers import duration, headers_of
from deployments.gateway.principal import Limits


@pytest.mark.parametrize(
    ("seconds", "written"),
    [
        (0, "0s"),
        (0.02, "20ms"),
        (1e-10, "0s"),
        (0.0004, "1ms"),
        (1, "1s"),
        (8.64, "8.64s"),
        (59.9996, "1m0s"),
        (360, "6m0s"),
        (61.5, "1m1.5s"),
        (3600, "1h0m0s"),
        (7325, "2h2m5s"),
    ],
)
def test_a_time_is_written_as_openai_does(seconds: float, written: str) -> None:
    assert duration(seconds) == written


@given(st.floats(0, 1e6, allow_nan=False))
def test_a_written_time_is_never_too_short_nor_a_millisecond_too_long(seconds: float) -> None:
    units = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001}
    parts = re.findall(r"([0-9.]+)(ms|h|m|s)", duration(seconds))
    read = sum(float(number) * units[unit] for number, unit in parts)
    assert seconds - 1e-6 <= read < seconds + 0.001 + 1e-6


def test_only_limits_that_there_are_have_headers() -> None:
    standing = Standing(limits=Limits(requests_per_minute=60), requests=58.9, requests_reset_s=1.1)
    assert headers_of(standing) == {
        "x-ratelimit-limit-requests": "60",
        "x-ratelimit-remaining-requests": "58",
        "x-ratelimit-reset-requests": "1.1s",
    }
    assert headers_of(Standing(limits=Limits(concurrent_requests=1))) == {}


def test_a_debt_is_told_as_nothing_left() -> None:
    standing = Standing(limits=Limits(tokens_per_minute=60), tokens=-30.0, tokens_reset_s=90.0)
    assert headers_of(standing)["x-ratelimit-remaining-tokens"] == "0"
    assert headers_of(standing)["x-ratelimit-reset-tokens"] == "1m30s"
