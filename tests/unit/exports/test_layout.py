"""The columns of an export."""

import pyarrow as pa
import pytest

from cluster.errors import BadRequest
from pipelines.analysis.exports.export import export_of
from pipelines.analysis.exports.layout import ORDER, layout_of
from pipelines.analysis.exports.source import TableSource
from tests.unit.exports.sweep_rows import row, sweep, table


def exported(rows: pa.Table, **options: object) -> pa.Table:
    made = export_of(TableSource(rows), **options)  # type: ignore[arg-type]
    return pa.Table.from_batches(list(made.batches()), schema=made.schema)


def test_every_stored_column_has_its_place_in_the_order() -> None:
    assert set(table([]).column_names) == set(ORDER)


def test_parameters_retrieval_and_scores_are_columns_of_their_own() -> None:
    rows = [
        row(0, parameters='{"min_p": 0.1, "stop": ["a", "b"]}', retrieval='{"top_k": 4}', scores='{"overall": 80}'),
        row(1, parameters='{"min_p": 1}', scores='{"overall": 70.5, "readability": 3}'),
    ]
    found = exported(table(rows)).to_pylist()
    assert [one["min_p"] for one in found] == [0.1, 1.0]
    assert [one["stop"] for one in found] == ['["a", "b"]', None]
    assert [one["retrieval_top_k"] for one in found] == [4, None]
    assert [one["score_overall"] for one in found] == [80.0, 70.5]
    assert [one["score_readability"] for one in found] == [None, 3.0]
    assert not {"parameters", "retrieval", "scores", "features"} & set(found[0])


def test_a_column_has_the_narrowest_type_that_holds_its_values() -> None:
    rows = [
        row(0, parameters='{"flag": true, "whole": 3, "number": 1, "mixed": 1, "huge": 18446744073709551616}'),
        row(1, parameters='{"flag": false, "whole": -4, "number": 0.5, "mixed": "auto", "huge": 1, "none": null}'),
    ]
    kinds = layout_of(TableSource(table(rows))).schema
    assert kinds.field("flag").type == pa.bool_()
    assert kinds.field("whole").type == pa.int64()
    assert kinds.field("number").type == pa.float64()
    assert kinds.field("mixed").type == pa.string()
    assert kinds.field("huge").type == pa.float64()
    assert kinds.field("none").type == pa.string()


def test_a_parameter_with_the_name_of_a_column_is_told_apart() -> None:
    found = exported(table([row(0, parameters='{"text": "x", "score_overall": 1}', scores='{"overall": 9}')]))
    assert found.column("parameter_text").to_pylist() == ["x"]
    assert found.column("text").to_pylist() == ["hello 0"]
    assert found.column("parameter_score_overall").to_pylist() == [1]
    assert found.column("score_overall").to_pylist() == [9.0]


def test_features_are_there_only_where_they_are_asked_for() -> None:
    assert "feature_words" not in exported(sweep(1)).column_names
    assert "feature_words" in exported(sweep(1), features=True).column_names
    assert exported(sweep(1), fields=["feature_words"]).column("feature_words").to_pylist()[:2] == [40, 41]


def test_fields_choose_columns_in_their_order() -> None:
    assert exported(sweep(1), fields=["score_overall", "model"]).column_names == ["score_overall", "model"]


@pytest.mark.parametrize(
    ("fields", "param", "said"),
    [
        (["model", "nope"], "fields[1]", "nope"),
        ([], "fields", "one column"),
        (["model", "model"], "fields", "once"),
    ],
)
def test_bad_fields_are_refused(fields: list[str], param: str, said: str) -> None:
    with pytest.raises(BadRequest, match=said) as caught:
        export_of(TableSource(sweep(1)), fields=fields)
    assert caught.value.param == param


def test_an_unknown_field_is_answered_with_the_known_ones() -> None:
    with pytest.raises(BadRequest) as caught:
        export_of(TableSource(sweep(1)), fields=["nope"])
    assert "score_overall" in str(caught.value.hint)


def test_a_table_without_the_newer_columns_is_exported_all_the_same() -> None:
    old = table([row(0)]).drop_columns(["scores", "features", "score_versions", "retrieval", "config_id", "cost"])
    assert exported(old).column("text").to_pylist() == ["hello 0"]


def test_json_that_is_no_object_adds_no_column() -> None:
    assert "words" not in exported(table([row(0, parameters="[1]", scores=None)])).column_names
