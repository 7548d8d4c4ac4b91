"""A batch's answers, a page at a time."""

import json
from typing import Any

import httpx
import pytest

from cluster.stores.runs import Run
from tests.unit.gateway.lab.house import House
from tests.unit.gateway.lab.stored_runs import CELLS, SPEC, finished


async def listed(house: House, number: int, **query: Any) -> dict[str, Any]:
    answer = await house.client.get(f"/experiments/batch/{number}/responses", params=query)
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


async def run_of(house: House, number: int) -> Run:
    found = (await house.client.get(f"/experiments/batch/{number}")).json()
    return Run(house.settings.home_path, found["run_id"])


async def test_pages_go_through_all_in_the_plans_order(stored: tuple[House, int]) -> None:
    house, number = stored
    seen: list[int] = []
    while len(seen) < CELLS:
        page = await listed(house, number, limit=50, offset=len(seen))
        assert (page["total"], page["limit"], page["offset"]) == (CELLS, 50, len(seen))
        seen += [one["ordinal"] for one in page["responses"]]
    assert seen == list(range(CELLS))
    assert (await listed(house, number, offset=CELLS))["responses"] == []


async def test_an_answer_has_the_fields_of_the_seeds_tables(stored: tuple[House, int]) -> None:
    house, number = stored
    page = await listed(house, number, limit=1)
    [one] = page["responses"]
    assert (
        one.items()
        >= {
            "batch_experiment_id": number,
            "experiment_id": None,
            "content": "=answer 0",
            "temperature": 0.2,
            "top_p": 0.9,
            "model": "echo",
            "total_tokens": 15,
            "response_time": 100.0,
            "repeat": 1,
            "error_message": None,
        }.items()
    )
    assert one["quality_scores"]["readability"] == 51.0
    assert one["usage_stats"]["completion_tokens"] == 10
    assert page["prompts"] == {one["prompt_id"]: SPEC["prompts"][0]}


async def test_they_are_filtered_by_columns_and_by_the_conditions_of_exports(stored: tuple[House, int]) -> None:
    house, number = stored
    assert (await listed(house, number, temperature=0.6, top_p=1.0))["total"] == CELLS // 6
    assert (await listed(house, number, model="nobody"))["total"] == 0
    first = (await listed(house, number, limit=1))["responses"][0]["prompt_id"]
    assert (await listed(house, number, prompt_id=first))["total"] == CELLS // 8
    for filters in (
        {"temperature": [0.2, 1.0], "repeat": 2, "text": {"contains": "ANSWER 1"}},
        [
            {"field": "temperature", "op": "in", "value": [0.2, 1.0]},
            {"field": "repeat", "op": "eq", "value": 2},
            {"field": "text", "op": "contains", "value": "answer 1"},
        ],
    ):
        page = await listed(house, number, filters=json.dumps(filters), limit=200)
        body = {"batch_id": number, "filters": filters}
        exported = (await house.client.post("/export/batch", json=body)).json()
        assert [one["id"] for one in page["responses"]] == [one["cell_id"] for one in exported]
        assert 0 < page["total"] < CELLS


@pytest.mark.parametrize("sort", ["score_overall", "response_time", "created_at", "temperature", "ordinal"])
async def test_they_are_sorted_both_ways(stored: tuple[House, int], sort: str) -> None:
    house, number = stored

    def value(one: dict[str, Any]) -> Any:
        return one["quality_scores"]["overall"] if sort == "score_overall" else one[sort]

    for sign in ("", "-"):
        found = (await listed(house, number, sort=sign + sort, limit=200))["responses"]
        values = [value(one) for one in found]
        assert (len(found), values) == (CELLS, sorted(values, reverse=bool(sign)))


async def test_failed_ones_have_no_scores_and_come_last(house: House) -> None:
    number = await finished(house, failed=3)
    page = await listed(house, number, failed="true")
    assert [(one["ordinal"], one["error_code"], one["content"]) for one in page["responses"]] == [
        (place, "engine_error", "") for place in range(3)
    ]
    assert (await listed(house, number, failed="false"))["total"] == CELLS - 3
    for sort in ("score_overall", "-score_overall", "-response_time"):
        last = (await listed(house, number, sort=sort, offset=CELLS - 3))["responses"]
        assert [one["ordinal"] for one in last] == [0, 1, 2]


