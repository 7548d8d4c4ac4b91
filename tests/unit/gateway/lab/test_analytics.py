from typing import Any

import pytest

from cluster.stores.experiments import Experiments
from cluster.stores.run_pairs import RunPairs
from cluster.stores.runs import Run
from tests.unit.gateway.lab.house import House
from tests.unit.gateway.lab.stored_runs import CELLS, SPEC, finished
from tests.unit.stores.test_run_pairs import verdict


async def test_the_best_value_comes_with_its_probability_and_its_effect(stored: tuple[House, int]) -> None:
    house, number = stored
    found = (await house.client.get(f"/experiments/batch/{number}/optimization")).json()
    warm, nucleus = found["optimal_parameters"]["temperature"], found["optimal_parameters"]["top_p"]
    assert (warm["value"], warm["confidence"], warm["shown"]) == (0.2, 1.0, True)
    assert warm["quality_impact"].startswith("+")
    assert warm["impact_low"] < warm["impact"] < warm["impact_high"]
    assert warm["p_adjusted"] < 0.05
    assert (nucleus["shown"], nucleus["significance"]) == (False, "none")
    assert 0.5 <= nucleus["confidence"] < 1
    advice = {one["parameter"]: one for one in found["recommendations"]}
    assert (advice["temperature"]["current_range"], advice["temperature"]["recommended_range"]) == (
        "0.2-1.0",
        "0.2",
    )
    assert advice["top_p"]["recommended_range"] == advice["top_p"]["current_range"] == "0.9-1.0"
    assert "n = 8 prompts" in advice["top_p"]["reasoning"]


async def test_correlations_have_a_sign_a_p_and_a_word(stored: tuple[House, int]) -> None:
    house, number = stored
    found = (await house.client.get("/analytics/parameters/correlation", params={"batch_id": number})).json()
    rhos = {(one["parameter_1"], one["parameter_2"]): one for one in found["correlations"]}
    assert rhos["temperature", "overall_score"]["correlation"] < -0.9
    assert rhos["temperature", "creativity_score"]["significance"] in ("high", "medium", "low")
    flat = rhos["temperature", "completeness_score"]
    assert (flat["correlation"], flat["significance"]) == (None, None)
    assert flat["reason"]


async def test_one_prompt_allows_no_confidence_and_no_insight(house: House) -> None:
    number = await finished(house, prompts=["one prompt"])
    found = (await house.client.get(f"/experiments/batch/{number}/optimization")).json()
    warm = found["optimal_parameters"]["temperature"]
    assert (warm["value"], warm["confidence"], warm["p_adjusted"]) == (0.2, None, None)
    assert found["recommendations"][0]["recommended_range"] is None
    told = (await house.client.get(f"/experiments/batch/{number}/insights")).json()
    assert (told["insights"], "1 prompt" in told["refusal"]) == ([], True)


@pytest.mark.parametrize("part", ["analysis", "optimization", "insights"])
async def test_a_batch_without_rows_says_so(house: House, part: str) -> None:
    number = (await house.client.post("/experiments/batch", json=SPEC)).json()["id"]
    response = await house.client.get(f"/experiments/batch/{number}/{part}")
    assert (response.status_code, response.json()["reason"]) == (200, "no cell has been scored yet")


@pytest.mark.parametrize(
    "path",
    [
        "quality/trends",
        "quality/breakdown",
        "models/comparison",
        "parameters/optimization",
        "parameters/correlation",
        "parameters/insights",
    ],
)
async def test_nothing_at_all_is_an_answer(house: House, path: str) -> None:
    response = await house.client.get(f"/analytics/{path}")
    assert (response.status_code, response.json()["cells"]) == (200, 0)


async def test_failed_cells_are_counted_and_not_scored(house: House) -> None:
    number = await finished(house, failed=5)
    found = (await house.client.get(f"/experiments/batch/{number}/analysis")).json()
    assert (found["cells"], found["summary"]["failed_cells"]) == (CELLS - 5, 5)


