import json
from typing import Any

import httpx
import pytest

from tests.unit.gateway.lab.house import CELLS, EXPERIMENT, House

MINIMAL = {"name": "n", "prompt": "p"}
COLUMNS = {
    "id", "name", "description", "prompt", "temperature_min", "temperature_max", "temperature_step", "top_p_min",
    "top_p_max", "top_p_step", "max_tokens", "response_count", "status", "experiment_type", "tags", "favorited",
    "archived", "created_at", "updated_at",
}  # fmt: skip


async def test_an_experiment_has_the_seeds_columns_and_defaults(api: httpx.AsyncClient) -> None:
    made = await api.post("/experiments", json=MINIMAL)
    found = made.json()
    assert made.status_code == 201
    assert made.headers["location"] == f"/api/experiments/{found['id']}"
    assert found.keys() >= COLUMNS
    assert (found["temperature_min"], found["top_p_step"], found["max_tokens"]) == (0.1, 0.1, 150)
    assert (found["response_count"], found["status"], found["experiment_type"]) == (5, "draft", "single")
    assert (found["tags"], found["favorited"], found["total_combinations"]) == ([], False, 10 * 10 * 5)
    assert (await api.get(f"/experiments/{found['id']}")).json() == found


@pytest.mark.parametrize(
    ("change", "param"),
    [
        ({"name": ""}, "name"),
        ({"prompt": " "}, "prompt"),
        ({"prompt": "a\x00"}, "prompt"),
        ({"temperature_step": 0}, "temperature_step"),
        ({"top_p_step": -0.1}, "top_p_step"),
        ({"temperature_min": 0.9, "temperature_max": 0.2}, "temperature_min"),
        ({"top_p_min": 0}, "top_p_min"),
        ({"temperature_max": "hot"}, "temperature_max"),
        ({"temperature_max": 1e999}, "temperature_max"),
        ({"response_count": 0}, "response_count"),
        ({"max_tokens": 1.5}, "max_tokens"),
        ({"tags": ["a", "a"]}, None),
        ({"tags": [""]}, "tags[0]"),
        ({"experiment_type": "batch"}, "experiment_type"),
        ({"status": "completed"}, "status"),
        ({"nope": 1}, "nope"),
        ({"temperature_step": 1e-9}, None),
    ],
)
async def test_what_cannot_be_is_refused(api: httpx.AsyncClient, change: dict[str, Any], param: str | None) -> None:
    body = json.dumps({**MINIMAL, **change}).replace("Infinity", "1e999")
    response = await api.post("/experiments", content=body)
    assert (response.status_code, response.json()["error"].get("param")) == (400, param)


async def test_too_many_cells_are_counted_and_not_made(api: httpx.AsyncClient) -> None:
    response = await api.post("/experiments", json={**MINIMAL, "response_count": 1_000_000_000})
    error = response.json()["error"]
    assert (response.status_code, error["code"]) == (400, "plan_too_large")
    assert "100,000,000,000 cells" in error["message"]


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'{"name": NaN}', b"\xff"])
async def test_a_body_that_is_no_json_object_is_refused(api: httpx.AsyncClient, body: bytes) -> None:
    number = (await api.post("/experiments", json=MINIMAL)).json()["id"]
    assert (await api.post("/experiments", content=body)).status_code == 400
    assert (await api.put(f"/experiments/{number}", content=body)).status_code == 400


async def test_what_is_not_named_in_a_change_stays(api: httpx.AsyncClient) -> None:
    before = (await api.post("/experiments", json=EXPERIMENT)).json()
    for method in ("PUT", "PATCH"):
        changed = await api.request(method, f"/experiments/{before['id']}", json={"tags": ["x"], "favorited": True})
        expected = {**before, "tags": ["x"], "favorited": True, "updated_at": changed.json()["updated_at"]}
        assert changed.json() == expected


async def test_what_was_read_can_be_sent_back(api: httpx.AsyncClient) -> None:
    before = (await api.post("/experiments", json=EXPERIMENT)).json()
    changed = await api.put(f"/experiments/{before['id']}", json={**before, "name": "other"})
    assert (changed.status_code, changed.json()["name"]) == (200, "other")


