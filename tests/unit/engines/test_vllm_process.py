import multiprocessing
import subprocess
import sys
from pathlib import Path

import pytest

from cluster.engines.vllm_process import EngineContext, threads


@pytest.mark.skipif(
    not Path("/proc/self/fd").is_dir(),
    reason="this system has no /proc/self/fd, the list of a process' open descriptors that is read",
)
def test_a_forked_core_gives_up_the_sockets_of_its_parent() -> None:
    """A replica was killed while its core lived on: its callers waited for a connection that never closed."""
    program = """
import os, socket
from cluster.engines.vllm_process import give_up_sockets
ours, theirs = socket.socketpair()
ours.settimeout(5)
pid = os.fork()
if pid == 0:
    give_up_sockets()
    os.read(0, 1)  # lives until its input ends
    os._exit(0)
theirs.close()
print(ours.recv(1) == b"", flush=True)
"""
    child = subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert child.stdout is not None
    try:
        assert child.stdout.readline().strip() == b"True"
    finally:
        child.communicate()


def test_a_small_model_computes_on_one_thread(tmp_path: Path) -> None:
    (tmp_path / "model.safetensors").write_bytes(bytes(10))
    assert threads(str(tmp_path)) == 1


def test_a_model_of_unknown_size_computes_on_all_cores() -> None:
    assert threads("owner/name") >= 1


def _runs_out(*, gib: int) -> None:
    raise MemoryError(f"no {gib} GiB")


@pytest.mark.parametrize(("gib", "words"), [(8, "MemoryError: no 8 GiB"), (None, "TypeError: ")])
def test_a_core_that_cannot_start_tells_its_parent_why(gib: int | None, words: str) -> None:
    """vLLM's own error was `Engine core initialization failed. See root cause above.`, above being a log."""
    context = EngineContext(multiprocessing.get_context("fork"), threads=None)
    assert context.last_words() == ""
    process = context.Process(target=_runs_out, name="core", kwargs={} if gib is None else {"gib": gib})
    process.start()
    process.join()
    assert context.last_words().startswith(words)