async def test_models_are_compared_prompt_by_prompt_over_batches(house: House) -> None:
    await finished(house)
    house.models["other"] = house.models["echo"]
    await finished(house, models=["other"])
    found = (await house.client.get("/analytics/models/comparison")).json()
    assert sorted(one["model"] for one in found["models"]) == ["echo", "other"]
    [pair] = found["comparisons"]["pairs"]
    assert (pair["prompts"], pair["difference"]) == (8, 0.0)


async def test_a_trend_has_a_direction_where_a_test_shows_one(house: House) -> None:
    for day in range(6):
        await finished(house, days_ago=day, name=f"day {day}", parameters={"temperature": [0.1 + 0.2 * day]})
    found = (await house.client.get("/analytics/quality/trends")).json()
    assert len(found["data_points"]) == 6
    assert (found["trends"]["overall_direction"], found["trends"]["days"]) == ("increasing", 6)
    assert found["trends"]["p_value"] < 0.05
    assert found["trends"]["improvement_rate"] > 0
    short = (await house.client.get("/analytics/quality/trends", params={"timeframe": "2d"})).json()
    assert (len(short["data_points"]), short["trends"]["overall_direction"]) == (2, "stable")
    assert short["trends"]["reason"]


async def test_single_experiments_are_among_the_analytics(house: House) -> None:
    number, answers = await house.generated()
    for query in ({"experiment_type": "single"}, {"experiment_id": number}):
        found = (await house.client.get("/analytics/quality/breakdown", params=query)).json()
        assert (found["cells"], found["prompts"]) == (len(answers), 1)
    none = (await house.client.get("/analytics/quality/breakdown", params={"experiment_type": "batch"})).json()
    assert none["cells"] == 0


async def test_another_score_can_be_asked_for(stored: tuple[House, int]) -> None:
    house, number = stored
    path = f"/experiments/batch/{number}/optimization"
    found = (await house.client.get(path, params={"metric": "creativity"})).json()
    assert (found["metric"], found["optimal_parameters"]["temperature"]["value"]) == ("creativity", 1.0)
    assert (await house.client.get(path)).status_code == 200  # what is kept of no metric is not of `None`
    for name in ("nope", "None"):
        wrong = await house.client.get(path, params={"metric": name})
        assert (wrong.status_code, wrong.json()["error"]["param"]) == (400, "metric")


@pytest.mark.parametrize(
    ("query", "status", "param"),
    [
        ({"timeframe": "0d"}, 400, "timeframe"),
        ({"timeframe": "9999w"}, 400, "timeframe"),
        ({"timeframe": "month"}, 400, "timeframe"),
        ({"experiment_type": "all"}, 400, "experiment_type"),
        ({"batch_id": 0}, 400, "batch_id"),
        ({"batch_id": 999}, 404, None),
        ({"experiment_id": 999}, 404, None),
        ({"batch_id": 1, "experiment_id": 1}, 400, "experiment_id"),
        ({"batch_id": 1, "experiment_type": "single"}, 400, "experiment_type"),
    ],
)
async def test_a_wrong_question_is_refused(
    house: House, query: dict[str, Any], status: int, param: str | None
) -> None:
    response = await house.client.get("/analytics/quality/breakdown", params=query)
    assert (response.status_code, response.json()["error"].get("param")) == (status, param)


async def test_anothers_batches_are_in_no_statistics(house: House) -> None:
    number = await finished(house, key="ann")
    ann, bob = {"x-key": "ann"}, {"x-key": "bob"}
    for part in ("analysis", "optimization", "insights"):
        assert (await house.client.get(f"/experiments/batch/{number}/{part}", headers=bob)).status_code == 404
    path = "/analytics/quality/breakdown"
    assert (await house.client.get(path, headers=ann)).json()["cells"] == CELLS
    assert (await house.client.get(path, headers=bob)).json()["cells"] == 0
    assert (await house.client.get(path, params={"batch_id": number}, headers=bob)).status_code == 404


