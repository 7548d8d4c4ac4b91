"""Without authentication a server binds to loopback, or not at all; and other settings of who may ask."""

from pathlib import Path

import pytest

from cluster.config import credentials, database_url, load_config
from cluster.errors import AuthRequired, SettingsError
from cluster.runtime.document import refuse_open
from cluster.settings.tree import Settings
from tests.unit.auth.conftest import auth_settings
from tests.unit.gateway.conftest import settings_with


@pytest.mark.parametrize("host", ["", "0.0.0.0", "::", "192.0.2.7"])
def test_another_address_than_loopback_needs_authentication(host: str) -> None:
    with pytest.raises(AuthRequired):
        refuse_open(host, authenticated=False, origin="the Ray Serve that runs there")
    refuse_open(host, authenticated=True, origin="c.yaml")


def test_the_config_for_several_nodes_asks_who_is_there() -> None:
    root = Path(__file__).parents[3]
    assert load_config(root / "configs/cluster.yaml", {}).settings.auth.mode == "on"


def test_off_is_the_default() -> None:
    assert settings_with().auth.mode == "off"


def test_the_way_through_serves_args_keeps_the_settings() -> None:
    settings = auth_settings()
    assert Settings.model_validate(settings.model_dump(mode="json")) == settings
    assert "0123456789abcdef" not in repr(settings)


@pytest.mark.parametrize("origin", ["*", "https://a.example/", "a.example", "https://*.example", "null"])
def test_origins_are_listed_one_by_one(origin: str) -> None:
    with pytest.raises(SettingsError, match=r"gateway\.cors_origins"):
        settings_with(gateway={"cors_origins": [origin]})


def test_our_own_commands_send_the_key_of_the_environment() -> None:
    assert credentials({"HELIOSTAT_API_KEY": "sk-heliostat-x"}) == {"authorization": "Bearer sk-heliostat-x"}
    assert credentials({}) == {}


def test_commands_without_a_config_use_the_database_of_the_home_or_the_environment(tmp_path: Path) -> None:
    assert database_url({"HELIOSTAT_HOME": str(tmp_path)}) == f"sqlite:///{tmp_path}/heliostat.db"
    assert database_url({"HELIOSTAT__STORES__DATABASE": "postgresql://x"}) == "postgresql://x"
