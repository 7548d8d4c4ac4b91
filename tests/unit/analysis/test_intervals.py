import numpy as np
import pytest

from pipelines.analysis import student
from pipelines.analysis.breakdown import breakdown
from pipelines.analysis.intervals import configurations
from pipelines.analysis.levels import levels
from pipelines.analysis.limits import limits_of
from tests.unit.analysis.sweeps import frame, world


def test_a_configurations_interval_is_over_its_prompts_means():
    values = world(1, 12, 3, 4)
    for place, figure in enumerate(configurations(frame(values), "overall")):
        means = values[:, place].mean(axis=1)
        expected = limits_of(means[:, None])
        assert (figure.prompts, figure.cells, figure.reason) == (12, 48, None)
        assert figure.mean == pytest.approx(means.mean(), rel=1e-12)
        assert figure.low == pytest.approx(expected.low[0], rel=1e-9)
        assert figure.high == pytest.approx(expected.high[0], rel=1e-9)


def test_more_repeats_of_the_same_answers_do_not_narrow_the_interval():
    values = world(1, 8, 2, 2)
    once, often = (configurations(frame(np.repeat(values, n, axis=2)), "overall")[0] for n in (1, 10))
    assert often.low == pytest.approx(once.low, rel=1e-9)


def test_the_same_figures_come_out_every_time():
    values = world(1, 9, 3)
    assert configurations(frame(values), "overall") == configurations(frame(values), "overall")


def test_one_prompt_has_a_mean_and_no_interval_and_says_why():
    figure = configurations(frame(world(1, 1, 2, 5)), "overall")[0]
    assert figure.mean is not None
    assert (figure.low, figure.high, figure.sd) == (None, None, None)
    assert "two prompts" in (figure.reason or "")


def test_a_configuration_without_any_value_is_none_and_says_why():
    values = world(1, 5, 2)
    values[:, 1] = np.nan
    figure = configurations(frame(values), "overall")[1]
    assert (figure.mean, figure.low, figure.prompts, figure.errors) == (None, None, 0, 15)
    assert figure.reason == "no cell has this metric"


def test_a_metric_that_no_cell_has_leaves_every_figure_none():
    assert [figure.mean for figure in configurations(frame(world(1, 3, 2)), "cost")] == [None, None]


def test_levels_average_over_the_other_factors():
    values = world(4, 6, 6)
    found = levels(frame(values, {"model": ["a", "b"], "temperature": [0, 0.5, 1]}), "overall", "temperature")
    middle = values[:, [1, 4]].mean(axis=(1, 2))
    assert [each.settings["temperature"] for each in found] == [0, 0.5, 1]
    assert found[1].mean == pytest.approx(middle.mean())
    assert found[1].low == pytest.approx(limits_of(middle[:, None]).low[0])
    assert (found[1].matched, found[1].configurations) == (True, 2)


def test_levels_of_two_factors_are_a_heat_maps_cells():
    found = levels(
        frame(world(4, 6, 6), {"model": ["a", "b"], "temperature": [0, 0.5, 1]}), "overall", "model", "temperature"
    )
    assert len(found) == 6
    assert found[4].settings == {"model": "b", "temperature": 0.5}


def test_a_level_whose_cells_failed_is_compared_over_what_both_have():
    values = np.zeros((4, 4, 1))
    values[:, 1] = values[:, 3] = 10  # temperature 1 gives 10 more points with model b alone: 20 against 0
    values[:, 2:] += 20
    values[1, 1] = np.nan
    low, high = levels(frame(values, {"model": ["a", "b"], "temperature": [0, 1]}), "overall", "temperature")
    assert high.mean - low.mean == pytest.approx(10)


def test_levels_that_share_no_companion_are_said_not_to_be_matched():
    rows = frame(world(1, 4, 2), {"temperature": [0.2, 0.8]})
    rows.configurations[0].parameters["top_p"] = 0.5
    rows.configurations[1].parameters["top_p"] = 0.9
    assert [each.matched for each in levels(rows, "overall", "temperature")] == [False, False]


def test_the_breakdown_describes_every_metric():
    values = world(5, 10, 2)
    [figure] = breakdown(frame(values))
    assert (figure.metric, figure.prompts, figure.cells) == ("overall", 10, 60)
    assert figure.median == pytest.approx(np.median(values))
    assert figure.low == pytest.approx(limits_of(values.mean(axis=(1, 2))[:, None]).low[0])


def test_the_breakdown_of_what_was_never_measured_is_none():
    [figure] = breakdown(frame(world(5, 3, 2)), ["cost"])
    assert (figure.mean, figure.median, figure.cells) == (None, None, 0)


def test_intervals_cover_95_percent_where_prompts_differ_in_spread():
    random = np.random.default_rng(7)
    scale = random.uniform(0.5, 2, (12, 600))
    means = scale * random.standard_normal((12, 600))
    moments = student.columns_of(means)
    assert (np.abs(moments.mean) <= student.half_width(moments)).mean() == pytest.approx(0.95, abs=0.03)
    found = limits_of(means)
    assert ((found.low <= 0) & (found.high >= 0)).mean() == pytest.approx(0.95, abs=0.03)
