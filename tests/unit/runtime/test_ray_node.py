import sys
from pathlib import Path

import pytest

from cluster.config import PROXY_SECRET
from cluster.runtime import ray_node
from cluster.runtime.loopback import here
from cluster.runtime.ports import BLOCK
from cluster.runtime.processes import MARKER


@pytest.fixture
def node(tmp_path: Path) -> ray_node.RayNode:
    scratch = tmp_path / "hs"
    scratch.mkdir()
    return ray_node.RayNode(
        cluster_id="an-id",
        base=20_000,
        home=tmp_path,
        scratch=scratch,
        temp=tmp_path / "ray",
        token_path=tmp_path / "token",
        haproxy=scratch / "haproxy.sh",
    )


def test_every_port_lies_in_the_clusters_block(node: ray_node.RayNode) -> None:
    words = [word for word in node.command() if "port=" in word and not word.endswith("=0")]
    named = {name: text for name, text in node.environment({}).items() if name.endswith("_PORT")}
    ports = [int(word.rpartition("=")[2]) for word in words] + [int(text) for text in named.values()]
    assert all(20_000 <= port < 20_000 + BLOCK for port in ports)
    fixed = [port for port in ports if port < 20_000 + ray_node.REPLICA_PORTS]
    assert len(fixed) == len(set(fixed)), "no two servers share a port"


def test_the_environment_carries_marker_token_and_home(node: ray_node.RayNode, tmp_path: Path) -> None:
    found = node.environment({"PATH": "/bin"})
    assert found[MARKER] == "an-id"
    assert found["RAY_AUTH_MODE"] == "token"
    assert found["HELIOSTAT_HOME"] == str(tmp_path)
    assert found["HELIOSTAT_PYTHON"] == sys.executable
    assert found["PATH"] == "/bin"
    assert found["PYTHONPATH"] == str(Path(ray_node.__file__).parents[2])


def test_another_clusters_address_and_token_do_not_leak_in(node: ray_node.RayNode) -> None:
    found = node.environment({"RAY_ADDRESS": "10.0.0.1:6379", "RAY_AUTH_TOKEN": "secret"})
    assert "RAY_ADDRESS" not in found
    assert "RAY_AUTH_TOKEN" not in found


def test_the_plain_proxy_sets_nothing_of_haproxys(node: ray_node.RayNode) -> None:
    from dataclasses import replace

    assert not [name for name in replace(node, haproxy=None).connection() if "HA" in name.split("_")[-2:]]
    assert "RAY_SERVE_ENABLE_HA_PROXY" not in replace(node, haproxy=None).connection()


def test_only_haproxy_says_who_a_client_is(node: ray_node.RayNode) -> None:
    from dataclasses import replace

    found = replace(node, proxy_secret="s").environment({"FORWARDED_ALLOW_IPS": "*", PROXY_SECRET: "another's"})
    assert (found["FORWARDED_ALLOW_IPS"], found[PROXY_SECRET]) == ("", "s")
    assert node.environment({PROXY_SECRET: "another's"})[PROXY_SECRET] == ""


def test_the_token_is_for_the_owner_only_and_new_each_time(tmp_path: Path) -> None:
    file = ray_node._write_token(tmp_path / "token")
    first = file.read_text()
    assert file.stat().st_mode & 0o777 == 0o600
    assert len(first) == 64
    assert ray_node._write_token(file).read_text() != first


def test_a_long_home_puts_rays_sockets_into_a_short_folder(tmp_path: Path) -> None:
    import shutil

    home = tmp_path / ("x" * 60)
    node = ray_node.prepare(cluster_id="i", home=home, plain_proxy=True)
    try:
        assert len(str(node.temp)) <= ray_node.RAY_TEMP_LIMIT
        assert node.temp.parent == node.scratch
    finally:
        shutil.rmtree(node.scratch)


def test_serves_wildcard_server_moves_to_loopback() -> None:
    assert here("[::]:0") == "127.0.0.1:0"
    assert here("192.0.2.1:9") == "192.0.2.1:9"
