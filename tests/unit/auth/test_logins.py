"""Signing in, staying in, out; and what stops those who guess."""

import asyncio
import json
import time
from typing import Any

import httpx
import pytest

from cluster.stores.accounts import Changes
from deployments.gateway.auth.passwords import Passwords
from tests.unit.auth.conftest import PASSWORD, House, house_with


async def refreshed(house: House, token: str) -> httpx.Response:
    return await house.client.post("/api/v1/auth/refresh", json={"refresh_token": token})


async def me(house: House, headers: dict[str, str]) -> httpx.Response:
    return await house.client.get("/api/v1/auth/me", headers=headers)


def bearer(answer: httpx.Response) -> dict[str, str]:
    return {"authorization": f"Bearer {answer.json()['access_token']}"}


async def test_a_person_signs_in_and_is_known(house: House) -> None:
    house.account(role="admin")
    answer = await house.login("ANN@example.org ")  # as people type it
    body = answer.json()
    assert answer.status_code == 200
    assert (body["token_type"], body["expires_in"], body["user"]["email"]) == ("bearer", 900, "ann@example.org")
    assert "password" not in answer.text
    assert answer.headers["cache-control"] == "no-store"
    known = (await me(house, bearer(answer))).json()
    assert (known["kind"], known["email"], known["role"]) == ("person", "ann@example.org", "admin")


@pytest.mark.parametrize(("name", "password"), [("ann@example.org", "wrong"), ("nobody", PASSWORD), ("ann", "")])
async def test_a_wrong_password_and_an_unknown_name_are_told_alike(house: House, name: str, password: str) -> None:
    house.account()
    answer = await house.login(name, password)
    if not password:
        assert answer.status_code == 400
        return
    assert answer.status_code == 401
    assert answer.json()["error"]["code"] == "invalid_credentials"
    assert answer.json()["error"]["message"] == "The account or the password is wrong"
    assert answer.headers["www-authenticate"] == "Bearer"


@pytest.mark.parametrize("name", ["a\0b", "two words", "\ud800", "", "x" * 300])
async def test_a_name_that_nobody_can_have_is_a_bad_request(house: House, name: str) -> None:
    sent = b'{"email": %s, "password": "p"}' % json.dumps(name).encode()
    answer = await house.client.post("/api/v1/auth/login", content=sent)
    assert answer.status_code == 400


async def test_an_unknown_name_takes_as_long_as_a_wrong_password() -> None:
    house = await house_with(hash_memory_kib=4096, hash_rounds=2)  # tens of milliseconds, to be seen at all
    house.account()
    await house.login("warm", "up")

    async def best(name: str) -> float:
        times = []
        for _ in range(4):
            began = time.process_time()  # of all threads, and of this process alone
            await house.login(name, "wrong")
            times.append(time.process_time() - began)
        return min(times)

    known, unknown = await best("ann@example.org"), await best("nobody")
    assert unknown == pytest.approx(known, rel=0.6)


async def test_many_wrong_passwords_close_an_account_for_a_while() -> None:
    house = await house_with(failures_by_account=3)
    house.account()
    assert [(await house.login(password="wrong")).status_code for _ in range(4)] == [401, 401, 401, 429]
    answer = await house.login()  # the right one comes too late
    assert (answer.status_code, answer.json()["error"]["code"]) == (429, "too_many_attempts")
    assert 800 < int(answer.headers["retry-after"]) <= 900
    house.account("bob")
    assert (await house.login("bob")).status_code == 200


async def test_a_name_that_nobody_has_closes_alike() -> None:
    house = await house_with(failures_by_account=2)
    assert [(await house.login("nobody", "x")).status_code for _ in range(3)] == [401, 401, 429]


async def test_attempts_at_once_do_not_outrun_the_count() -> None:
    house = await house_with(failures_by_account=3)
    house.account()
    answers = await asyncio.gather(*(house.login(password="wrong") for _ in range(12)))
    assert sum(answer.status_code == 401 for answer in answers) <= 3


async def test_right_passwords_do_not_count() -> None:
    house = await house_with(failures_by_account=2)
    house.account()
    assert [(await house.login()).status_code for _ in range(5)] == [200] * 5


async def login_from(house: House, address: str, name: str, **headers: str) -> int:
    transport = httpx.ASGITransport(house.app, client=(address, 1))
    async with httpx.AsyncClient(transport=transport, base_url="http://gateway") as client:
        body = {"email": name, "password": "wrong"}
        return (await client.post("/api/v1/auth/login", json=body, headers=headers)).status_code


async def test_many_wrong_passwords_close_an_address_over_all_accounts() -> None:
    house = await house_with(failures_by_address=3)
    assert [await login_from(house, "192.0.2.1", f"n{i}") for i in range(4)] == [401, 401, 401, 429]
    assert await login_from(house, "192.0.2.2", "n9") == 401


async def test_all_addresses_of_one_ipv6_network_count_together() -> None:
    house = await house_with(failures_by_address=1)
    assert await login_from(house, "2001:db8::1", "a") == 401
    assert await login_from(house, "2001:db8::ffff:2", "b") == 429
    assert await login_from(house, "2001:db8:0:1::1", "c") == 401
    assert await login_from(house, "::ffff:192.0.2.9", "d") == 401
    assert await login_from(house, "192.0.2.9", "e") == 429


async def test_loopback_may_be_a_proxy_of_many_and_fails_more_often() -> None:
    house = await house_with(failures_by_address=1)
    assert [await login_from(house, "127.0.0.1", f"n{i}") for i in range(11)] == [401] * 10 + [429]


