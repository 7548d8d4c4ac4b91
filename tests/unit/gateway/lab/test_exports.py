import csv
import gc
import hashlib
import io
import json
import weakref
from collections.abc import Sequence
from typing import Any

import pyarrow.parquet as pq
import pytest

from cluster.stores.runs import Run
from deployments.gateway.lab.export_desk import filters_of
from tests.unit.gateway.lab.house import House
from tests.unit.gateway.lab.stored_runs import CELLS, SPEC, finished


async def rows_of(house: House, **body: Any) -> list[dict[str, str]]:
    answer = await house.client.post("/export/batch", json={"format": "csv", **body})
    assert answer.status_code == 200, answer.text
    found = list(csv.DictReader(io.StringIO(answer.text)))
    assert int(answer.headers["x-total-rows"]) == len(found)
    return found


async def test_a_batch_has_a_row_a_cell_with_its_parameters_as_columns(house: House) -> None:
    number = await finished(house, failed=1)
    rows = await rows_of(house, batch_id=number)
    assert len(rows) == CELLS
    assert (rows[0]["error_code"], rows[0]["score_overall"]) == ("engine_error", "")
    assert (rows[1]["temperature"], rows[1]["top_p"], rows[1]["repeat"]) == ("0.2", "0.9", "2")
    assert rows[1]["text"] == "'=answer 1"  # no spreadsheet runs it


@pytest.mark.parametrize("form", ["csv", "json", "xlsx", "parquet"])
async def test_a_file_comes_with_its_checksum_and_name(stored: tuple[House, int], form: str) -> None:
    house, number = stored
    answer = await house.client.post("/export/batch", json={"batch_id": number, "format": form})
    assert answer.status_code == 200
    assert answer.headers["x-checksum-sha256"] == hashlib.sha256(answer.content).hexdigest()
    assert answer.headers["content-disposition"] == f'attachment; filename="batch-{number}-Warm-or-cold.{form}"'
    assert int(answer.headers["content-length"]) == len(answer.content)
    assert answer.headers["x-total-rows"] == str(CELLS)


