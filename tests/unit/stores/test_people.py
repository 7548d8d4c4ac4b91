"""Accounts, keys, sessions and attempts, as far as a database could have its own mind about them."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from sqlalchemy import Engine

from cluster.errors import AccountNotFound, BadRequest, Conflict, KeyNotFound
from cluster.stores.accounts import Accounts, Changes
from cluster.stores.api_keys import ApiKeys, Rights, digest_of, new_secret
from cluster.stores.database import open_database
from cluster.stores.login_attempts import LoginAttempts
from cluster.stores.sessions import Sessions

HOUR = timedelta(hours=1)


def test_a_name_is_taken_once_in_any_case(database: Engine) -> None:
    accounts = Accounts(database)
    made = accounts.create(name="Ann@Example.org", password_hash="h", role="user")
    with pytest.raises(Conflict):
        accounts.create(name="ann@example.ORG", password_hash="h", role="user")
    assert accounts.named("ANN@example.org") == accounts.get(made.id) == made
    assert accounts.page(limit=9, offset=0) == (1, [made])
    accounts.remove(made.id)
    with pytest.raises(AccountNotFound):
        accounts.get(made.id)


def test_of_two_admins_who_disable_each_other_at_once_one_stays(shared_url: str) -> None:
    engine = open_database(shared_url)
    accounts = Accounts(engine)
    admins = [accounts.create(name=name, password_hash="h", role="admin").id for name in ("ann", "bob", "cy")]

    def disable(account_id: str) -> bool:
        try:
            accounts.change(account_id, Changes(disabled=True))
        except Conflict:
            return False
        return True

    with ThreadPoolExecutor(3) as threads:
        assert sum(threads.map(disable, admins)) == 2
    engine.dispose()


def test_a_key_is_found_by_its_digest_with_its_owners_role(database: Engine) -> None:
    owner = Accounts(database).create(name="ann", password_hash="h", role="admin").id
    keys, secret = ApiKeys(database), new_secret()
    rights = Rights(role="user", models=frozenset({"a", "b"}), requests_per_minute=2**31 - 1)
    made = keys.create(secret, name="ü\U0001f600", owner=owner, rights=rights)
    found = keys.find(digest_of(secret))
    assert found is not None
    assert (found.key, found.owner_role, found.key.rights) == (made, "admin", rights)
    keys.revoke_owned(owner)
    assert keys.get(made.id).revoked_at is not None
    assert keys.list(owner="nobody") == []
    with pytest.raises(KeyNotFound):
        keys.get("key_none")


def test_the_longest_owner_and_name_are_stored_whole(database: Engine) -> None:
    keys = ApiKeys(database)
    made = keys.create(new_secret(), name="n" * 128, owner="ö" * 256, rights=Rights(role="user"))
    assert keys.list(owner="ö" * 256) == [made]


def test_a_refresh_token_is_good_once_however_many_come_at_once(shared_url: str) -> None:
    engine = open_database(shared_url)
    account = Accounts(engine).create(name="ann", password_hash="h", role="user")
    sessions = Sessions(engine)
    opened = sessions.open(account.id, life=HOUR)
    assert opened is not None
    with ThreadPoolExecutor(4) as threads:
        rotated = list(threads.map(lambda _: sessions.rotate(opened.refresh_token), range(4)))
    assert len([one for one in rotated if one is not None]) <= 1
    assert sessions.find(opened.session.id) is None, "a token that comes twice ends its session"
    engine.dispose()


def test_attempts_at_once_are_all_counted(shared_url: str) -> None:
    engine = open_database(shared_url)
    attempts = LoginAttempts(engine, window=HOUR)
    with ThreadPoolExecutor(4) as threads:
        verdicts = list(threads.map(lambda n: attempts.begin(f"a{n}", {"ann": 3}), range(8)))
    assert sum(verdict.wait_s == 0 for verdict in verdicts) <= 3
    engine.dispose()


@pytest.mark.parametrize("text", ["a\ud800b"])
def test_a_lone_surrogate_is_the_askers_mistake(database: Engine, text: str) -> None:
    with pytest.raises(BadRequest, match="cannot be stored"):
        ApiKeys(database).create(new_secret(), name=text, owner="o", rights=Rights(role="user"))
