"""`heliostat users` and `heliostat keys`: accounts and API keys, whether or not a cluster runs.

They work on the database itself, so whoever can write to it can make an admin: that is how the first one is
made. A running gateway sees a change within auth.believed_s, 5 seconds at most.
"""

import json
import re
import sys
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cluster.config import database_url, home, load_config
from cluster.console.output import output
from cluster.errors import BadRequest, NotRunning, StaleCluster
from cluster.runtime.state import read_state
from cluster.settings.gateway import AuthSettings

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from cluster.stores.accounts import Bounds

DURATION = re.compile(r"([1-9][0-9]{0,4})([hdw])")
HOURS = {"h": 1, "d": 24, "w": 7 * 24}
ROLES = ("viewer", "user", "admin")

app = typer.Typer(no_args_is_help=True, add_completion=False, help="Accounts and API keys.")
users = typer.Typer(no_args_is_help=True, help="Make, list and disable accounts.")
keys = typer.Typer(no_args_is_help=True, help="Make, list and revoke API keys.")
app.add_typer(users, name="users")
app.add_typer(keys, name="keys")

ConfigFile = Annotated[
    Path | None, typer.Option(help="Config whose database is taken.", show_default="the running cluster's")
]
Email = Annotated[str, typer.Argument(metavar="EMAIL", help="An address or a username.")]
FromStdin = Annotated[bool, typer.Option("--password-stdin", help="Read the password from standard input.")]
AsJson = Annotated[bool, typer.Option("--json", help="As JSON.")]
Models = Annotated[str | None, typer.Option(help="Model ids, with commas; all by default.")]
PerMinute = Annotated[int | None, typer.Option("--rpm", min=1, help="Requests a minute.")]
TokensPerMinute = Annotated[int | None, typer.Option("--tpm", min=1, help="Tokens a minute.")]
AtOnce = Annotated[int | None, typer.Option("--concurrent", min=1, help="Requests at once.")]


@users.command("create-admin")
def create_admin(email: Email, password_stdin: FromStdin = False, config: ConfigFile = None) -> None:
    """Make an admin's account; the first one is made here and nowhere else."""
    _create(email, "admin", password_stdin, config)


@users.command("create")
def create(
    email: Email,
    role: Annotated[str, typer.Option(help="viewer, user or admin.")] = "user",
    password_stdin: FromStdin = False,
    config: ConfigFile = None,
) -> None:
    """Make an account."""
    _create(email, role, password_stdin, config)


@users.command()
def limit(
    email: Email,
    models: Models = None,
    rpm: PerMinute = None,
    tpm: TokensPerMinute = None,
    concurrent: AtOnce = None,
    lift: Annotated[bool, typer.Option("--lift", help="Lift all that is not named here.")] = False,
    config: ConfigFile = None,
) -> None:
    """Bound what somebody may use, in person and by all their keys; what is not named stays."""
    from cluster.stores.accounts import UNBOUNDED, Accounts, Changes

    accounts = Accounts(_open(config)[0])
    account = accounts.named(email)
    said = {
        "models": _words(models),
        "requests_per_minute": rpm,
        "tokens_per_minute": tpm,
        "concurrent_requests": concurrent,
    }
    named: dict[str, Any] = {name: value for name, value in said.items() if value is not None}
    if not named and not lift:
        raise BadRequest("No limit is named", hint="--rpm, --tpm, --concurrent, --models, or --lift")
    bounds = replace(UNBOUNDED if lift else account.bounds, **named)
    accounts.change(account.id, Changes(bounds=bounds))
    typer.echo(f"limited {account.name}: {_told(bounds)}", err=True)


@users.command("list")
def list_users(as_json: AsJson = False, config: ConfigFile = None) -> None:
    """The accounts, by name."""
    from cluster.stores.accounts import Accounts
    from deployments.gateway.auth.wire import shown_account

    _, found = Accounts(_open(config)[0]).page(limit=100_000, offset=0)
    rows = [shown_account(account) for account in found]
    _print(rows, ("id", "email", "role", "disabled", "last_login_at"), as_json=as_json)