@pytest.mark.parametrize(
    ("change", "param"),
    [({"id": 7}, "id"), ({"status": "completed"}, "status"), ({"nope": 1}, "nope"), ({"name": None}, "name")],
)
async def test_what_is_not_ones_to_write_is_refused(
    api: httpx.AsyncClient, change: dict[str, Any], param: str
) -> None:
    before = (await api.post("/experiments", json=EXPERIMENT)).json()
    response = await api.put(f"/experiments/{before['id']}", json=change)
    assert (response.status_code, response.json()["error"]["param"]) == (400, param)


async def test_a_change_is_checked_with_what_stays(api: httpx.AsyncClient) -> None:
    number = (await api.post("/experiments", json=EXPERIMENT)).json()["id"]
    response = await api.patch(f"/experiments/{number}", json={"temperature_max": 0.05})
    assert (response.status_code, response.json()["error"]["param"]) == (400, "temperature_min")


async def test_answers_keep_their_prompt(house: House) -> None:
    number, _ = await house.generated()
    response = await house.client.put(f"/experiments/{number}", json={"prompt": "another"})
    assert (response.status_code, response.json()["error"]["param"]) == (409, "prompt")
    assert (await house.client.put(f"/experiments/{number}", json={"response_count": 3})).status_code == 200


async def test_a_change_of_what_somebody_else_changed_is_refused(api: httpx.AsyncClient) -> None:
    made = await api.post("/experiments", json=EXPERIMENT)
    path, seen = f"/experiments/{made.json()['id']}", {"if-match": made.headers["etag"]}
    assert (await api.put(path, json={"name": "first"}, headers=seen)).status_code == 200
    for method in ("PUT", "PATCH", "DELETE"):
        late = await api.request(method, path, content=b'{"name": "second"}', headers=seen)
        assert (late.status_code, late.json()["error"]["code"]) == (412, "precondition_failed")
    assert (await api.get(path)).json()["name"] == "first"
    assert (await api.delete(path, headers={"if-match": "*"})).status_code == 200


async def test_what_one_has_is_not_sent_again(api: httpx.AsyncClient) -> None:
    made = await api.post("/experiments", json=EXPERIMENT)
    path, tag = f"/experiments/{made.json()['id']}", made.headers["etag"]
    again = await api.get(path, headers={"if-none-match": f'"other", W/{tag}'})
    assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", tag)
    listed = await api.get("/experiments")
    assert (await api.get("/experiments", headers={"if-none-match": listed.headers["etag"]})).status_code == 304
    await api.put(path, json={"favorited": True})
    assert (await api.get(path, headers={"if-none-match": tag})).status_code == 200
    assert (await api.get("/experiments", headers={"if-none-match": listed.headers["etag"]})).status_code == 200


async def test_a_deleted_one_is_gone_with_its_answers_and_its_id_never_comes_back(house: House) -> None:
    number, answers = await house.generated()
    assert (await house.client.delete(f"/experiments/{number}")).json()["deleted"]
    for path in (f"/experiments/{number}", f"/responses/{number}", f"/responses/single/{answers[0]['id']}"):
        assert (await house.client.get(path)).status_code == 404
    assert await house.experiment() > number