async def test_a_client_cannot_choose_its_address() -> None:
    house = await house_with(failures_by_address=1)
    assert await login_from(house, "192.0.2.1", "a", **{"x-forwarded-for": "198.51.100.1"}) == 401
    assert await login_from(house, "192.0.2.1", "b", **{"x-forwarded-for": "198.51.100.2"}) == 429


async def test_a_trusted_proxy_says_the_address_and_only_its_own_word_counts() -> None:
    house = await house_with(failures_by_address=1, trusted_proxies=1)
    assert await login_from(house, "192.0.2.1", "a", **{"x-forwarded-for": "1.1.1.1, 198.51.100.1"}) == 401
    assert await login_from(house, "192.0.2.1", "b", **{"x-forwarded-for": "2.2.2.2, 198.51.100.1"}) == 429
    assert await login_from(house, "192.0.2.1", "c", **{"x-forwarded-for": "1.1.1.1, 198.51.100.2"}) == 401


async def test_a_refresh_token_is_good_once_and_gives_the_next(house: House) -> None:
    house.account()
    first = (await house.login()).json()["refresh_token"]
    second = await refreshed(house, first)
    assert second.status_code == 200
    third = await refreshed(house, second.json()["refresh_token"])
    assert (await me(house, bearer(third))).status_code == 200


async def test_a_refresh_token_that_comes_again_ends_the_whole_session(house: House) -> None:
    house.account()
    first = (await house.login()).json()["refresh_token"]
    second = await refreshed(house, first)
    other = await house.login()
    assert (await refreshed(house, first)).status_code == 401
    assert (await refreshed(house, second.json()["refresh_token"])).status_code == 401
    house.directory.authenticator.forget()  # another gateway would notice within auth.believed_s
    assert (await me(house, bearer(second))).status_code == 401
    assert (await me(house, bearer(other))).status_code == 200


async def test_of_two_refreshes_at_once_one_wins(house: House) -> None:
    house.account()
    token = (await house.login()).json()["refresh_token"]
    answers = await asyncio.gather(*(refreshed(house, token) for _ in range(5)))
    assert sum(answer.status_code == 200 for answer in answers) <= 1


@pytest.mark.parametrize("token", ["x", "sk-heliostat-" + "a" * 43, "é"])
async def test_what_is_no_refresh_token_is_refused(house: House, token: str) -> None:
    assert (await refreshed(house, token)).status_code == 401


async def test_an_access_token_refreshes_nothing(house: House) -> None:
    house.account()
    token = (await house.login()).json()["access_token"]
    assert (await refreshed(house, token)).status_code == 401


async def test_signing_out_ends_the_session_at_once(house: House) -> None:
    house.account()
    signed_in = await house.login()
    assert (await me(house, bearer(signed_in))).status_code == 200
    assert (await house.client.post("/api/v1/auth/logout", headers=bearer(signed_in))).status_code == 204
    assert (await me(house, bearer(signed_in))).status_code == 401
    assert (await refreshed(house, signed_in.json()["refresh_token"])).status_code == 401


async def test_a_key_is_not_signed_in(house: House) -> None:
    answer = await house.client.post("/api/v1/auth/logout", headers=house.key())
    assert answer.status_code == 400


async def change_password(house: House, headers: dict[str, str], **body: Any) -> httpx.Response:
    sent = {"current_password": PASSWORD, "new_password": "another good one", **body}
    return await house.client.post("/api/v1/auth/password", headers=headers, json=sent)


async def test_a_new_password_ends_the_other_sessions(house: House) -> None:
    house.account()
    here, there = await house.token(), await house.token()
    assert (await change_password(house, here)).status_code == 204
    assert ((await me(house, here)).status_code, (await me(house, there)).status_code) == (200, 401)
    assert (await house.login()).status_code == 401
    assert (await house.login(password="another good one")).status_code == 200


async def test_a_new_password_needs_the_old_one_and_some_length(house: House) -> None:
    house.account()
    headers = await house.token()
    assert (await change_password(house, headers, current_password="wrong")).status_code == 401
    short = await change_password(house, headers, new_password="short")
    assert (short.status_code, short.json()["error"]["param"]) == (400, "new_password")


async def test_a_disabled_person_neither_signs_in_nor_stays(house: House) -> None:
    account = house.account()
    signed_in = await house.login()
    house.directory.accounts.change(account.id, Changes(disabled=True))
    assert (await house.login()).status_code == 401
    house.directory.authenticator.forget()
    assert (await me(house, bearer(signed_in))).status_code == 401
    assert (await refreshed(house, signed_in.json()["refresh_token"])).status_code == 401


async def test_a_role_is_the_one_of_now_and_not_of_the_token(house: House) -> None:
    account = house.account(role="admin")
    house.account("root", role="admin")
    headers = await house.token()
    assert (await house.client.get("/api/v1/users", headers=headers)).status_code == 200
    house.directory.accounts.change(account.id, Changes(role="user"))
    house.directory.authenticator.forget()
    assert (await house.client.get("/api/v1/users", headers=headers)).status_code == 403


async def test_a_hash_made_with_old_settings_is_made_anew(house: House) -> None:
    account = house.account()
    old = Passwords(house.settings.auth.model_copy(update={"hash_memory_kib": 16})).hash(PASSWORD)
    house.directory.accounts.change(account.id, Changes(password_hash=old))
    assert (await house.login()).status_code == 200
    found = house.directory.accounts.with_hash("ann@example.org")
    assert found is not None
    assert "m=8," in found[1]


async def test_a_field_that_does_not_exist_is_refused(house: House) -> None:
    body = {"email": "a", "password": "b", "remember": True}
    answer = await house.client.post("/api/v1/auth/login", json=body)
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "remember")
