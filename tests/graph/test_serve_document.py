import os
import subprocess
import sys
from pathlib import Path

from cluster.runtime.document import endpoint

ROOT = Path(__file__).parents[2]
CONFIG = """
{extra}
applications:
  - name: heliostat
    import_path: deployments.app:build
    {more}
    args:
      models: [{{id: parrot, engine: {{kind: scripted}}}}]
"""
# In a process of its own: the validation is Ray Serve's, and unit tests do not import Ray.
SCRIPT = """
import sys
from pathlib import Path
from cluster.config import load_config
from cluster.runtime.document import prepare
from cluster.errors import SettingsError
try:
    found = prepare(load_config(sys.argv[1]), home=Path("/data/home"), port=8123)
except SettingsError as error:
    sys.exit(error.line())
ours = found.body["applications"][0]
port = found.body["http_options"]["port"]
print(found.url, found.route, found.applications, found.host, ours["args"]["home"], port)
"""


def prepared(folder: Path, extra: str = "", more: str = "") -> subprocess.CompletedProcess[str]:
    config = folder / "c.yaml"
    config.write_text(CONFIG.format(extra=extra, more=more))
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", SCRIPT, str(config)]
    return subprocess.run(command, capture_output=True, text=True, env=environment)


def test_host_defaults_to_loopback_and_port_and_home_are_put_in(tmp_path: Path) -> None:
    done = prepared(tmp_path)
    assert done.stdout.split() == [
        "http://127.0.0.1:8123",
        "/",
        "('heliostat',)",
        "127.0.0.1",
        "/data/home",
        "8123",
    ]


def test_a_key_that_serve_does_not_know_is_named_with_its_file(tmp_path: Path) -> None:
    done = prepared(tmp_path, more="route_prefx: /x")
    assert done.returncode == 1
    assert f"{tmp_path}/c.yaml: applications.0.route_prefx: unknown key" in done.stderr
    assert "route_prefix" in done.stderr


def test_the_url_of_a_wildcard_host_is_loopback() -> None:
    assert endpoint("0.0.0.0", 80) == "http://127.0.0.1:80"
    assert endpoint("::", 80) == "http://[::1]:80"
    assert endpoint("192.0.2.1", 80) == "http://192.0.2.1:80"