async def test_lists_are_filtered_sorted_and_paged(api: httpx.AsyncClient) -> None:
    bodies: list[dict[str, Any]] = [
        {"name": "b", "tags": ["Red", "x"], "favorited": True},
        {"name": "a", "tags": ["red_"], "archived": True},
        {"name": "c", "prompt": "find ME 100%"},
    ]
    ids = [(await api.post("/experiments", json={**MINIMAL, **body})).json()["id"] for body in bodies]

    async def listed(**query: Any) -> list[str]:
        found = (await api.get("/experiments", params=query)).json()
        assert found["total"] >= len(found["experiments"])
        return [one["name"] for one in found["experiments"]]

    assert await listed() == ["c", "a", "b"]
    assert await listed(sort="name") == ["a", "b", "c"]
    assert await listed(sort="-name", limit=1, offset=1) == ["b"]
    assert await listed(tag="red") == ["b"]
    assert await listed(tag=["red", "x"]) == ["b"]
    assert await listed(tag=["red", "y"]) == []
    assert await listed(favorited="true") == ["b"]
    assert await listed(archived="false") == ["c", "b"]
    assert await listed(search="find me") == ["c"]
    assert await listed(search="0%") == ["c"]
    assert await listed(search="_") == []
    assert await listed(status="completed") == []
    assert (await api.get("/experiments", params={"limit": 1})).json()["total"] == len(ids)


@pytest.mark.parametrize(
    ("query", "param"),
    [
        ({"sort": "prompt; DROP"}, "sort"),
        ({"limit": 0}, "limit"),
        ({"offset": -1}, "offset"),
        ({"status": "pending"}, "status"),
        ({"favorited": "maybe"}, "favorited"),
        ({"experiment_type": "batch"}, "experiment_type"),
    ],
)
async def test_a_wrong_query_is_refused(api: httpx.AsyncClient, query: dict[str, Any], param: str) -> None:
    response = await api.get("/experiments", params=query)
    assert (response.status_code, response.json()["error"]["param"]) == (400, param)


@pytest.mark.parametrize("number", ["7", "0", "-1", "99999999999999999999"])
async def test_an_unknown_one_is_not_found(api: httpx.AsyncClient, number: str) -> None:
    for method, path in [
        ("GET", f"/experiments/{number}"),
        ("PUT", f"/experiments/{number}"),
        ("DELETE", f"/experiments/{number}"),
        ("GET", f"/experiments/{number}/progress"),
        ("GET", f"/responses/{number}"),
    ]:
        response = await api.request(method, path, content=b"{}" if method == "PUT" else None)
        assert (response.status_code, response.json()["error"]["code"]) == (404, "experiment_not_found")


async def test_anothers_experiment_does_not_exist(house: House) -> None:
    ann, bob, root = ({"x-key": who} for who in ("ann", "bob", "root"))
    number = (await house.client.post("/experiments", json=EXPERIMENT, headers=ann)).json()["id"]
    body = {"experiment_id": number, "model": "echo"}
    answers = await house.client.post("/responses/generate", json=body, headers=ann)
    answer = answers.json()["responses"][0]["id"]
    paths = [f"/experiments/{number}", f"/experiments/{number}/progress", f"/responses/{number}"]
    paths += [f"/responses/single/{answer}"]
    for path in paths:
        assert (await house.client.get(path, headers=bob)).status_code == 404
        assert (await house.client.get(path, headers=root)).status_code == 200
    assert (await house.client.post("/responses/generate", json=body, headers=bob)).status_code == 404
    assert (await house.client.delete(paths[0], headers=bob)).status_code == 404
    assert (await house.client.get("/experiments", headers=bob)).json()["total"] == 0
    assert "owner" not in (await house.client.get(paths[0], headers=ann)).json()


async def test_the_cells_are_counted_without_float_dust(house: House) -> None:
    found = (await house.client.get(f"/experiments/{await house.experiment()}")).json()
    assert found["total_combinations"] == CELLS


@pytest.mark.parametrize("search", ["Été", "été", "ÉTÉ", "Wärme", "WÄRME", "mÖ", "wärme im"])
@pytest.mark.parametrize("path", ["/experiments", "/experiments/batch"])
async def test_letters_beyond_ascii_are_found_in_any_case(house: House, path: str, search: str) -> None:
    """SQLite lowers A to Z alone: a name was not even found by itself."""
    name = "Wärme im Été MÖGEN"
    body = {"name": name, "prompt": "p"} | ({"model": "echo"} if "batch" in path else {})
    assert (await house.client.post(path, json=body)).status_code == 201
    found = (await house.client.get(path, params={"search": search})).json()
    assert [one["name"] for one in found["experiments"]] == [name]
