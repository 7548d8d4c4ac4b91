from datetime import UTC, date, datetime, timedelta

import numpy as np
import pytest
from scipy import stats

from pipelines.analysis.frame import frame_of
from pipelines.analysis.kendall import slope_of
from pipelines.analysis.trends import DECREASING, INCREASING, STABLE, DayPoint, best_period, trend, trend_of
from tests.unit.analysis.sweeps import rows_of

START = datetime(2026, 3, 1, 12, tzinfo=UTC)


def days(values, step=1):
    return trend_of(
        "overall", [START + timedelta(days=step * at) for at in range(len(values))], values, range(len(values))
    )


@pytest.mark.parametrize("size", [5, 12, 40])
def test_the_test_is_scipys_kendall_and_the_slope_is_theil_sens(size):
    random = np.random.default_rng(size)
    x, y = np.arange(float(size)), random.standard_normal(size)
    told, sen = slope_of(x, y), stats.theilslopes(y, x, method="joint")
    assert told.p == pytest.approx(stats.kendalltau(x, y, method="exact").pvalue, rel=1e-9)
    assert told.slope == pytest.approx(sen.slope, rel=1e-9)
    if size > 5:
        assert (told.low, told.high) == (pytest.approx(sen.low_slope), pytest.approx(sen.high_slope))


def test_a_rise_that_a_test_shows_is_increasing_with_its_rate():
    told = days([50 + 2 * at for at in range(10)])
    assert told.direction == INCREASING
    assert told.rate == pytest.approx(2)
    assert told.low <= 2 <= told.high
    assert told.p < 0.001


def test_a_fall_is_decreasing_and_a_rate_is_per_day_not_per_point():
    told = days([50 - 6 * at for at in range(8)], step=3)
    assert (told.direction, told.rate) == (DECREASING, pytest.approx(-2))


def test_noise_is_stable():
    assert days([50, 52, 49, 51, 50, 53, 48, 51]).direction == STABLE


def test_the_same_every_day_is_stable_with_p_1():
    told = days([70.0] * 7)
    assert (told.direction, told.p, told.rate, told.low, told.high) == (STABLE, 1, 0, 0, 0)


@pytest.mark.parametrize("count", [0, 1, 2, 4])
def test_too_few_days_are_stable_and_say_why(count):
    told = days([float(at) for at in range(count)])
    assert (told.direction, told.p, told.days) == (STABLE, None, count)
    assert "needs 5 days" in (told.reason or "")
    assert (told.rate is None) == (count < 2)


def test_a_day_is_the_mean_of_its_runs_whatever_their_size():
    told = trend_of("overall", [START] * 5, [10, 10, 10, 10, 90], ["big"] * 4 + ["small"])
    [point] = told.points
    assert (point.mean, point.runs, point.cells, point.day) == (50, 2, 5, date(2026, 3, 1))


def test_missing_values_are_left_out_and_a_naive_moment_is_utc():
    told = trend_of("overall", [datetime(2026, 3, 1, 23, 59)] * 2, [None, 5.0], [1, 1], others={"a": [1.0, None]})
    [point] = told.points
    assert (point.cells, point.day, point.metrics) == (1, date(2026, 3, 1), {"a": None})


def test_a_frames_days_come_from_its_rows():
    rows = rows_of(np.arange(12.0).reshape(6, 2, 1), started=[START + timedelta(days=at // 2) for at in range(12)])
    told = trend(frame_of(rows), "overall", metrics=["latency_ms"])
    assert (told.days, told.direction) == (6, INCREASING)
    assert told.points[0].metrics["latency_ms"] == pytest.approx(100.5)


def test_the_best_period_is_a_window_of_calendar_days():
    points = [
        DayPoint(day=date(2026, 3, 1) + timedelta(days=at), mean=mean, runs=1, cells=1, metrics={})
        for at, mean in enumerate([1, 9, 9, 1, 1, 5, 9.5])
    ]
    period = best_period(points, days=2)
    assert (period.start, period.end, period.mean) == (date(2026, 3, 2), date(2026, 3, 3), 9)


def test_the_best_period_of_nothing_is_none():
    assert best_period([]) is None


def test_without_a_trend_5_percent_are_called_one():
    random = np.random.default_rng(9)
    p = [slope_of(np.arange(12.0), random.standard_normal(12)).p for _ in range(600)]
    assert np.mean(np.array(p) <= 0.05) == pytest.approx(0.05, abs=0.025)
