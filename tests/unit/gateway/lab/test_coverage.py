"""Figures over all there is: a damaged run, or more rows than memory takes, is left out and told of."""

from typing import Any

import pytest

from cluster.stores.runs import Run
from deployments.gateway.lab import material
from tests.unit.gateway.lab.house import CELLS as ANSWERS
from tests.unit.gateway.lab.house import House
from tests.unit.gateway.lab.stored_runs import CELLS, finished

SMALL: dict[str, Any] = {"prompts": ["one", "two"]}
FEW = 2 * 3 * 2 * 2


async def damage(house: House, number: int, *, cut: int | None = None, owner: str = "root") -> str:
    """Spoil a batch's part: a byte inside of a page, or all after its first ones. Its name in messages."""
    path = f"/experiments/batch/{number}"
    run_id = (await house.client.get(path, headers={"x-key": owner})).json()["run_id"]
    [part] = Run(house.settings.home_path, run_id).files()
    content = bytearray(part.read_bytes())
    content[200] ^= 0xFF  # only its checksum tells
    part.write_bytes(content if cut is None else content[:cut])
    return f"sweeps/{run_id}/parts/{part.name}"


@pytest.mark.parametrize("cut", [None, 0, 300])
async def test_a_damaged_run_is_left_out_of_the_figures_of_all_and_named(house: House, cut: int | None) -> None:
    """One bad file made the statistics of everything an error 500."""
    await finished(house)
    bad = await finished(house, name="Broken", **SMALL)
    part = await damage(house, bad, cut=cut)
    for path in ("quality/breakdown", "quality/trends", "models/comparison", "parameters/insights"):
        answer = await house.client.get(f"/analytics/{path}")
        assert answer.status_code == 200, answer.text
        told = answer.json()
        assert (told["cells"], told["coverage"]) == (CELLS, {"experiments": 1, "rows": CELLS, "left_out": 1})
        [warning] = told["warnings"]
        assert (warning["code"], warning["experiments"]) == (
            "damaged_run",
            [{"experiment_type": "batch", "id": bad, "name": "Broken"}],
        )
        assert f"{part} is damaged" in warning["message"]


async def test_a_damaged_run_that_is_asked_for_is_an_error_with_a_code(house: House) -> None:
    number = await finished(house, **SMALL)
    await damage(house, number)
    answers = [
        await house.client.get("/analytics/quality/breakdown", params={"batch_id": number}),
        await house.client.get(f"/experiments/batch/{number}/insights"),
        await house.client.post("/export/batch", json={"batch_id": number}),
        await house.client.post("/export/custom", json={"batch_ids": [number]}),
    ]
    for answer in answers:
        error = answer.json()["error"]
        assert (answer.status_code, error["code"]) == (500, "damaged_run")
        assert "sets it aside" in error["hint"]


async def test_what_was_told_of_all_is_not_told_of_the_one_that_is_asked_for(house: House) -> None:
    """The figures of all there is, without their only run, were kept and told for that run as good."""
    number = await finished(house, **SMALL)
    await damage(house, number)
    assert (await house.client.get("/analytics/quality/breakdown")).status_code == 200
    query = {"batch_id": number, "timeframe": "30d"}
    answer = await house.client.get("/analytics/quality/breakdown", params=query)
    assert (answer.status_code, answer.json()["error"]["code"]) == (500, "damaged_run")


async def test_a_damaged_run_alone_leaves_figures_of_nothing_and_the_warning(house: House) -> None:
    await damage(house, await finished(house, **SMALL))
    told = (await house.client.get("/analytics/quality/breakdown")).json()
    assert (told["cells"], told["coverage"]["experiments"]) == (0, 0)
    assert [one["code"] for one in told["warnings"]] == ["damaged_run"]


async def test_what_is_left_out_is_named_to_its_owner_alone(house: House) -> None:
    await damage(house, await finished(house, key="ann", name="Of Ann", **SMALL), owner="ann")
    await finished(house, key="bob", **SMALL)
    path = "/analytics/quality/breakdown"
    told = {who: (await house.client.get(path, headers={"x-key": who})) for who in ("ann", "bob", "root")}
    assert told["bob"].json()["coverage"] == {"experiments": 1, "rows": FEW, "left_out": 0}
    assert (told["bob"].json()["warnings"], "Of Ann" in told["bob"].text) == ([], False)
    for who in ("ann", "root"):
        [warning] = told[who].json()["warnings"]
        assert [one["name"] for one in warning["experiments"]] == ["Of Ann"]


async def test_what_is_mended_is_in_the_figures_again(house: House) -> None:
    number = await finished(house, **SMALL)
    run = Run(house.settings.home_path, (await house.client.get(f"/experiments/batch/{number}")).json()["run_id"])
    [part] = run.files()
    good = part.read_bytes()
    part.write_bytes(good[:300])
    assert (await house.client.get("/analytics/quality/breakdown")).json()["cells"] == 0
    part.unlink()
    part.with_name(f"0{part.name}").write_bytes(good)
    told = (await house.client.get("/analytics/quality/breakdown")).json()
    assert (told["cells"], told["warnings"]) == (FEW, [])


async def test_a_file_of_statistics_says_that_something_is_missing(house: House) -> None:
    await finished(house)
    await damage(house, await finished(house, **SMALL))
    for form in ("json", "csv"):
        answer = await house.client.get("/export/analytics/breakdown", params={"format": form})
        assert (answer.status_code, answer.headers["x-warnings"]) == (200, "damaged_run")


async def test_of_more_rows_than_are_read_the_newest_are_and_the_others_are_named(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It stopped at so many rows without a word."""
    monkeypatch.setattr(material, "MOST_ROWS", FEW + ANSWERS)
    old = await finished(house, name="Old", **SMALL)
    single, _ = await house.generated()
    await finished(house, **SMALL, repeats=1)
    told = (await house.client.get("/analytics/quality/breakdown")).json()
    assert told["coverage"] == {"experiments": 2, "rows": FEW // 2 + ANSWERS, "left_out": 1}
    [warning] = told["warnings"]
    assert (warning["code"], [one["id"] for one in warning["experiments"]]) == ("too_many_rows", [old])
    assert "2 experiments, 24 rows" in warning["message"]
    alone = (await house.client.get("/analytics/quality/breakdown", params={"batch_id": old})).json()
    assert (alone["coverage"]["rows"], alone["warnings"]) == (FEW, [])
    assert single


async def test_experiments_that_nobody_looks_at_are_counted(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(material, "MOST_PARTS", 1)
    for repeats in (1, 2, 3):
        await finished(house, **SMALL, repeats=repeats)
    told = (await house.client.get("/analytics/quality/breakdown")).json()
    assert (told["coverage"]["experiments"], told["coverage"]["left_out"]) == (1, 2)
    assert told["warnings"][0]["experiments"] == []


async def test_a_custom_export_counts_answers_too(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("deployments.gateway.lab.export_desk.MOST_ROWS", ANSWERS - 1)
    number, _ = await house.generated()
    answer = await house.client.post("/export/custom", json={"experiment_ids": [number]})
    assert (answer.status_code, "over 11 rows" in answer.json()["error"]["message"]) == (400, True)
