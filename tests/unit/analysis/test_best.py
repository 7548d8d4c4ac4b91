import numpy as np
import pytest

from cluster.errors import BadRequest
from pipelines.analysis.best import NO_WINNER, best, best_of, probabilities
from pipelines.analysis.optima import optima, optimum
from pipelines.analysis.pareto import front, members
from tests.unit.analysis.sweeps import frame, rows_of, world


def test_a_clear_winner_is_named_with_its_adjusted_p():
    found = frame(world(1, 20, 4, effect=[0, 0, 10, 0]))
    told = best(found, "overall")
    assert told.winner == found.configurations[2].id
    assert told.p_adjusted < 0.05
    assert told.candidates[0].config_id == told.winner
    assert told.candidates[0].p_best > 0.99


def test_equals_have_no_detectable_winner():
    told = best(frame(world(2, 20, 4)), "overall")
    assert (told.winner, told.verdict) == (None, NO_WINNER)
    assert "not distinguishable" in (told.reason or "")


def test_the_probabilities_sum_to_one():
    told = best(frame(world(3, 10, 6)), "overall")
    assert sum(each.p_best for each in told.candidates) == pytest.approx(1)


def test_the_configuration_with_the_lowest_latency_is_best():
    latency = np.tile([300.0, 100.0, 200.0], 20) + np.random.default_rng(0).standard_normal(60)
    from pipelines.analysis.frame import frame_of

    found = frame_of(rows_of(world(1, 20, 3, 1), latency_ms=latency.tolist()))
    told = best(found, "latency_ms")
    assert told.winner == found.configurations[1].id
    assert told.candidates[0].mean == pytest.approx(100, abs=1)
    assert all(each.behind is None or each.behind > 0 for each in told.candidates)


def test_configurations_that_are_the_same_share_their_probability():
    told = best(frame(np.ones((6, 4, 2))), "overall")
    assert [each.p_best for each in told.candidates] == [0.25] * 4
    assert told.winner is None


@pytest.mark.parametrize(
    ("values", "metric", "reason"),
    [
        (world(1, 1, 3), "overall", "two prompts"),
        (world(1, 5, 1), "overall", "nothing to compare"),
        (world(1, 5, 3), "cost", "nothing was measured"),
    ],
)
def test_where_nobody_can_be_best_the_reason_is_given(values, metric, reason):
    told = best(frame(values), metric)
    assert told.winner is None
    assert reason in (told.reason or "")


def test_a_configuration_that_always_failed_is_no_rival():
    values = world(1, 20, 3, effect=[10, 0, 0])
    values[:, 2] = np.nan
    told = best(frame(values), "overall")
    assert told.winner is not None
    assert (told.candidates[-1].mean, told.candidates[-1].p_best) == (None, None)


def test_a_rival_that_shares_no_prompt_cannot_be_beaten():
    values = world(1, 20, 2, effect=[10, 0])
    values[:10, 0] = values[10:, 1] = np.nan
    assert "both configurations have" in (best(frame(values), "overall").reason or "")


def test_among_equals_the_leader_is_not_called_likely():
    shares = [probabilities(world(seed, 20, 30, 1)[:, :, 0]).max() for seed in range(20)]
    assert np.mean(shares) < 0.25  # plain bootstrap draws say 0.3 to 0.6


def test_p_best_is_calibrated():
    random = np.random.default_rng(1)
    said, true = [], []
    for _ in range(60):
        truth = random.standard_normal(8)
        said.append(
            probabilities(truth + 5 * random.standard_normal((20, 1)) + 3 * random.standard_normal((20, 8)))
        )
        true.append(truth == truth.max())
    said, true = np.concatenate(said), np.concatenate(true)
    likely = said > 0.5
    assert true[likely].mean() == pytest.approx(said[likely].mean(), abs=0.2)
    assert true[~likely].mean() == pytest.approx(said[~likely].mean(), abs=0.05)


def test_a_wrong_winner_is_rare():
    names = ["a", "b", "c"]
    told = [best_of(world(seed, 12, 3)[:, :, 0], names, names, [{}] * 3).winner for seed in range(60)]
    assert sum(winner is not None for winner in told) <= 6


