"""What a hostile statistician feeds the analysis, and what must not change its figures."""

import time
import warnings
from collections.abc import Mapping
from dataclasses import asdict
from itertools import pairwise as neighbours
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet
import pytest

from pipelines.analysis.attrition import attrition
from pipelines.analysis.best import best
from pipelines.analysis.comparisons import pairwise
from pipelines.analysis.correlation import correlations
from pipelines.analysis.effects import anova
from pipelines.analysis.frame import frame_of, numeric
from pipelines.analysis.friedman import friedman
from pipelines.analysis.insights import insights
from pipelines.analysis.intervals import configurations
from pipelines.analysis.optima import optima
from pipelines.analysis.pareto import front
from pipelines.analysis.variance import split
from tests.unit.analysis.sweeps import frame, rows_of, world

GRID = {"model": ["a", "b"], "temperature": [0, 0.5, 1]}


def told(rows: pa.Table, metric: str = "overall") -> dict[str, Any]:
    """All that is said of some rows; warnings are errors."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = frame_of(rows)
        numbers = [name for name in found.factors if all(numeric(level) for level in found.levels(name))]
        figures = (configurations, pairwise, anova, best, insights, split, front, friedman, optima)
        return {
            **{figure.__name__: figure(found, metric) for figure in figures},
            "correlations": correlations(found, numbers, [metric]),
        }


def numbers_of(value: Any) -> list[float]:
    """Every number in it, as a JSON encoder would meet them."""
    if isinstance(value, Mapping):
        return [number for each in value.values() for number in numbers_of(each)]
    if isinstance(value, list | tuple):
        return [number for each in value for number in numbers_of(each)]
    if hasattr(value, "__dataclass_fields__"):
        return numbers_of(asdict(value))
    return [value] if isinstance(value, float) else []


@pytest.fixture(scope="module")
def rows() -> pa.Table:
    values = world(1, 16, 6, 3, effect=[0, 0, 0, 5, 5, 5])
    values[2, 1, 0] = values[4, 3] = np.nan
    return rows_of(values, GRID)


def test_the_order_of_the_rows_changes_no_figure(rows):
    shuffled = rows.take(pa.array(np.random.default_rng(0).permutation(rows.num_rows)))
    assert told(shuffled) == told(rows)


def test_without_ordinals_the_order_of_the_rows_changes_no_figure(rows):
    bare = rows.drop_columns(["ordinal"])
    shuffled = bare.take(pa.array(np.random.default_rng(0).permutation(rows.num_rows)))
    assert told(shuffled) == told(bare)


def test_rows_through_parquet_and_csv_say_the_same(rows, tmp_path: Path):
    pa.parquet.write_table(rows, tmp_path / "rows.parquet")
    pa.csv.write_csv(rows, tmp_path / "rows.csv")
    expected = told(rows)
    assert told(pa.parquet.read_table(tmp_path / "rows.parquet")) == expected
    assert told(pa.csv.read_csv(tmp_path / "rows.csv")) == expected


def test_a_configuration_by_any_other_name_has_the_same_figures(rows):
    model, temperature = rows.column("model").to_pylist(), rows.column("temperature").to_pylist()
    names = [f"{a}{b}" for a, b in zip(model, temperature, strict=True)]
    backwards = {name: f"{99 - place}" for place, name in enumerate(dict.fromkeys(names))}
    plain, renamed = (
        told(rows.append_column("config_id", pa.array(ids))) for ids in (names, [backwards[name] for name in names])
    )
    assert numbers_of(renamed) == numbers_of(plain)


def test_the_plans_order_of_configurations_changes_no_p():
    values = world(2, 12, 4, 2, effect=[0, 1, 2, 6])
    one = frame(values, {"temperature": [0.1, 0.2, 0.3, 0.4]})
    other = frame(values[:, ::-1], {"temperature": [0.4, 0.3, 0.2, 0.1]})
    for figure in (pairwise, best):
        first, second = figure(one, "overall"), figure(other, "overall")
        pairs = [getattr(each, "pairs", None) or each.candidates for each in (first, second)]
        p, q = (sorted((each.p_adjusted or 0.0) for each in side) for side in pairs)
        assert p == pytest.approx(q, abs=1e-12)
    winners = [next(c.label for c in best(each, "overall").candidates) for each in (one, other)]
    assert winners[0] == winners[1]
    assert anova(one, "overall").effects[0].p == pytest.approx(anova(other, "overall").effects[0].p)


def test_rows_that_are_there_twice_count_once(rows):
    assert told(pa.concat_tables([rows, rows])) == told(rows)


def test_of_a_cell_that_is_there_twice_the_one_that_went_well_counts():
    values = world(1, 6, 2, 2)
    failed = values.copy()
    failed[0, 0, 0] = np.nan
    both = [rows_of(failed), rows_of(values)]
    assert told(pa.concat_tables(both, promote_options="permissive")) == told(both[1])


def test_anchors_have_no_say():
    values = world(1, 8, 3, 2)
    rows = rows_of(values)
    anchors = rows_of(np.full((8, 1, 1), 99.0), ordinal=list(range(900, 908)), greedy=[True] * 8)
    assert told(pa.concat_tables([rows, anchors], promote_options="default")) == told(rows)


@pytest.mark.parametrize(
    "values",
    [
        np.full((8, 4, 3), 100.0),
        np.zeros((2, 4, 1)),
        world(1, 2, 4),
        world(1, 2, 2, 1),
        world(1, 8, 1),
        world(1, 1, 1, 1),
        np.broadcast_to(world(1, 8, 1), (8, 4, 3)),  # configurations that are the same
        np.where(np.arange(96).reshape(8, 4, 3) == 40, 1e99, world(1, 8, 4, 3)),  # one huge outlier
        np.where(np.arange(96).reshape(8, 4, 3) % 5 == 0, np.nan, world(1, 8, 4, 3)),
        np.where(np.arange(4)[:, None] > np.arange(3), np.nan, world(1, 8, 4, 3)),  # repeats that differ
    ],
    ids=["full", "two of zeros", "two", "pair", "one", "single", "same", "outlier", "gaps", "unequal repeats"],
)
def test_every_number_is_finite_and_nothing_warns(values):
    found = numbers_of(told(rows_of(values)))
    assert np.isfinite(found).all()


def test_an_outlier_makes_no_winner():
    values = world(1, 10, 3)
    values[3, 1] = 1e9
    assert best(frame(values), "overall").winner is None


def test_a_factor_with_one_level_is_none_and_factors_that_go_together_are_refused():
    single = frame(world(1, 8, 2), {"temperature": [0, 1], "top_p": [0.9]})
    assert single.factors == ("temperature",)
    rows = rows_of(world(1, 8, 3), {"temperature": [0.0, 0.5, 1.0]})
    together = [f'{{"penalty": {2 * value}}}' for value in rows.column("temperature").to_pylist()]
    rows = rows.set_column(rows.column_names.index("parameters"), "parameters", pa.array(together))
    table = anova(frame_of(rows), "overall")
    assert (table.effects, frame_of(rows).factors) == ((), ("temperature", "penalty"))
    assert "apart" in (table.reason or "")


def test_twelve_factors_are_analysed_in_a_moment():
    design = np.random.default_rng(0).integers(0, 2, (60, 12))
    rows = rows_of(world(1, 20, 60, 2))
    settings = [
        "{" + ", ".join(f'"f{place}": {level}' for place, level in enumerate(line)) + "}" for line in design
    ]
    chosen = [settings[round(10 * value)] for value in rows.column("temperature").to_pylist()]
    rows = rows.set_column(rows.column_names.index("parameters"), "parameters", pa.array(chosen)).drop_columns(
        ["temperature"]
    )
    begun = time.process_time()
    table = anova(frame_of(rows), "overall")
    assert time.process_time() - begun < 5  # 10 ms on an idle machine
    assert {effect.factors for effect in table.effects} >= {(f"f{place}",) for place in range(12)}


def test_a_configuration_that_fails_more_often_is_told_with_its_test():
    values = world(1, 12, 3, 4)
    values[:, 1, 1:] = np.nan
    sentence = next(each for each in insights(frame(values), "overall").sentences if each.kind == "missing")
    assert sentence.significant
    assert "temperature=0.1" in sentence.text
    assert "75" in sentence.text
    assert f"n = {sentence.n} prompts" in sentence.text
    assert sentence.low <= 75 <= sentence.high


def test_losses_that_are_chance_are_told_and_are_no_finding():
    values = world(1, 12, 4, 4)
    values[np.random.default_rng(0).random(values.shape) < 0.1] = np.nan
    lost = attrition(frame(values), "overall")
    assert lost is not None
    assert (lost.cells, lost.asked) == (int(np.isnan(values).sum()), values.size)
    assert not lost.significant
    assert attrition(frame(world(1, 12, 4)), "overall") is None


def test_a_difference_of_shares_does_not_leave_what_shares_can_differ_by():
    values = world(1, 6, 3, 2)
    values[:5, 1] = np.nan
    lost = attrition(frame(values), "overall")
    assert lost is not None
    assert -100 <= lost.low < lost.apart < lost.high == 100


def test_failing_on_hard_prompts_makes_no_leader():
    values = np.zeros((20, 2, 2)) + np.linspace(0, 95, 20).reshape(20, 1, 1)
    values += 0.5 * np.random.default_rng(1).standard_normal(values.shape)
    values[:, 1] += 3  # better everywhere
    values[:10, 0] = np.nan  # the worse one answered the easy prompts alone
    told = best(frame(values), "overall")
    assert told.candidates[0].config_id == told.leader == frame(values).configurations[1].id
    assert told.winner is not None


def test_adjusted_p_never_falls_below_p_and_holds_their_order(rows):
    found = told(rows)
    for family in (found["pairwise"].pairs, found["anova"].effects):
        ordered = sorted((each.p, each.p_adjusted) for each in family if each.p is not None)
        assert all(adjusted >= p for p, adjusted in ordered)
        assert all(one[1] <= other[1] + 1e-12 for one, other in neighbours(ordered))
