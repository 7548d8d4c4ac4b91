"""Without authentication a config that binds another address than loopback is refused."""

from pathlib import Path

import pytest

from cluster.config import load_config
from cluster.errors import AuthRequired, SettingsError
from cluster.runtime.document import Document, prepare

CONFIG = """
http_options: {{host: "{host}", port: 8000}}
applications:
  - name: h
    import_path: deployments.app:build
    args:
      auth: {{mode: {mode}}}
      models: [{{id: echo, engine: {{kind: scripted}}}}]
"""


def prepared(folder: Path, host: str, mode: str) -> Document:
    path = folder / "c.yaml"
    path.write_text(CONFIG.format(host=host, mode=mode))
    return prepare(load_config(path, {}), home=folder)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.7", "gateway.internal"])
def test_another_address_than_loopback_needs_authentication(tmp_path: Path, host: str) -> None:
    with pytest.raises(AuthRequired, match=r"c\.yaml: http_options\.host") as refused:
        prepared(tmp_path, host, "off")
    assert refused.value.code == "auth_required"
    assert isinstance(refused.value, SettingsError)
    assert prepared(tmp_path, host, "on").authenticated  # YAML's bare `on`


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "localhost"])
def test_loopback_may_do_without(tmp_path: Path, host: str) -> None:
    assert not prepared(tmp_path, host, "off").authenticated