async def test_what_has_not_changed_is_not_computed_again(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    number = await finished(house)
    path = f"/experiments/batch/{number}/analysis"
    first = await house.client.get(path)

    def broken(*_: Any) -> None:
        raise AssertionError("it was computed again")

    monkeypatch.setattr("pipelines.analysis.frame.frame_of", broken)
    monkeypatch.setattr("pipelines.analysis.effects.anova", broken)
    assert (await house.client.get(path)).json() == first.json()
    tag = {"if-none-match": first.headers["etag"]}
    assert (await house.client.get(path, headers=tag)).status_code == 304


OF_ROWS = (
    *("/experiments/batch/{id}/analysis", "/experiments/batch/{id}/optimization?metric=creativity"),
    *("/experiments/batch/{id}/insights", "/experiments/batch/{id}/responses?sort=-score_overall&limit=3"),
    *("/analytics/quality/trends?batch_id={id}", "/analytics/quality/breakdown?timeframe=3d"),
)


@pytest.mark.parametrize("path", OF_ROWS)
async def test_who_has_it_is_told_so_before_anything_is_made(
    stored: tuple[House, int], path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A gateway that knew nothing of a run yet computed all of it, to find that the client had it."""
    house, number = stored
    path = path.replace("{id}", str(number))
    tag = (await house.client.get(path)).headers["etag"]

    async def broken(*_: Any, **__: Any) -> None:
        raise AssertionError("it was computed")

    monkeypatch.setattr("deployments.gateway.lab.kept.Kept.get", broken)
    again = await house.client.get(path, headers={"if-none-match": tag})
    assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", tag)


async def test_other_rows_another_metric_or_another_page_have_other_tags(house: House) -> None:
    number = await finished(house)
    paths = [path.replace("{id}", str(number)) for path in OF_ROWS]
    paths += [f"{paths[0]}?metric=creativity", f"{paths[3]}&offset=1", f"{paths[4]}&metric=creativity"]

    async def tags() -> list[str]:
        return [(await house.client.get(path)).headers["etag"] for path in paths]

    before = await tags()
    assert len(set(before)) == len(paths)
    found = (await house.client.get(f"/experiments/batch/{number}")).json()
    run = Run(house.settings.home_path, found["run_id"])
    with run.held() as session:
        run.write(run.table().slice(0, 1).to_pylist(), session=session, block=9)
    assert not {*before} & {*await tags()}


async def test_the_tag_of_what_grows_is_of_what_was_told(house: House) -> None:
    """A kept answer of a moment ago under the newest rows' tag would stay with the client for good."""
    number = await finished(house)
    Experiments(house.database).claim(number, "again")
    path = f"/experiments/batch/{number}/analysis"
    first = await house.client.get(path)
    found = (await house.client.get(f"/experiments/batch/{number}")).json()
    run = Run(house.settings.home_path, found["run_id"])
    with run.held() as session:
        extra = run.table().slice(0, 1).to_pylist()[0] | {"cell_id": "x", "ordinal": CELLS, "repeat": 3}
        run.write([extra], session=session, block=9)
    second = await house.client.get(path)
    assert (second.json(), second.headers["etag"]) == (first.json(), first.headers["etag"])
    Experiments(house.database).finish(number, None, status="completed")
    third = await house.client.get(path, headers={"if-none-match": first.headers["etag"]})
    assert (third.status_code, third.json()["cells"]) == (200, CELLS + 1)


async def test_what_judges_said_of_pairs_stands_in_the_analysis_and_in_the_report(house: House) -> None:
    number = await finished(house)
    path = f"/experiments/batch/{number}/analysis"
    before = await house.client.get(path)
    assert before.json()["preferences"] == []
    found = (await house.client.get(f"/experiments/batch/{number}")).json()
    RunPairs(Run(house.settings.home_path, found["run_id"])).write([verdict("first")])
    after = await house.client.get(path, headers={"if-none-match": before.headers["etag"]})
    [judged] = after.json()["preferences"]
    assert (judged["judge"], judged["pairs_count"], len(judged["pairs"])) == ("echo", 1, 1)
    assert judged["standings"][0]["config_id"] == "one"
    report = await house.client.post("/export/batch", json={"batch_id": number, "format": "html"})
    assert "echo" in report.text
