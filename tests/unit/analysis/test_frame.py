import json
from datetime import UTC, datetime

import numpy as np
import pyarrow as pa
import pytest

from cluster.errors import BadRequest
from cluster.stores.runs import schema
from pipelines.analysis.frame import frame_of
from tests.unit.analysis.sweeps import frame, rows_of, world


def test_blocks_hold_the_means_over_repeats_by_prompt_and_configuration():
    values = world(1, 3, 4, 5)
    blocks = frame(values).blocks("overall")
    np.testing.assert_allclose(blocks.mean, values.mean(axis=2), rtol=1e-12)
    np.testing.assert_allclose(blocks.within, ((values - values.mean(axis=2, keepdims=True)) ** 2).sum(axis=2))
    assert (blocks.count == 5).all()


def test_a_failed_cell_is_no_cell_and_is_counted_as_an_error():
    values = world(1, 2, 2, 2)
    values[0, 1, :] = np.nan
    found = frame(values)
    assert len(found) == 6
    assert [configuration.errors for configuration in found.configurations] == [0, 2]
    assert [configuration.cells for configuration in found.configurations] == [4, 4]
    assert np.isnan(found.blocks("overall").mean[0, 1])


def test_a_configuration_whose_cells_all_failed_is_still_there():
    values = world(1, 2, 2, 1)
    values[:, 1] = np.nan
    assert len(frame(values).configurations) == 2


def test_factors_are_the_settings_that_take_several_values_in_the_plans_order():
    grid = {"model": ["a", "b"], "temperature": [0.5], "penalty": [2, 1]}
    found = frame(world(1, 2, 4), grid)
    assert found.factors == ("model", "penalty")
    assert found.levels("penalty") == [1, 2]
    assert found.level_codes("penalty").tolist() == [1, 0, 1, 0]
    assert found.configurations[0].label == "a, temperature=0.5, penalty=2"


def test_greedy_anchors_are_left_out_unless_asked_for():
    rows = rows_of(world(1, 2, 2, 1), greedy=[False, True, None, True])
    assert len(frame_of(rows)) == 2
    assert len(frame_of(rows).configurations) == 1
    assert frame_of(rows, greedy=True).greedy.sum() == 2


@pytest.mark.parametrize(
    "scores",
    [
        ['{"a": 1, "b": 2.5}', '{"a": 3.0, "b": 4}'],
        ['{"a": 1, "b": 2.5}', '{"b": 4, "a": 3}'],  # another order
        ['{"a": 1, "b": 2.5}', '{"a": 3, "b": 4, "c": "text"}'],
        ['{"a": 1e0, "b": 25e-1}', '{"a": 3, "b": 4}'],
        ['{"a": 1, "b": 2.5, "d": NaN}', '{"a": 3, "b": 4, "d": Infinity}'],
        ['{"a": 1, "b": 2.5, "d": null}', '{"a": 3, "b": 4, "d": null}'],
    ],
)
def test_scores_are_read_by_name_however_they_are_written(scores):
    found = frame_of(rows_of(np.ones((2, 1, 1)), scores=scores))
    assert found.metrics == ("a", "b")
    assert found.columns["a"].tolist() == [1, 3]
    assert found.columns["b"].tolist() == [2.5, 4]


@pytest.mark.parametrize(
    "broken", ["", "[]", "not json", "7", "null", None, '{"a": true}', '{"a": [1]}', '{"a": ""}']
)
def test_scores_that_are_no_object_of_numbers_are_missing(broken):
    found = frame_of(rows_of(np.ones((2, 1, 1)), scores=[broken, '{"a": 2}']))
    assert np.isnan(found.columns["a"][0])
    assert found.columns["a"][1] == 2


def test_a_score_name_that_is_no_word_is_read_too():
    scores = ['{"top-5 %": 1.5, "é": 2}', '{"top-5 %": 2.5, "é": 3}']
    found = frame_of(rows_of(np.ones((2, 1, 1)), scores=scores))
    assert found.columns["top-5 %"].tolist() == [1.5, 2.5]


