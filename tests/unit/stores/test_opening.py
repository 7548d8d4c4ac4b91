"""Databases that are opened: durable, of the right shape, or refused in words that help."""

from pathlib import Path

import pytest
from sqlalchemy import text

from cluster.errors import DatabaseAway, SettingsError
from cluster.stores.database import engine_of, open_database
from cluster.stores.experiments import Experiments


@pytest.mark.parametrize(
    "url",
    ["nonsense", "nosuch://x", "mysql://u@x/y", "postgresql://x/y?sslmode=perhaps", "postgres://x/y?colour=red"],
)
def test_a_url_that_cannot_be_used_is_refused_before_anything_is_opened(url: str) -> None:
    with pytest.raises(SettingsError, match=r"stores\.database"):
        engine_of(url)


def test_a_database_that_cannot_be_opened_is_named_with_the_reason() -> None:
    with pytest.raises(SettingsError, match=r"/proc/none/x\.db cannot be opened: unable to open"):
        open_database("sqlite:////proc/none/x.db")


def test_nothing_is_opened_before_its_first_use(tmp_path: Path) -> None:
    engine = engine_of(f"sqlite:///{tmp_path / 'x.db'}")
    assert not (tmp_path / "x.db").exists()
    assert Experiments(engine).page(limit=1, offset=0) == (0, [])
    engine.dispose()


def test_a_database_that_comes_later_is_found_by_the_same_engine(tmp_path: Path) -> None:
    (tmp_path / "x.db").mkdir()
    engine = engine_of(f"sqlite:///{tmp_path / 'x.db'}")
    with pytest.raises(DatabaseAway):
        Experiments(engine).page(limit=1, offset=0)
    (tmp_path / "x.db").rmdir()
    assert Experiments(engine).page(limit=1, offset=0) == (0, [])
    engine.dispose()


def test_a_file_is_durable_and_lets_readers_read(tmp_path: Path) -> None:
    engine = open_database(f"sqlite:///{tmp_path / 'x.db'}")
    with engine.connect() as connection:
        pragmas = {
            name: connection.execute(text(f"PRAGMA {name}")).scalar() for name in ("journal_mode", "synchronous")
        }
    assert pragmas == {"journal_mode": "wal", "synchronous": 2}
    engine.dispose()


@pytest.mark.parametrize(
    ("mode", "verified", "named"),
    [("require", False, False), ("verify-ca", True, False), ("verify-full", True, True)],
)
def test_encryption_is_what_the_url_asks_for(mode: str, *, verified: bool, named: bool) -> None:
    from ssl import CERT_REQUIRED

    from sqlalchemy import make_url

    from cluster.stores.postgresql import connect_args

    context = connect_args(make_url(f"postgresql+pg8000://u@x/y?sslmode={mode}"))["ssl_context"]
    assert (context.verify_mode == CERT_REQUIRED, context.check_hostname) == (verified, named)
    assert connect_args(make_url("postgresql+pg8000://u@x/y"))["ssl_context"] is None
