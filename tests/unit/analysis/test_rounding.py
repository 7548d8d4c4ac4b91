"""Sums leave dust in their last digits; no rank, tie or trend is made of it."""

from datetime import UTC, datetime, timedelta
from itertools import permutations

import numpy as np
import pyarrow as pa
import pytest

from pipelines.analysis import wilcoxon
from pipelines.analysis.correlation import correlations
from pipelines.analysis.frame import frame_of
from pipelines.analysis.friedman import friedman
from pipelines.analysis.intervals import configurations
from pipelines.analysis.limits import NO_SPREAD_KNOWN
from pipelines.analysis.rounding import settled
from pipelines.analysis.trends import STABLE, trend
from tests.unit.analysis.sweeps import frame, rows_of

GRADES = (11.1111, 22.2222, 44.4444, 33.3333)  # grades 2, 3, 5, 4 of a judge, as scores are stored


def test_values_keep_twelve_digits_and_what_is_not_finite() -> None:
    values = np.array([0.1 + 0.2, 70.1 * 3 / 3, -1e-100 / 3, 3.3333e99, 0.0, np.nan, np.inf])
    found = settled(values)
    assert found[:2].tolist() == [0.3, 70.1]
    np.testing.assert_allclose(found, values, rtol=1e-11)
    np.testing.assert_array_equal(settled(found), found)


def test_the_same_grades_in_another_order_are_a_tie() -> None:
    """Friedman and Spearman ranked the last digits of sums: equal configurations stood in an order."""
    orders = list(permutations(GRADES))
    same = frame([[orders[(5 * prompt + 7 * place) % 24] for place in range(6)] for prompt in range(12)])
    assert len(np.unique(same.blocks("overall").mean)) == 1
    assert friedman(same, "overall").reason == "every prompt has the same value everywhere"
    [rho] = correlations(same, ["temperature"], ["overall"])
    assert (rho.rho, rho.prompts) == (None, 0)


def test_days_of_one_score_are_no_trend_however_many_cells_they_have() -> None:
    """More cells a day leave more dust: 70.1 every day was `increasing`, at a rate of 1e-15."""
    days = [[day] * (3 * day + 1) for day in range(12)]
    began = datetime(2026, 1, 1, tzinfo=UTC)
    started = [began + timedelta(days=day) for each in days for day in each]
    rows = rows_of(np.full((1, 1, len(started)), 70.1))
    rows = rows.set_column(rows.column_names.index("started"), "started", pa.array(started))
    told = trend(frame_of(rows), "overall")
    assert (told.direction, told.rate, told.p) == (STABLE, 0.0, 1.0)
    assert {point.mean for point in told.points} == {70.1}


def test_most_prompts_with_one_score_are_flat_whatever_their_sums_say() -> None:
    """Nine prompts of ten had 66.66… by sums in several orders, and the interval was Student's, far too sure."""
    same = [list(order) for order in permutations((55.5556, 66.6667, 77.7778))] + [[66.6667] * 3] * 3
    values = [[each] for each in [*same, [0.0, 0.0, 0.0]]]
    [found] = configurations(frame(values), "overall")
    exact = [[[np.mean(each[0]).round(4)] * 3] for each in values]
    assert found.reason == NO_SPREAD_KNOWN
    assert found.low == pytest.approx(configurations(frame(exact), "overall")[0].low, abs=0.01)


def test_wilcoxon_ties_what_differs_by_rounding_alone() -> None:
    plain = np.array([10.0, -10.0, 10.0, 20.0, 0.0, 10.0])
    dusty = np.array([70.1 - 60.1, 60.1 - 70.1, 80.3 - 70.3, 90.4 - 70.4, 0.1 + 0.2 - 0.3, 30.2 - 20.2])
    assert (plain != dusty).any()
    assert wilcoxon.p_values(dusty[:, None]) == wilcoxon.p_values(plain[:, None])