@users.command()
def disable(email: Email, config: ConfigFile = None) -> None:
    """Shut somebody out: their sessions end, their keys stop, until `enable`."""
    from cluster.stores.accounts import Accounts, Changes
    from cluster.stores.sessions import Sessions

    engine, _ = _open(config)
    accounts = Accounts(engine)
    account = accounts.change(accounts.named(email).id, Changes(disabled=True))
    Sessions(engine).revoke_all(account.id)
    typer.echo(f"disabled {account.name}", err=True)


@users.command()
def enable(email: Email, config: ConfigFile = None) -> None:
    """Let somebody in again."""
    from cluster.stores.accounts import Accounts, Changes

    accounts = Accounts(_open(config)[0])
    account = accounts.change(accounts.named(email).id, Changes(disabled=False))
    typer.echo(f"enabled {account.name}", err=True)


@users.command()
def password(email: Email, password_stdin: FromStdin = False, config: ConfigFile = None) -> None:
    """Give somebody a new password, and end their sessions."""
    from cluster.stores.accounts import Accounts, Changes
    from cluster.stores.sessions import Sessions
    from deployments.gateway.auth.passwords import Passwords

    engine, auth = _open(config)
    accounts = Accounts(engine)
    account = accounts.named(email)
    hashed = Passwords(auth).hash(_password(from_stdin=password_stdin))
    accounts.change(account.id, Changes(password_hash=hashed))
    Sessions(engine).revoke_all(account.id)
    typer.echo(f"changed the password of {account.name}", err=True)


@keys.command("create")
def create_key(
    name: Annotated[str, typer.Option(help="What the key is for.")],
    owner: Annotated[str, typer.Option(help="An account, or any name: whose data the key sees.")] = "local",
    role: Annotated[str, typer.Option(help="viewer, user or admin.")] = "user",
    scopes: Annotated[str | None, typer.Option(help="Areas, with commas; all by default.")] = None,
    models: Models = None,
    rpm: PerMinute = None,
    tpm: TokensPerMinute = None,
    concurrent: AtOnce = None,
    expires: Annotated[str | None, typer.Option(help="12h, 90d, 4w, or a date such as 2030-01-31.")] = None,
    config: ConfigFile = None,
) -> None:
    """Make a key. Its secret is printed once, alone on standard output."""
    from cluster.stores.api_keys import ApiKeys, Rights, new_secret

    engine, _ = _open(config)
    rights = Rights(
        role=_one_of(role, ROLES, "--role"),
        scopes=_scopes(scopes),
        models=_words(models),
        requests_per_minute=rpm,
        tokens_per_minute=tpm,
        concurrent_requests=concurrent,
        expires_at=expiry(expires, datetime.now(UTC)),
    )
    secret = new_secret()
    made = ApiKeys(engine).create(secret, name=name, owner=_owner(engine, owner), rights=rights)
    typer.echo(f"made {made.id} for {owner}; this is the only time its secret is shown:", err=True)
    typer.echo(secret)


@keys.command("list")
def list_keys(
    owner: Annotated[str | None, typer.Option(help="Those of an account or name only.")] = None,
    as_json: AsJson = False,
    config: ConfigFile = None,
) -> None:
    """The keys, the newest first; never their secrets."""
    from cluster.stores.api_keys import ApiKeys
    from deployments.gateway.auth.wire import shown_key

    engine, _ = _open(config)
    found = ApiKeys(engine).list(owner=None if owner is None else _owner(engine, owner), limit=100_000)
    columns = ("id", "name", "last4", "owner", "role", "expires_at", "last_used_at", "revoked_at")
    _print([shown_key(key) for key in found], columns, as_json=as_json)


@keys.command()
def revoke(
    key: Annotated[str, typer.Argument(metavar="KEY", help="A key's id, or the key itself.")],
    config: ConfigFile = None,
) -> None:
    """End a key for good."""
    from cluster.stores.api_keys import SECRET_PREFIX, ApiKeys, digest_of, unknown_key

    store = ApiKeys(_open(config)[0])
    if key.startswith(SECRET_PREFIX):  # a leaked one, of which nobody knows the id
        found = store.find(digest_of(key))
        if found is None:
            raise unknown_key(f"{key[:17]}…")
        key = found.key.id
    revoked = store.revoke(key)
    typer.echo(f"revoked {revoked.id} ({revoked.name})", err=True)


