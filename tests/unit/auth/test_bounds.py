"""What people may use: set by admins, in force for all that they do, in person and by keys."""

from typing import Any

import httpx
import pytest
from sqlalchemy import text

from cluster.stores.accounts import UNBOUNDED, Accounts, Bounds, Changes
from cluster.stores.database import open_database
from deployments.gateway.principal import Limits, Principal
from tests.unit.auth.conftest import PASSWORD, House


async def identified(house: House, headers: dict[str, str]) -> Principal:
    credential = headers["authorization"].removeprefix("Bearer ")
    return (await house.directory.authenticator.identify(credential)).principal


def bound(house: House, **bounds: Any) -> str:
    """An account with bounds; its id."""
    account = house.account()
    house.directory.accounts.change(account.id, Changes(bounds=Bounds(**bounds)))
    return account.id


async def test_a_persons_bounds_hold_in_person_and_by_each_key(house: House) -> None:
    owner = bound(house, requests_per_minute=5, tokens_per_minute=6, concurrent_requests=7)
    limits = Limits(requests_per_minute=5, tokens_per_minute=6, concurrent_requests=7)
    for headers in (await house.token(), house.key(owner), house.key(owner)):
        assert (await identified(house, headers)).owner_limits == limits


async def test_a_keys_own_limits_stand_beside_its_owners(house: House) -> None:
    owner = bound(house, requests_per_minute=50)
    who = await identified(house, house.key(owner, requests_per_minute=2))
    assert (who.limits.requests_per_minute, who.owner_limits.requests_per_minute) == (2, 50)


async def test_who_is_not_bound_and_who_is_no_person_has_no_limits(house: House) -> None:
    house.account()
    for headers in (await house.token(), house.key("local")):
        who = await identified(house, headers)
        assert (who.limits, who.owner_limits, who.models) == (Limits(), Limits(), None)


@pytest.mark.parametrize(
    ("persons", "keys", "seen"),
    [
        ({"a", "b"}, None, {"a", "b"}),
        (None, {"a"}, {"a"}),
        ({"a", "b"}, {"b", "c"}, {"b"}),
        (set(), None, set()),
        (None, None, None),
    ],
)
async def test_a_key_asks_no_model_that_its_owner_may_not(house: House, persons: Any, keys: Any, seen: Any) -> None:
    owner = bound(house, models=None if persons is None else frozenset(persons))
    key = house.key(owner, models=None if keys is None else frozenset(keys))
    assert (await identified(house, key)).models == seen


async def test_a_person_sees_only_the_models_of_the_list(house: House) -> None:
    bound(house, models=frozenset({"hash"}))
    person = await house.token()
    listed = (await house.client.get("/v1/models", headers=person)).json()["data"]
    assert [model["id"] for model in listed] == ["hash"]
    body = {"model": "echo", "messages": [{"role": "user", "content": "hi"}]}
    answer = await house.client.post("/v1/chat/completions", headers=person, json=body)
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "model_not_found")


async def test_a_person_learns_of_the_bounds(house: House) -> None:
    bound(house, requests_per_minute=5, models=frozenset({"echo"}))
    known = (await house.client.get("/api/v1/auth/me", headers=await house.token())).json()
    assert (known["requests_per_minute"], known["tokens_per_minute"], known["models"]) == (5, None, ["echo"])


@pytest.fixture
async def root(house: House) -> dict[str, str]:
    house.account("root", role="admin")
    return await house.token("root")


async def patched(house: House, root: dict[str, str], account_id: str, **body: Any) -> httpx.Response:
    return await house.client.patch(f"/api/v1/users/{account_id}", headers=root, json=body)


async def test_an_admin_makes_an_account_with_bounds_and_changes_them(house: House, root: dict[str, str]) -> None:
    body = {"email": "bob", "password": PASSWORD, "requests_per_minute": 5, "models": ["echo"]}
    made = (await house.client.post("/api/v1/users", headers=root, json=body)).json()
    assert (made["requests_per_minute"], made["models"], made["concurrent_requests"]) == (5, ["echo"], None)
    changed = (await patched(house, root, made["id"], concurrent_requests=2, models=None)).json()
    assert (changed["requests_per_minute"], changed["concurrent_requests"], changed["models"]) == (5, 2, None)


async def test_a_change_of_something_else_leaves_the_bounds(house: House, root: dict[str, str]) -> None:
    owner = bound(house, requests_per_minute=5)
    assert (await patched(house, root, owner, role="viewer")).json()["requests_per_minute"] == 5


@pytest.mark.parametrize("body", [{"requests_per_minute": 0}, {"tokens_per_minute": "9"}, {"models": "echo"}])
async def test_a_bound_that_is_none_is_refused(house: House, root: dict[str, str], body: dict[str, Any]) -> None:
    answer = await patched(house, root, house.account().id, **body)
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, next(iter(body)))


async def test_a_bound_is_in_force_at_once(house: House, root: dict[str, str]) -> None:
    owner = house.account().id
    key = house.key(owner)
    assert (await identified(house, key)).owner_limits == Limits()
    await patched(house, root, owner, requests_per_minute=1)
    assert (await identified(house, key)).owner_limits == Limits(requests_per_minute=1)


def test_an_older_database_gets_the_columns_and_its_people_no_bounds(tmp_path: Any) -> None:
    url = f"sqlite:///{tmp_path / 'old.db'}"
    engine = open_database(url)
    Accounts(engine).create(name="ann", password_hash="x", role="user")
    with engine.begin() as connection:
        for name in Bounds.__slots__:
            connection.execute(text(f"ALTER TABLE accounts DROP COLUMN {name}"))
    engine.dispose()
    assert Accounts(open_database(url)).named("ann").bounds == UNBOUNDED
