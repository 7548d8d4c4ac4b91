"""The servers that `benchmarks/gateway.py` compares: how each is started in its best mode, and stopped.

Engine settings are the same for all: one replica of spark-chat, 64 sequences, a cache of one GiB, the numbers
that are fastest on this processor, sleeping threads.
"""

import os
import secrets
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
MODEL = "spark-chat"
READY_S = 300
LITELLM = "litellm[proxy]==1.106.2"


@dataclass(slots=True, kw_only=True)
class Server:
    """A started server. key: what its clients authenticate with, where it asks for that."""

    name: str
    url: str
    process: subprocess.Popen[bytes]
    log: Path
    key: str = ""
    model: str = MODEL

    @property
    def headers(self) -> dict[str, str]:
        """What its clients send."""
        return {"authorization": f"Bearer {self.key}"} if self.key else {}

    def wait(self) -> None:
        """Return when it lists its models. Raises RuntimeError with the end of its log when it does not."""
        deadline = time.monotonic() + READY_S
        request = urllib.request.Request(f"{self.url}/v1/models", headers=self.headers)  # noqa: S310 - loopback
        while time.monotonic() < deadline and self.process.poll() is None:
            try:
                with urllib.request.urlopen(request, timeout=2) as answer:  # noqa: S310 - our own loopback address
                    if self.model in answer.read().decode():
                        return
            except (urllib.error.URLError, OSError):
                time.sleep(0.5)
        last = "\n".join(self.log.read_text(errors="replace").splitlines()[-20:])
        raise RuntimeError(f"{self.name} does not answer:\n{last}")

    def stop(self) -> None:
        """Ask it to end, then make it."""
        self.process.send_signal(signal.SIGINT)
        try:
            self.process.wait(60)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def dtype() -> str:
    """The engine's numbers, the same for all: those that are fastest on this processor."""
    sys.path.insert(0, str(ROOT))
    from cluster.engines.precision import on_cpu

    chosen = on_cpu("auto")
    return "bfloat16" if chosen == "auto" else chosen


def vllm(port: int, folder: Path) -> Server:
    """`vllm serve` in its best mode: own engine process, no request log.

    Started by its module: the `vllm` script of the CPU build looks for a distribution of another name.
    """
    command = [
        sys.executable, "-m", "vllm.entrypoints.openai.api_server", "--model", str(ROOT / "models" / MODEL),
        "--served-model-name", MODEL, "--host", "127.0.0.1", "--port", str(port), "--dtype", dtype(),
        "--enforce-eager", "--max-num-seqs", "64", "--disable-uvicorn-access-log",
    ]  # fmt: skip
    return _started("vllm serve", port, folder, command)


def ray_serve_llm(port: int, folder: Path) -> Server:
    """`ray.serve.llm.build_openai_app`, on a Ray of its own."""
    script = ROOT / "benchmarks" / "ray_serve_llm.py"
    model = str(ROOT / "models" / MODEL)
    # Ray's sockets lie below it, and a socket's path has 107 bytes.
    temporary = Path("/tmp") / f"rsl-{port}"  # noqa: S108 - short on purpose, and named by a port that is ours
    command = [sys.executable, str(script), model, MODEL, str(port), dtype(), str(temporary)]
    return _started("ray serve llm", port, folder, command)


def litellm(port: int, folder: Path, behind: Server) -> Server:
    """LiteLLM's proxy in front of a vLLM, with a key, in a virtual environment of its own that is made once."""
    venv = ROOT / ".heliostat" / "peers" / "litellm"
    if not (venv / "bin" / "litellm").exists():
        subprocess.run([sys.executable, "-m", "venv", str(venv)], check=True)
        subprocess.run([str(venv / "bin" / "pip"), "install", "--quiet", LITELLM], check=True)
    key = f"sk-{secrets.token_hex(32)}"  # without one it does not start
    config = folder / "litellm.yaml"
    config.write_text(
        f"model_list:\n  - model_name: {MODEL}\n    litellm_params:\n"
        f"      model: hosted_vllm/{MODEL}\n      api_base: {behind.url}/v1\n      api_key: none\n"
        "litellm_settings:\n  num_retries: 0\n  telemetry: false\n"
        f"general_settings:\n  master_key: {key}\n"
    )
    command = [str(venv / "bin" / "litellm"), "--config", str(config), "--host", "127.0.0.1", "--port", str(port)]
    server = _started("litellm", port, folder, command)
    server.key = key
    return server


def heliostat(port: int, folder: Path, config: str = "benchmarks/gateway.yaml", model: str = MODEL) -> Server:
    """`heliostat up`, its home in `folder`: with a key, limits and timing headers on."""
    home = folder / "home"
    home.mkdir()
    env = environment() | {"HELIOSTAT_HOME": str(home)}
    make_key = ["keys", "create", "--name", "bench", "--rpm", "10000000", "--config", config]
    made = subprocess.run(
        [sys.executable, "-m", "deployments", *make_key],
        cwd=ROOT, env=env, capture_output=True, text=True, check=True,
    )  # fmt: skip
    command = [sys.executable, "-m", "deployments", "up", config, "--port", str(port)]
    server = _started("heliostat", port, folder, command, {"HELIOSTAT_HOME": str(home)})
    server.model = model
    server.key = made.stdout.strip().splitlines()[-1]
    return server


def environment() -> dict[str, str]:
    """What every server and peer starts with."""
    settings = {
        "VLLM_CPU_KVCACHE_SPACE": "1",
        "OMP_WAIT_POLICY": "PASSIVE",
        "HF_HUB_OFFLINE": "1",
        "VLLM_NO_USAGE_STATS": "1",
    }
    return {**os.environ, **settings}


def _started(name: str, port: int, folder: Path, command: list[str], more: dict[str, str] | None = None) -> Server:
    log = folder / f"{name.replace(' ', '-')}-{port}.log"
    with log.open("wb") as out:
        process = subprocess.Popen(command, cwd=ROOT, env=environment() | (more or {}), stdout=out, stderr=out)
    return Server(name=name, url=f"http://127.0.0.1:{port}", process=process, log=log)
