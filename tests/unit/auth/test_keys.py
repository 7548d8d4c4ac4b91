"""API keys: what they hold, who may make them, and what ends them."""

from datetime import timedelta
from typing import Any

import httpx
import pytest

from cluster.stores.accounts import Changes
from cluster.stores.api_keys import ApiKeys, Rights, digest_of, new_secret
from cluster.stores.database import now, open_database
from tests.unit.auth.conftest import House


async def make(house: House, headers: dict[str, str], **body: Any) -> httpx.Response:
    return await house.client.post("/api/v1/keys", headers=headers, json={"name": "k", **body})


async def me(house: House, headers: dict[str, str]) -> httpx.Response:
    return await house.client.get("/api/v1/auth/me", headers=headers)


async def test_a_key_is_shown_once_and_works(house: House) -> None:
    account = house.account()
    person = await house.token()
    made = await make(house, person, models=["echo"], requests_per_minute=5, concurrent_requests=2)
    assert made.status_code == 201
    assert made.headers["cache-control"] == "no-store"
    secret = made.json()["key"]
    assert (len(secret), secret[:13]) == (56, "sk-heliostat-")
    assert made.json()["last4"] == secret[-4:]
    shown = await house.client.get(f"/api/v1/keys/{made.json()['id']}", headers=person)
    assert secret not in shown.text
    known = (await me(house, {"authorization": f"Bearer {secret}"})).json()
    assert (known["kind"], known["owner"], known["role"]) == ("key", account.id, "user")
    assert (known["models"], known["requests_per_minute"], known["concurrent_requests"]) == (["echo"], 5, 2)


@pytest.mark.parametrize("header", ["authorization", "x-api-key", "api-key"])
async def test_a_key_comes_in_any_of_three_headers(house: House, header: str) -> None:
    secret = house.key()["authorization"].removeprefix("Bearer ")
    value = f"bearer {secret}" if header == "authorization" else secret
    assert (await me(house, {header: value})).status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"authorization": "Bearer "},
        {"authorization": "Basic YTpi"},
        {"authorization": "Bearer sk-heliostat-" + "a" * 43},
        {"authorization": "Bearer sk-heliostat-short"},
        {"authorization": "Bearer " + "a" * 5000},
        {"x-api-key": "none"},
        {"x-api-key": "\xff\xfe"},
    ],
    ids=str,
)
async def test_without_a_key_that_is_one_nothing_is_answered(house: House, headers: dict[str, str]) -> None:
    raw = {name: value.encode("latin-1") for name, value in headers.items()}
    answer = await house.client.get("/v1/models", headers=raw)  # type: ignore[arg-type]
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == "Bearer"
    error = answer.json()["error"]
    assert (error["code"], error["type"], error["param"]) == ("invalid_api_key", "authentication_error", None)


async def test_a_revoked_key_is_refused_at_the_next_request(house: House) -> None:
    house.account()
    person = await house.token()
    made = (await make(house, person)).json()
    key = {"authorization": f"Bearer {made['key']}"}
    assert (await me(house, key)).status_code == 200
    assert (await house.client.delete(f"/api/v1/keys/{made['id']}", headers=person)).json()["revoked_at"]
    assert (await me(house, key)).status_code == 401


async def test_a_key_that_is_over_is_refused(house: House) -> None:
    assert (await me(house, house.key(expires_at=now() - timedelta(seconds=1)))).status_code == 401
    assert (await me(house, house.key(expires_at=now() + timedelta(seconds=60)))).status_code == 200


async def test_a_key_of_a_disabled_or_deleted_person_is_refused(house: House) -> None:
    account = house.account()
    key = house.key(account.id)
    assert (await me(house, key)).status_code == 200
    house.directory.accounts.change(account.id, Changes(disabled=True))
    house.directory.authenticator.forget()
    assert (await me(house, key)).status_code == 401
    house.directory.accounts.remove(account.id)
    house.directory.authenticator.forget()
    assert (await me(house, key)).status_code == 401


async def test_a_key_may_never_do_more_than_its_person(house: House) -> None:
    account = house.account(role="user")
    assert (await me(house, house.key(account.id, role="admin"))).json()["role"] == "user"
    assert (await me(house, house.key("a service", role="admin"))).json()["role"] == "admin"


WIDER = [
    {"role": "admin"},
    {"owner": "somebody else"},
]


@pytest.mark.parametrize("body", WIDER, ids=str)
async def test_a_user_makes_keys_no_wider_than_themselves(house: House, body: dict[str, Any]) -> None:
    house.account()
    answer = await make(house, await house.token(), **body)
    assert (answer.status_code, answer.json()["error"]["param"]) == (403, next(iter(body)))


NARROW: dict[str, Any] = {
    "role": "admin",
    "scopes": frozenset({"keys", "chat"}),
    "models": frozenset({"echo"}),
    "requests_per_minute": 10,
}