async def test_a_batchs_texts_do_not_stay_in_memory_after_its_export(
    stored: tuple[House, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Four exports of several batches, of up to 300,000 answers each, were kept as long as the gateway ran."""
    house, number = stored
    read: list[weakref.ref[Any]] = []
    table = Run.table

    def counted(run: Run, columns: Sequence[str] | None = None) -> Any:
        found = table(run, columns)
        read.append(weakref.ref(found))
        return found

    monkeypatch.setattr(Run, "table", counted)
    answer = await house.client.post("/export/custom", json={"batch_ids": [number], "format": "csv"})
    assert (answer.status_code, answer.headers["x-total-rows"]) == (200, str(CELLS))
    gc.collect()
    assert [one() for one in read] == [None]


async def test_the_formats_hold_the_same(stored: tuple[House, int]) -> None:
    house, number = stored
    listed = await rows_of(house, batch_id=number, fields=["cell_id", "score_overall"])
    objects = (await house.client.post("/export/batch", json={"batch_id": number, "format": "json"})).json()
    columns = await house.client.post("/export/batch", json={"batch_id": number, "format": "parquet"})
    table = pq.read_table(io.BytesIO(columns.content))
    assert [float(row["score_overall"]) for row in listed] == [one["score_overall"] for one in objects]
    assert table.column("score_overall").to_pylist() == [one["score_overall"] for one in objects]
    assert table.column("cell_id").to_pylist() == [row["cell_id"] for row in listed]


async def test_rows_are_chosen(stored: tuple[House, int]) -> None:
    house, number = stored
    filters = {"temperature": {"ge": 0.6}, "top_p": 1.0}
    assert len(await rows_of(house, batch_id=number, filters=filters)) == CELLS // 3
    assert await rows_of(house, batch_id=number, filters={"temperature": 7}) == []


@pytest.mark.parametrize(
    ("given", "conditions"),
    [
        ({"temperature": 0.2}, ["temperature eq 0.2"]),
        ({"model": ["a", "b"], "top_p": 1}, ["model in ['a', 'b']", "top_p eq 1"]),
        ({"temperature": {"ge": 0.1, "lt": 0.5}}, ["temperature ge 0.1", "temperature lt 0.5"]),
        ([{"field": "text", "op": "contains", "value": "x"}], ["text contains 'x'"]),
        ({}, []),
        (None, []),
    ],
)
def test_filters_are_taken_in_both_forms(given: Any, conditions: list[str]) -> None:
    assert [str(one) for one in filters_of(given)] == conditions


@pytest.mark.parametrize(
    ("change", "status", "param"),
    [
        ({"format": "doc"}, 400, "format"),
        ({"fields": ["nope"]}, 400, "fields[0]"),
        ({"fields": []}, 400, "fields"),
        ({"filters": {"nope": 1}}, 400, "filters.nope.field"),
        ({"filters": {"temperature": {"near": 1}}}, 400, "filters.temperature"),
        ({"filters": [{"field": "temperature"}]}, 400, "filters[0]"),
        ({"format": "pdf", "fields": ["text"]}, 400, "fields"),
        ({"batch_id": 999}, 404, None),
        ({"batch_id": "1"}, 400, "batch_id"),
        ({"rows": 1}, 400, "rows"),
    ],
)
async def test_a_wrong_export_is_refused(
    house: House, change: dict[str, Any], status: int, param: str | None
) -> None:
    number = await finished(house, prompts=["one"])
    answer = await house.client.post("/export/batch", json={"batch_id": number, "format": "csv", **change})
    assert (answer.status_code, answer.json()["error"].get("param")) == (status, param)


@pytest.mark.parametrize("form", ["csv", "xlsx"])
async def test_an_export_of_nothing_is_a_file_without_rows(house: House, form: str) -> None:
    number = (await house.client.post("/experiments/batch", json=SPEC)).json()["id"]
    answer = await house.client.post("/export/batch", json={"batch_id": number, "format": form})
    assert (answer.status_code, answer.headers["x-total-rows"]) == (200, "0")


async def test_a_single_experiment_is_exported_with_its_scores(house: House) -> None:
    number, answers = await house.generated()
    whole = (await house.client.get(f"/export/{number}")).json()
    assert whole["experiment"]["id"] == number
    assert [row["text"] for row in whole["rows"]] == [answer["content"] for answer in answers]
    assert all(0 <= row["score_overall"] <= 100 for row in whole["rows"])
    listed = list(csv.DictReader(io.StringIO((await house.client.get(f"/export/{number}/csv")).text)))
    assert [float(row["temperature"]) for row in listed] == [answer["temperature"] for answer in answers]
    assert (await house.client.get("/export/999")).status_code == 404


async def test_several_are_exported_together(house: House) -> None:
    batch, (single, answers) = await finished(house), await house.generated()
    body = {"batch_ids": [batch], "experiment_ids": [single], "format": "json"}
    rows = (await house.client.post("/export/custom", json=body)).json()
    kinds = [(row["experiment_type"], row["experiment_id"]) for row in rows]
    assert kinds == [("batch", batch)] * CELLS + [("single", single)] * len(answers)
    body |= {"filters": {"experiment_type": "single"}, "fields": ["experiment_id", "text"]}
    assert len((await house.client.post("/export/custom", json=body)).json()) == len(answers)
    assert (await house.client.post("/export/custom", json={})).status_code == 400


@pytest.mark.parametrize("kind", ["trends", "breakdown", "models", "optimization", "correlation", "insights"])
async def test_statistics_are_exported_as_they_are_shown(stored: tuple[House, int], kind: str) -> None:
    house, _ = stored
    whole = await house.client.get(f"/export/analytics/{kind}")
    assert json.loads(whole.content)["cells"] == CELLS
    table = await house.client.get(f"/export/analytics/{kind}", params={"format": "csv"})
    assert len(list(csv.DictReader(io.StringIO(table.text)))) == int(table.headers["x-total-rows"]) > 0
    wrong = await house.client.get("/export/analytics/nope")
    assert (wrong.status_code, wrong.json()["error"]["param"]) == (400, "type")


async def test_anothers_are_not_exported(house: House) -> None:
    number = await finished(house, key="ann")
    bob = {"x-key": "bob"}
    for path, body in [
        ("/export/batch", {"batch_id": number}),
        ("/export/custom", {"batch_ids": [number]}),
    ]:
        assert (await house.client.post(path, json=body, headers=bob)).status_code == 404
    assert (await house.client.get("/export/analytics/breakdown", headers=bob)).json()["cells"] == 0


async def test_a_file_that_one_has_is_not_sent_again_until_it_changes(house: House) -> None:
    """It came with an ETag that nobody looked at."""
    single, _ = await house.generated()
    await finished(house)
    for path in (f"/export/{single}", f"/export/{single}/csv", "/export/analytics/breakdown"):
        first = await house.client.get(path)
        again = await house.client.get(path, headers={"if-none-match": first.headers["etag"]})
        assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", first.headers["etag"])
    tag = (await house.client.get(f"/export/{single}")).headers["etag"]
    await house.client.patch(f"/experiments/{single}", json={"name": "another"})
    changed = await house.client.get(f"/export/{single}", headers={"if-none-match": tag})
    assert (changed.status_code, changed.json()["experiment"]["name"]) == (200, "another")
