"""Accounts over HTTP: for admins, and never without one."""

from typing import Any

import httpx
import pytest

from tests.unit.auth.conftest import PASSWORD, House


@pytest.fixture
async def root(house: House) -> dict[str, str]:
    house.account("root", role="admin")
    return await house.token("root")


async def make(house: House, headers: dict[str, str], **body: Any) -> httpx.Response:
    sent = {"email": "ann@example.org", "password": PASSWORD, **body}
    return await house.client.post("/api/v1/users", headers=headers, json=sent)


async def test_an_admin_makes_reads_changes_and_deletes_accounts(house: House, root: dict[str, str]) -> None:
    made = (await make(house, root, email="Ann@Example.org", role="viewer")).json()
    assert (made["email"], made["role"], made["disabled"]) == ("ann@example.org", "viewer", False)
    path = f"/api/v1/users/{made['id']}"
    assert (await house.client.patch(path, headers=root, json={"role": "user"})).json()["role"] == "user"
    assert (await house.client.get(path, headers=root)).json()["role"] == "user"
    listed = (await house.client.get("/api/v1/users", headers=root)).json()
    assert ([user["email"] for user in listed["users"]], listed["total"]) == (["ann@example.org", "root"], 2)
    assert (await house.client.delete(path, headers=root)).status_code == 204
    assert (await house.client.get(path, headers=root)).json()["error"]["code"] == "account_not_found"


async def test_a_field_that_is_null_is_refused_and_not_ignored(house: House, root: dict[str, str]) -> None:
    path = f"/api/v1/users/{house.account().id}"
    answer = await house.client.patch(path, headers=root, json={"disabled": None})
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "disabled")


async def test_a_name_is_taken_once_in_any_case(house: House, root: dict[str, str]) -> None:
    assert (await make(house, root)).status_code == 201
    assert (await make(house, root, email="ANN@example.org")).status_code == 409


async def test_disabling_ends_sessions_and_keys_and_enabling_does_not_bring_sessions_back(
    house: House, root: dict[str, str]
) -> None:
    account = house.account()
    person, key = await house.token(), house.key(account.id)
    path = f"/api/v1/users/{account.id}"

    async def statuses() -> list[int]:
        return [(await house.client.get("/api/v1/auth/me", headers=who)).status_code for who in (person, key)]

    assert await statuses() == [200, 200]
    await house.client.patch(path, headers=root, json={"disabled": True})
    assert await statuses() == [401, 401]
    await house.client.patch(path, headers=root, json={"disabled": False})
    assert await statuses() == [401, 200]


async def test_a_deleted_persons_keys_stay_dead(house: House, root: dict[str, str]) -> None:
    account = house.account()
    key = house.key(account.id)
    await house.client.delete(f"/api/v1/users/{account.id}", headers=root)
    assert (await house.client.get("/api/v1/auth/me", headers=key)).status_code == 401
    keys = (await house.client.get("/api/v1/keys", headers=root)).json()["keys"]
    assert keys[0]["revoked_at"] is not None


@pytest.mark.parametrize("change", [{"role": "user"}, {"disabled": True}, None], ids=str)
async def test_the_last_admin_stays(house: House, root: dict[str, str], change: dict[str, Any] | None) -> None:
    own = (await house.client.get("/api/v1/auth/me", headers=root)).json()["id"]
    path = f"/api/v1/users/{own}"
    if change is None:
        answer = await house.client.delete(path, headers=root)
    else:
        answer = await house.client.patch(path, headers=root, json=change)
    assert answer.status_code == 409
    assert (await house.client.get(path, headers=root)).json()["role"] == "admin"


@pytest.mark.parametrize("role", ["viewer", "user"])
async def test_who_is_no_admin_learns_nothing_of_accounts(house: House, role: str) -> None:
    account = house.account(role=role)
    person = await house.token()
    for method, path in (("GET", ""), ("POST", ""), ("GET", f"/{account.id}"), ("PATCH", f"/{account.id}")):
        answer = await house.client.request(method, f"/api/v1/users{path}", headers=person, json={"role": "admin"})
        assert (answer.status_code, answer.json()["error"]["code"]) == (403, "permission_denied")


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"password": "short"}, "password"),
        ({"role": "root"}, "role"),
        ({"email": "a b"}, "email"),
        ({"id": 1}, "id"),
    ],
)
async def test_a_wrong_field_is_named(house: House, root: dict[str, str], body: Any, param: str) -> None:
    answer = await make(house, root, **body)
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, param)


async def test_a_password_given_by_an_admin_ends_the_persons_sessions(house: House, root: dict[str, str]) -> None:
    account = house.account()
    person = await house.token()
    await house.client.patch(f"/api/v1/users/{account.id}", headers=root, json={"password": "given by an admin"})
    assert (await house.client.get("/api/v1/auth/me", headers=person)).status_code == 401
    assert (await house.login(password="given by an admin")).status_code == 200