def test_each_factor_has_its_best_level_over_the_others():
    values = world(4, 20, 6, effect=[0, 0, 0, 8, 8, 8])
    model, temperature = optima(frame(values, {"model": ["a", "b"], "temperature": [0, 0.5, 1]}), "overall")
    assert (model.value, model.shown, model.recommended) == ("b", True, ("b",))
    assert model.low < model.gain < model.high
    assert model.gain_percent == pytest.approx(100 * model.gain / model.others)
    assert not temperature.shown
    assert (temperature.low_end, temperature.high_end) == (0, 1)
    assert set(temperature.recommended) == {0, 0.5, 1}


def test_a_best_level_of_what_was_never_measured_is_none():
    assert optimum(frame(world(1, 4, 3)), "cost", "temperature") is None


def test_a_best_level_of_one_prompt_has_no_interval():
    told = optimum(frame(world(1, 1, 3)), "overall", "temperature")
    assert told is not None
    assert (told.shown, told.low, told.p_best) == (False, None, None)


def test_the_front_is_what_no_other_dominates():
    random = np.random.default_rng(5)
    goods = random.integers(0, 5, (3, 6, 20)).astype(float)
    goods[1, 2, 3] = np.nan
    goods[:, :, 7] = goods[:, :, 8]  # equals are both on the front, or both not
    found = members(goods)
    for draw in range(6):
        for point in range(20):
            mine = goods[:, draw, point]
            worse = [
                (goods[:, draw, other] >= mine).all() and (goods[:, draw, other] > mine).any()
                for other in range(20)
            ]
            assert found[draw, point] == (np.isfinite(mine).all() and not any(worse))


def test_a_point_has_its_means_and_its_membership():
    told = front(frame(world(6, 10, 4, effect=[0, 0, 0, 20])), "overall")
    assert told.costs == ("latency_ms", "completion_tokens")
    assert told.points[3].member
    assert told.points[3].membership == 1
    assert told.points[3].costs["completion_tokens"] == 20
    assert all(0 <= point.membership <= 1 for point in told.points)


def test_a_cost_that_nothing_has_is_left_out():
    assert front(frame(world(1, 5, 2)), "overall", ["cost", "latency_ms"]).costs == ("latency_ms",)


def test_a_front_of_one_prompt_has_no_membership():
    told = front(frame(world(1, 1, 3)), "overall")
    assert {point.membership for point in told.points} == {None}
    assert any(point.member for point in told.points)
    assert "two prompts" in (told.reason or "")


def test_a_front_of_nothing_is_empty():
    told = front(frame(world(1, 5, 3)), "cost", [])
    assert not any(point.member for point in told.points)
    assert told.reason == "nothing was measured"


def test_a_configuration_without_cells_is_never_on_the_front():
    values = world(1, 6, 3)
    values[:, 1] = np.nan
    point = front(frame(values), "overall").points[1]
    assert (point.member, point.membership, point.quality) == (False, None, None)


def test_an_unknown_metric_is_refused():
    with pytest.raises(BadRequest):
        best(frame(world(1, 5, 3)), "charm")
    with pytest.raises(BadRequest):
        front(frame(world(1, 5, 3)), "overall", ["charm"])


def test_who_is_worse_than_a_rival_over_the_prompts_of_both_is_no_winner():
    low, high, middle = 0, 1, 2
    matrix = np.full((60, 3), np.nan)
    noise = np.random.default_rng(0).standard_normal((60, 3))
    matrix[:20, [low, high]] = [[1.0, 0.0]]  # side by side the leader is the worse
    matrix[20:40, [low, middle]] = [[0.0, 20.0]]
    matrix[40:, [high, middle]] = [[60.0, 20.0]]
    told = best_of(matrix + 0.1 * noise, ["low", "high", "middle"], ["low", "high", "middle"], [{}] * 3)
    assert told.leader == "high"
    assert all(each.p_adjusted is None or each.p_adjusted < 0.05 for each in told.candidates)
    assert told.winner is None
    assert "better than the leader over the prompts that both have" in (told.reason or "")
