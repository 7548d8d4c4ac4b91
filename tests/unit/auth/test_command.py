"""`heliostat users` and `heliostat keys`, on a home without a cluster."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from cluster.errors import AccountNotFound, BadRequest
from cluster.settings.gateway import AuthSettings
from cluster.stores.accounts import Accounts
from cluster.stores.api_keys import ApiKeys, digest_of
from cluster.stores.database import open_database
from deployments import accounts
from deployments.accounts import app, expiry


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HELIOSTAT_HOME", str(tmp_path))
    monkeypatch.delenv("HELIOSTAT__STORES__DATABASE", raising=False)
    cheap = AuthSettings(hash_memory_kib=8, hash_rounds=1)
    monkeypatch.setattr(accounts, "AuthSettings", lambda: cheap)
    return tmp_path


def run(*words: str, stdin: str | None = None) -> Result:
    return CliRunner().invoke(app, list(words), input=stdin)


def admin(name: str = "ann@example.org") -> Result:
    return run("users", "create-admin", name, "--password-stdin", stdin="correct horse battery\n")


def test_the_first_admin_is_made_on_the_homes_database(home: Path) -> None:
    assert admin().exit_code == 0
    account = Accounts(open_database(f"sqlite:///{home / 'heliostat.db'}")).named("ann@example.org")
    assert (account.role, account.disabled) == ("admin", False)


def test_a_password_is_asked_for_twice_where_somebody_types() -> None:
    typed = run("users", "create-admin", "ann", stdin="correct horse battery\ncorrect horse battery\n")
    assert typed.exit_code == 0
    assert "battery" not in typed.output


@pytest.mark.parametrize(("name", "password"), [("ann", "short\n"), ("ann", ""), ("two words", "long enough 1\n")])
def test_what_is_no_account_is_refused(name: str, password: str) -> None:
    answer = run("users", "create-admin", name, "--password-stdin", stdin=password)
    assert isinstance(answer.exception, BadRequest)


def test_accounts_are_listed_and_disabled() -> None:
    admin()
    admin("bob")
    assert run("users", "disable", "bob").exit_code == 0
    listed = json.loads(run("users", "list", "--json").stdout)
    assert [(user["email"], user["disabled"]) for user in listed] == [("ann@example.org", False), ("bob", True)]
    assert run("users", "enable", "bob").exit_code == 0
    assert "bob" in run("users", "list").stdout


def limits() -> dict[str, object]:
    names = ("requests_per_minute", "tokens_per_minute", "concurrent_requests", "models")
    found = json.loads(run("users", "list", "--json").stdout)[0]
    return {name: found[name] for name in names if found[name] is not None}


def test_a_person_is_limited_and_what_is_not_named_stays() -> None:
    admin()
    assert run("users", "limit", "Ann@example.org", "--rpm", "5", "--models", "a, b").exit_code == 0
    told = run("users", "limit", "ann@example.org", "--tpm", "600", "--concurrent", "2")
    assert (
        told.stderr == "limited ann@example.org: 5 requests a minute; 600 tokens a minute; 2 at once; models a, b\n"
    )
    in_force = {"requests_per_minute": 5, "tokens_per_minute": 600, "concurrent_requests": 2, "models": ["a", "b"]}
    assert limits() == in_force
    assert run("users", "limit", "ann@example.org", "--lift", "--rpm", "7").exit_code == 0
    assert limits() == {"requests_per_minute": 7}
    assert run("users", "limit", "ann@example.org", "--lift").stderr == "limited ann@example.org: nothing\n"
    assert limits() == {}


@pytest.mark.parametrize("words", [(), ("--rpm", "0"), ("--concurrent", "-1")])
def test_a_limit_that_makes_no_sense_changes_nothing(words: tuple[str, ...]) -> None:
    admin()
    assert run("users", "limit", "ann@example.org", *words).exit_code != 0
    assert limits() == {}


def test_nobody_is_limited_who_is_not_there() -> None:
    assert isinstance(run("users", "limit", "ann", "--rpm", "5").exception, AccountNotFound)


def test_the_last_admin_is_not_disabled() -> None:
    admin()
    assert run("users", "disable", "ann@example.org").exit_code != 0


def test_a_keys_secret_is_alone_on_standard_output(home: Path) -> None:
    admin()
    made = run(
        *("keys", "create", "--name", "ci", "--owner", "ann@example.org", "--models", "a, b"),
        *("--scopes", "chat", "--rpm", "5", "--tpm", "6", "--concurrent", "7", "--expires", "90d"),
    )
    secret = made.stdout.strip()
    found = ApiKeys(open_database(f"sqlite:///{home / 'heliostat.db'}")).find(digest_of(secret))
    assert found is not None
    rights = found.key.rights
    assert (found.owner_role, rights.models, rights.scopes) == ("admin", {"a", "b"}, {"chat"})
    assert (rights.requests_per_minute, rights.tokens_per_minute, rights.concurrent_requests) == (5, 6, 7)
    assert secret not in run("keys", "list").stdout


@pytest.mark.parametrize("by", ["id", "secret"])
def test_a_key_is_revoked_by_its_id_or_by_itself(by: str) -> None:
    secret = run("keys", "create", "--name", "k").stdout.strip()
    key_id = json.loads(run("keys", "list", "--json").stdout)[0]["id"]
    assert run("keys", "revoke", secret if by == "secret" else key_id).exit_code == 0
    assert json.loads(run("keys", "list", "--json").stdout)[0]["revoked_at"]


@pytest.mark.parametrize(
    "words",
    [
        ("--role", "root"),
        ("--scopes", "chat,nix"),
        ("--expires", "soon"),
        ("--owner", "nobody@example.org"),
        ("--rpm", "0"),
    ],
)
def test_a_key_that_makes_no_sense_is_not_made(words: tuple[str, ...]) -> None:
    assert run("keys", "create", "--name", "k", *words).exit_code != 0
    assert json.loads(run("keys", "list", "--json").stdout) == []


def test_how_long_a_key_lives() -> None:
    moment = datetime(2030, 1, 1, tzinfo=UTC)
    assert expiry(None, moment) is None
    assert expiry("12h", moment) == moment + timedelta(hours=12)
    assert expiry("2w", moment) == moment + timedelta(weeks=2)
    assert expiry("2031-01-31", moment) == datetime(2031, 1, 31, tzinfo=UTC)
    with pytest.raises(BadRequest, match="passed"):
        expiry("2029-01-01", moment)