@pytest.mark.parametrize(
    "body",
    [
        {"scopes": None},
        {"scopes": ["chat", "files"]},
        {"models": None},
        {"models": ["echo", "hash"]},
        {"requests_per_minute": 11},
        {"requests_per_minute": None},
        {"expires_at": None},
        {"expires_at": "2999-01-01T00:00:00Z"},
    ],
    ids=str,
)
async def test_a_key_makes_keys_no_wider_than_itself(house: House, body: dict[str, Any]) -> None:
    headers = house.key(**NARROW, expires_at=now() + timedelta(days=1))
    answer = await make(house, headers, **body)
    assert (answer.status_code, answer.json()["error"]["param"]) == (403, next(iter(body)))


async def test_what_is_not_said_of_a_new_key_is_as_wide_as_its_maker(house: House) -> None:
    made = (await make(house, house.key(**NARROW, expires_at=now() + timedelta(days=1)))).json()
    assert (made["scopes"], made["models"], made["requests_per_minute"]) == (["chat", "keys"], ["echo"], 10)
    assert made["role"] == "user"
    assert made["expires_at"] is not None


async def test_a_leaked_key_cannot_leave_others_behind(house: House) -> None:
    key = house.key()
    assert (await make(house, key)).status_code == 403
    own = (await me(house, key)).json()["id"]
    assert (await house.client.delete(f"/api/v1/keys/{own}", headers=key)).status_code == 200
    assert (await me(house, key)).status_code == 401


async def test_keys_of_others_are_not_found(house: House) -> None:
    house.account()
    house.account("bob")
    made = (await make(house, await house.token())).json()
    bob = await house.token("bob")
    path = f"/api/v1/keys/{made['id']}"
    answers = [
        await house.client.get(path, headers=bob),
        await house.client.patch(path, headers=bob, json={"name": "mine"}),
        await house.client.delete(path, headers=bob),
    ]
    assert [answer.status_code for answer in answers] == [404] * 3
    assert answers[0].json()["error"]["code"] == "key_not_found"
    assert (await house.client.get("/api/v1/keys", headers=bob)).json()["keys"] == []


async def test_an_admin_sees_all_keys_and_makes_them_for_others(house: House) -> None:
    bob = house.account("bob")
    house.account("root", role="admin")
    root = await house.token("root")
    assert (await make(house, root, owner="bob")).json()["owner"] == bob.id
    assert (await make(house, root, owner="a service", role="admin")).json()["owner"] == "a service"
    assert (await make(house, root, owner="nobody@example.org")).status_code == 404
    assert (await make(house, root, owner="user_unknown")).status_code == 404
    keys = (await house.client.get("/api/v1/keys", headers=root)).json()["keys"]
    assert {key["owner"] for key in keys} == {bob.id, "a service"}
    assert len((await house.client.get(f"/api/v1/keys?owner={bob.id}", headers=root)).json()["keys"]) == 1


async def test_a_changed_key_keeps_what_was_not_said(house: House) -> None:
    house.account()
    person = await house.token()
    made = (await make(house, person, models=["echo"], tokens_per_minute=100)).json()
    path = f"/api/v1/keys/{made['id']}"
    changed = (await house.client.patch(path, headers=person, json={"models": None, "name": "new"})).json()
    assert (changed["name"], changed["models"], changed["tokens_per_minute"]) == ("new", None, 100)


async def test_a_key_keeps_a_name(house: House) -> None:
    house.account()
    person = await house.token()
    path = f"/api/v1/keys/{(await make(house, person)).json()['id']}"
    answer = await house.client.patch(path, headers=person, json={"name": None})
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "name")


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"name": ""}, "name"),
        ({"name": "a\nb"}, "name"),
        ({"scopes": ["chat", "nix"]}, "scopes"),
        ({"role": "root"}, "role"),
        ({"role": None}, "role"),
        ({"requests_per_minute": 0}, "requests_per_minute"),
        ({"requests_per_minute": 2**31}, "requests_per_minute"),
        ({"expires_at": "2001-01-01T00:00:00Z"}, "expires_at"),
        ({"expires_at": "2999-01-01T00:00:00"}, "expires_at"),
        ({"expires_at": "soon"}, "expires_at"),
        ({"colour": "red"}, "colour"),
    ],
)
async def test_a_wrong_field_is_named(house: House, body: dict[str, Any], param: str) -> None:
    house.account()
    answer = await make(house, await house.token(), **body)
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, param)


def test_the_use_of_a_key_is_written_once_a_minute_however_many_say_so() -> None:
    store = ApiKeys(open_database("sqlite://"))
    key = store.create(new_secret(), name="k", owner="o", rights=Rights(role="user"))
    assert key.last_used_at is None
    store.note_use(key.id)
    first = store.get(key.id).last_used_at
    store.note_use(key.id)
    assert first is not None
    assert store.get(key.id).last_used_at == first


def test_a_secret_is_stored_only_as_its_digest() -> None:
    engine = open_database("sqlite://")
    secret = new_secret()
    ApiKeys(engine).create(secret, name="k", owner="o", rights=Rights(role="user"))
    with engine.connect() as connection:
        row = str(connection.exec_driver_sql("SELECT * FROM api_keys").all())
    assert secret[17:-4] not in row
    assert digest_of(secret) in row