def test_completeness_comes_from_its_own_column_where_older_rows_have_no_scores():
    found = frame_of(rows_of(np.ones((2, 1, 1)), scores=[None, '{"completeness": 7}'], completeness=[90.0, 80.0]))
    assert found.columns["completeness"].tolist() == [90, 7]


def test_rows_in_any_order_and_in_several_chunks_make_the_same_frame():
    rows = rows_of(world(3, 4, 3, 2))
    shuffled = rows.take(pa.array(np.random.default_rng(0).permutation(rows.num_rows)))
    mixed = pa.concat_tables([shuffled.slice(0, 5), shuffled.slice(5)])
    expected, found = frame_of(rows), frame_of(mixed)
    np.testing.assert_array_equal(found.blocks("overall").mean, expected.blocks("overall").mean)
    assert found.configurations == expected.configurations


def test_two_runs_pair_up_by_the_prompts_text():
    one = rows_of(world(1, 2, 2, 1))
    other = rows_of(world(2, 2, 2, 1), run_id=["s"] * 4, prompt_hash=["h1", "h1", "new", "new"])
    found = frame_of(pa.concat_tables([one, other]))
    assert found.runs == ("r", "s")
    assert found.prompts == ("p0", "p1 (h1)", "p1 (new)") or len(found.prompts) == 3
    assert len(found.configurations) == 2


def test_a_config_id_of_the_rows_is_kept_and_one_that_is_missing_is_made():
    kept = frame_of(rows_of(world(1, 2, 2, 1), config_id=["x", "y", "x", "y"]))
    made = frame(world(1, 2, 2, 1))
    assert [configuration.id for configuration in kept.configurations] == ["x", "y"]
    assert len({configuration.id for configuration in made.configurations}) == 2


def test_retrieval_settings_that_vary_are_a_factor():
    found = frame_of(
        rows_of(np.ones((1, 2, 1)), {"temperature": [0.5, 0.7]}, retrieval=['{"top_k": 3}', '{"top_k": 5}'])
    )
    assert "retrieval.top_k" in found.factors


def test_a_stored_runs_own_table_makes_a_frame():
    row = {
        "run_id": "r",
        "cell_id": "c",
        "ordinal": 0,
        "model": "m",
        "prompt_id": "p",
        "prompt_hash": "h",
        "prompt": "t",
        "parameters": "{}",
        "repeat": 1,
        "started": datetime(2026, 1, 1, tzinfo=UTC),
        "attempts": 1,
        "completeness": 50.0,
    }
    found = frame_of(pa.Table.from_pylist([row], schema=schema()))
    assert found.metrics == ("completeness",)
    assert found.started[0] == np.datetime64("2026-01-01")


def test_an_empty_table_is_an_empty_frame():
    found = frame_of(schema().empty_table())
    assert (len(found), found.configurations, found.metrics, found.factors) == (0, (), (), ())
    assert found.blocks("latency_ms").mean.shape == (0, 0)


def test_an_unknown_metric_or_factor_is_refused_with_what_there_is():
    found = frame(world(1, 2, 2))
    with pytest.raises(BadRequest) as metric:
        found.blocks("charm")
    assert (metric.value.param, "overall" in (metric.value.hint or "")) == ("metric", True)
    with pytest.raises(BadRequest) as factor:
        found.levels("seed")
    assert factor.value.param == "factor"


def test_levels_that_are_lists_or_mixed_stay_in_the_plans_order():
    found = frame(np.ones((1, 3, 1)), {"stop": [["b"], "x", None]})
    assert json.dumps(found.levels("stop")) == '[["b"], "x", null]'


def test_rows_that_name_no_model_are_one_models():
    table = rows_of(world(1, 2, 2, 1))
    place = table.column_names.index("model")
    for rows in (
        table.drop_columns(["model"]),
        table.set_column(place, "model", pa.nulls(len(table), pa.string())),
    ):
        assert [each.label for each in frame_of(rows).configurations] == ["temperature=0.0", "temperature=0.1"]
