"""One Ray of our own on this machine: its environment, its ports, its command line.

Everything listens on loopback, Ray's token authentication is on, and every process carries our marker.
"""

import os
import secrets
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from cluster.config import PROXY_SECRET
from cluster.engines.source import project_root
from cluster.errors import StartFailed
from cluster.runtime import haproxy
from cluster.runtime.ports import BLOCK, free_block
from cluster.runtime.processes import MARKER

# A unix socket's path holds 107 bytes. Ray adds up to 72 to its temp dir (`dash_MetricsHead` under a session's
# name with a process id of 7 digits), HAProxy up to 84 to its own; past it a part of Ray never comes up.
RAY_TEMP_LIMIT = 107 - 72
SHORT_TEMP = "/tmp"  # noqa: S108 - mkdtemp makes a folder of its own in it, for its owner only
REPLICA_PORTS = 16  # where the replicas' share of a cluster's block begins
GRPC_MESSAGE_BYTES = 64 * 1024**2  # Serve's 4 MiB would refuse a request with a few base64 images
START_TIMEOUT_S = 180  # `ray start` takes 4 to 7 s on 2 cores, and took over 60 on two busy ones


@dataclass(frozen=True, slots=True, kw_only=True)
class RayNode:
    """A node about to start. base: first port of its block. scratch: its short folder for sockets.

    proxy_secret: what its HAProxy proves itself with to Serve's HTTP servers.
    """

    cluster_id: str
    base: int
    home: Path
    scratch: Path
    temp: Path
    token_path: Path
    haproxy: Path | None
    proxy_secret: str | None = None
    redis: str | None = None

    @property
    def address(self) -> str:
        """Of Ray's GCS."""
        return f"127.0.0.1:{self.base}"

    @property
    def dashboard(self) -> str:
        """URL of Ray's dashboard and REST API."""
        return f"http://127.0.0.1:{self.base + 1}"

    @property
    def logs(self) -> Path:
        """Where Ray and Serve write their logs."""
        return self.temp / "session_latest" / "logs"

    def connection(self) -> dict[str, str]:
        """What any program must have in its environment, before it imports Ray, to talk to this cluster."""
        return {
            "RAY_AUTH_MODE": "token",
            "RAY_AUTH_TOKEN_PATH": str(self.token_path),
            # Off this switch Ray replaces 127.0.0.1 by the machine's address and then listens on it.
            "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
            "RAY_USAGE_STATS_ENABLED": "0",
            **self._serve(),
        }

    def environment(self, inherited: Mapping[str, str]) -> dict[str, str]:
        """The environment of the node's processes; what the user set for Serve beyond our ports stays."""
        kept = {name: value for name, value in inherited.items() if name not in _FOREIGN}
        return {
            **kept,
            **self.connection(),
            MARKER: self.cluster_id,
            "HELIOSTAT_HOME": str(self.home),
            "PYTHONPATH": python_path(kept),
            "HELIOSTAT_PYTHON": sys.executable,  # for jobs from elsewhere, which cannot know it
            "RAY_START_HOOK": f"{__name__}.without_client_server",
            # Ray's own 15 lets its dashboard and logs go before every answer: 6 % of the answers on two cores.
            "RAY_worker_niceness": kept.get("RAY_worker_niceness", "0"),
            "__RAY_WORKER_PROCESS_SETUP_HOOK_ENV_VAR": "cluster.runtime.worker_setup.prepare",
            "RAY_SERVE_HTTP_PROXY_CALLBACK_IMPORT_PATH": "cluster.runtime.ingress.middlewares",
            # Uvicorn would believe X-Forwarded-For of all that comes from loopback, and so of all behind HAProxy.
            "FORWARDED_ALLOW_IPS": "",
            PROXY_SECRET: self.proxy_secret or "",
            "AUTOSCALER_METRIC_PORT": str(self.base + 2),
            "DASHBOARD_METRIC_PORT": str(self.base + 3),
            **_external_store(self.redis, self.cluster_id),
        }

    def command(self) -> list[str]:
        """The command that starts the node's daemons and returns."""
        return [
            *(sys.executable, "-m", "ray.scripts.scripts", "start", "--head"),
            "--disable-usage-stats",
            "--node-ip-address=127.0.0.1",
            "--node-name=heliostat",
            f"--port={self.base}",
            "--dashboard-host=127.0.0.1",
            f"--dashboard-port={self.base + 1}",
            f"--dashboard-agent-listen-port={self.base + 4}",
            f"--dashboard-agent-grpc-port={self.base + 5}",
            f"--metrics-export-port={self.base + 6}",
            f"--runtime-env-agent-port={self.base + 7}",
            f"--object-manager-port={self.base + 8}",
            f"--node-manager-port={self.base + 9}",
            "--min-worker-port=0",  # 0: any free port, on loopback
            "--max-worker-port=0",
            f"--temp-dir={self.temp}",
        ]

    def _serve(self) -> dict[str, str]:
        last = str(self.base + BLOCK - 1)
        first = str(self.base + REPLICA_PORTS)
        settings = {
            "RAY_SERVE_REPLICA_GRPC_MAX_MESSAGE_LENGTH": str(GRPC_MESSAGE_BYTES),
            "RAY_SERVE_FALLBACK_PROXY_HTTP_PORT": str(self.base + 10),
            "RAY_SERVE_FALLBACK_PROXY_GRPC_PORT": str(self.base + 11),
            "RAY_SERVE_DIRECT_INGRESS_MIN_HTTP_PORT": first,
            "RAY_SERVE_DIRECT_INGRESS_MAX_HTTP_PORT": last,
            # No application of ours speaks gRPC to the outside; the range must still be no other cluster's.
            "RAY_SERVE_DIRECT_INGRESS_MIN_GRPC_PORT": first,
            "RAY_SERVE_DIRECT_INGRESS_MAX_GRPC_PORT": last,
        }
        if self.haproxy is None:
            return settings
        folder = self.scratch / "haproxy"
        return settings | {
            "RAY_SERVE_ENABLE_HA_PROXY": "1",
            "RAY_SERVE_THROUGHPUT_OPTIMIZED": "1",
            "RAY_SERVE_HAPROXY_BINARY_PATH": str(self.haproxy),
            "RAY_SERVE_HAPROXY_STATS_PORT": str(self.base + haproxy.STATS),
            "RAY_SERVE_HAPROXY_METRICS_PORT": str(self.base + haproxy.METRICS),
            "RAY_SERVE_HAPROXY_NBTHREAD": str(min(4, os.cpu_count() or 1)),  # Ray's 4, but never above the cores
            "RAY_SERVE_HAPROXY_CONFIG_FILE_LOC": str(folder / "haproxy.cfg"),
            "RAY_SERVE_HAPROXY_SOCKET_PATH": str(folder / "admin.sock"),
            "RAY_SERVE_HAPROXY_SERVER_STATE_BASE": str(folder),
            "RAY_SERVE_HAPROXY_SERVER_STATE_FILE": str(folder / "server-state"),
            "RAY_SERVE_HAPROXY_METRICS_SOCKET_PATH": str(folder / "metrics.sock"),
        }