def expiry(text: str | None, moment: datetime) -> datetime | None:
    """When `--expires` says; None is never. Raises BadRequest."""
    if text is None:
        return None
    match = DURATION.fullmatch(text)
    if match is not None:
        return moment + timedelta(hours=int(match[1]) * HOURS[match[2]])
    try:
        ends = datetime.fromisoformat(text)
    except ValueError:
        raise BadRequest(f"--expires {text}: no time", hint="12h, 90d, 4w, or 2030-01-31") from None
    ends = ends if ends.tzinfo is not None else ends.replace(tzinfo=UTC)
    if ends <= moment:
        raise BadRequest(f"--expires {text}: has passed", hint="a time to come")
    return ends


def _create(email: str, role: str, password_stdin: bool, config: Path | None) -> None:
    from cluster.stores.accounts import Accounts, normal
    from deployments.gateway.auth.passwords import Passwords

    _one_of(role, ROLES, "--role")
    normal(email)  # before somebody types a password for nothing
    engine, auth = _open(config)
    hashed = Passwords(auth).hash(_password(from_stdin=password_stdin))
    made = Accounts(engine).create(name=email, password_hash=hashed, role=role)
    shown = engine.url.render_as_string(hide_password=True)
    typer.echo(f"made the {made.role} {made.name} in {shown}", err=True)


def _open(config: Path | None) -> "tuple[Engine, AuthSettings]":
    """The database, and how passwords are hashed there."""
    import cluster.stores.accounts
    import cluster.stores.api_keys
    import cluster.stores.sessions  # noqa: F401 - opening a database makes the tables of what is imported
    from cluster.stores.database import open_database

    url, auth = _where(config)
    return open_database(url), auth


def _where(config: Path | None) -> tuple[str, AuthSettings]:
    if config is not None:
        settings = load_config(config).settings
        return settings.database_url, settings.auth
    try:
        state = read_state(home())
        settings = load_config(state.config).settings
    except (NotRunning, StaleCluster):
        return database_url(), AuthSettings()
    return settings.stores.database or database_url({"HELIOSTAT_HOME": state.home}), settings.auth


def _password(*, from_stdin: bool) -> str:
    if from_stdin:
        return sys.stdin.readline().rstrip("\r\n")
    return str(typer.prompt("Password", hide_input=True, confirmation_prompt=True, err=True))


def _owner(engine: "Engine", wanted: str) -> str:
    from cluster.stores.accounts import Accounts
    from deployments.gateway.auth.keys import owner_named

    return owner_named(Accounts(engine), wanted)


def _one_of(given: str, known: tuple[str, ...], option: str) -> str:
    if given not in known:
        raise BadRequest(f"{option} {given}: unknown", hint=f"one of {', '.join(known)}")
    return given


def _scopes(text: str | None) -> frozenset[str] | None:
    from deployments.gateway.auth.areas import SCOPES

    for scope in sorted(_words(text) or ()):
        _one_of(scope, tuple(sorted(SCOPES)), "--scopes")
    return _words(text)


def _words(text: str | None) -> frozenset[str] | None:
    return None if text is None else frozenset(word.strip() for word in text.split(",") if word.strip())


def _told(bounds: "Bounds") -> str:
    facts = (
        (bounds.requests_per_minute, "requests a minute"),
        (bounds.tokens_per_minute, "tokens a minute"),
        (bounds.concurrent_requests, "at once"),
    )
    told = [f"{number} {what}" for number, what in facts if number is not None]
    if bounds.models is not None:
        told.append(f"models {', '.join(sorted(bounds.models)) or 'none'}")
    return "; ".join(told) or "nothing"


def _print(rows: list[dict[str, Any]], columns: tuple[str, ...], *, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps(rows, indent=1))
        return
    from rich.markup import escape
    from rich.table import Table

    table = Table(box=None)
    for name in columns:
        table.add_column(name, overflow="fold", no_wrap=name == "id")  # an id that is cut is of no use
    for row in rows:
        table.add_row(*("" if row[name] is None else escape(str(row[name])) for name in columns))
    output().print(table)