async def test_a_score_that_no_cell_has_yet_sorts_in_the_plans_order(stored: tuple[House, int]) -> None:
    """A page that showed the best first was an error until a batch's first answers had scores."""
    house, number = stored
    for sort in ("score_coherence", "-score_coherence", "-score_judge"):
        found = (await listed(house, number, sort=sort, limit=200))["responses"]
        assert [one["ordinal"] for one in found] == list(range(CELLS))


async def test_a_score_may_have_the_longest_of_names(house: House) -> None:
    """`-score_judge_` alone left nineteen letters for a criterion of forty."""
    name = f"judge_{'instruction_following_in_every_last_detail'[:40]}"
    number = await finished(house, prompts=["x"], score=name)
    for sort in (f"score_{name}", f"-score_{name}"):
        found = (await listed(house, number, sort=sort, limit=200))["responses"]
        values = [one["quality_scores"][name] for one in found]
        assert values == sorted(values, reverse=sort.startswith("-"))


async def test_other_parameters_are_columns_to_filter_by(house: House) -> None:
    number = await finished(house, parameters={"temperature": [0.5], "min_p": [0.1, 0.2]})
    page = await listed(house, number, filters=json.dumps({"min_p": {"ge": 0.15}}), limit=200)
    assert page["total"] == 8 * 2
    assert {one["parameters"]["min_p"] for one in page["responses"]} == {0.2}


@pytest.mark.parametrize(
    ("query", "param"),
    [
        ({"sort": "text"}, "sort"),
        ({"sort": "score_nothing"}, "sort"),
        ({"sort": "--ordinal"}, "sort"),
        ({"limit": 0}, "limit"),
        ({"limit": 201}, "limit"),
        ({"offset": -1}, "offset"),
        ({"page": 1}, "page"),
        ({"temperature": "nan"}, "temperature"),
        ({"filters": "{"}, "filters"),
        ({"filters": "7"}, "filters"),
        ({"filters": "[7]"}, "filters[0]"),
        ({"filters": "[" * 5000}, "filters"),
        ({"filters": '{"nothing": 1}'}, "filters"),
        ({"filters": '{"scores": "x"}'}, "filters"),
        ({"filters": '{"temperature": "warm"}'}, "filters.temperature.value"),
        ({"filters": '{"temperature": {"like": 1}}'}, "filters.temperature"),
        ({"filters": '{"text": 1}'}, "filters.text.value"),
    ],
)
async def test_a_wrong_question_is_refused(stored: tuple[House, int], query: dict[str, Any], param: str) -> None:
    house, number = stored
    answer = await house.client.get(f"/experiments/batch/{number}/responses", params=query)
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, param)


async def test_what_one_has_is_not_sent_again(stored: tuple[House, int]) -> None:
    house, number = stored
    path = f"/experiments/batch/{number}/responses"
    tag = (await house.client.get(path)).headers["etag"]
    assert (await house.client.get(path, headers={"if-none-match": tag})).status_code == 304
    other = await house.client.get(path, params={"offset": 1}, headers={"if-none-match": tag})
    assert other.status_code == 200


async def test_a_batch_that_nobody_started_has_no_answers(api: httpx.AsyncClient) -> None:
    number = (await api.post("/experiments/batch", json=SPEC)).json()["id"]
    for query in ({}, {"sort": "-temperature"}, {"temperature": "0.5"}, {"sort": "-score_overall"}):
        page = (await api.get(f"/experiments/batch/{number}/responses", params=query)).json()
        assert (page["total"], page["responses"], page["prompts"]) == (0, [], {})


async def test_anothers_answers_do_not_exist(house: House) -> None:
    number = await finished(house, key="ann", prompts=["x"])
    path = f"/experiments/batch/{number}/responses"
    assert (await house.client.get(path, headers={"x-key": "ann"})).status_code == 200
    assert (await house.client.get(path, headers={"x-key": "bob"})).status_code == 404


async def test_parts_that_are_gathered_or_damaged_meanwhile(house: House) -> None:
    """What is kept of a run names its parts: they may be gone when its next page is read."""
    number = await finished(house, prompts=["x"])
    run = await run_of(house, number)
    before = await listed(house, number)
    with run.held() as session:
        run.gather(run.files(), session=session, block=1)
    assert await listed(house, number) == before
    [part] = run.files()
    part.write_bytes(part.read_bytes()[:300])
    part.rename(part.with_name(f"0{part.name}"))
    answer = await house.client.get(f"/experiments/batch/{number}/responses")
    assert (answer.status_code, answer.json()["error"]["code"]) == (500, "damaged_run")