# Another cluster's address, token or job must not leak into ours.
_FOREIGN = frozenset(
    {"RAY_ADDRESS", "RAY_API_SERVER_ADDRESS", "RAY_AUTH_TOKEN", "RAY_JOB_CONFIG_JSON_ENV_VAR", "RAY_NAMESPACE"}
)


def prepare(*, cluster_id: str, home: Path, plain_proxy: bool, redis: str | None = None) -> RayNode:
    """Pick ports and write what the node reads: token, folders, HAProxy's wrapper. redis: a redis:// URL."""
    run = home / "run"
    run.mkdir(parents=True, exist_ok=True)
    run.chmod(0o700)
    short = tempfile.gettempdir() if len(tempfile.gettempdir()) <= len(SHORT_TEMP) else SHORT_TEMP
    own = run / "ray"
    base = free_block()
    binary = None if plain_proxy else haproxy.binary()
    secret = secrets.token_hex(32)
    token = _write_token(run / "token")
    scratch = Path(tempfile.mkdtemp(prefix="hs-", dir=short))
    try:
        wrapper = haproxy.wrap(scratch, binary, base, secret) if binary else None
    except OSError:
        shutil.rmtree(scratch, ignore_errors=True)
        raise
    return RayNode(
        cluster_id=cluster_id,
        base=base,
        home=home,
        scratch=scratch,
        temp=own if len(os.fsencode(own)) <= RAY_TEMP_LIMIT else scratch / "ray",
        token_path=token,
        haproxy=wrapper,
        proxy_secret=secret if wrapper else None,
        redis=redis,
    )


def start(node: RayNode, inherited: Mapping[str, str]) -> subprocess.Popen[str]:
    """Run the start command. Its daemons form a session of their own, out of the terminal's Ctrl-C."""
    return subprocess.Popen(
        node.command(),
        env=node.environment(inherited),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def finished(process: subprocess.Popen[str], logs: Path) -> None:
    """Wait for the start command. Raises StartFailed with its last words."""
    try:
        output, _ = process.communicate(timeout=START_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        process.kill()
        raise StartFailed(f"Ray did not start within {START_TIMEOUT_S} s", hint=f"logs: {logs}") from None
    if process.returncode != 0:
        lines = [line.strip() for line in output.splitlines() if line.strip()]
        raise StartFailed(f"Ray did not start: {lines[-1] if lines else 'no output'}", hint=f"logs: {logs}")


def _external_store(redis: str | None, cluster_id: str) -> dict[str, str]:
    """What makes Ray keep its state in Redis, in which it outlives the head's process; nothing without a URL."""
    if redis is None:
        return {}
    url = urlsplit(redis)
    address = f"{url.hostname}:{url.port or 6379}"
    found = {
        "RAY_REDIS_ADDRESS": f"rediss://{address}" if url.scheme == "rediss" else address,
        "RAY_external_storage_namespace": cluster_id,  # several clusters share a Redis
    }
    if url.username:
        found["RAY_REDIS_USERNAME"] = url.username
    if url.password:
        found["RAY_REDIS_PASSWORD"] = url.password
    return found


def without_client_server(parameters: Any, head: bool) -> None:  # noqa: ARG001 - Ray calls it with both
    """Ray's start hook: leave out the Ray Client server (90 MB and one more open port; nothing here uses it)."""
    parameters.ray_client_server_port = None


def _write_token(file: Path) -> Path:
    file.unlink(missing_ok=True)
    with os.fdopen(os.open(file, os.O_CREAT | os.O_WRONLY | os.O_EXCL, 0o600), "w") as target:
        target.write(secrets.token_hex(32))
    return file


def python_path(inherited: Mapping[str, str]) -> str:
    """PYTHONPATH with which workers find our packages, also from a bare checkout; may be empty."""
    root = checkout()
    parts = [part for part in inherited.get("PYTHONPATH", "").split(os.pathsep) if part]
    if root is not None and str(root) not in parts:
        parts.insert(0, str(root))
    return os.pathsep.join(parts)


def checkout() -> Path | None:
    """The folder that holds our packages, unless they are installed and importable anyway."""
    root = project_root()
    installed = {Path(sysconfig.get_path(name)).resolve() for name in ("purelib", "platlib")}
    return None if root in installed else root
