"""The process that vLLM's engine core runs in.

`AsyncLLM` always runs its core in a process of its own, which is right: the core's busy loop and the web of
asyncio tasks would otherwise share one interpreter lock. But its CPU platform starts that process, and one more
for the worker, afresh, and each imports vLLM again: over a minute on a small machine. So on a CPU the core is
forked from the process that has imported vLLM already, with its worker inside.

A fork is safe here for three reasons. It is made from a new thread, which has never run a parallel region, so
OpenMP holds no thread pool that the child would miss. The child gives up every socket it inherits, so a dead
replica's connections close although the child lives. And it never touches Ray: it leaves by `os._exit`.

Forked or not, the core ends itself when its parent is gone: a replica that is killed leaves nothing behind.
"""

import logging
import multiprocessing
import os
import signal
import stat
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from cluster.engines.openmp import wait_asleep

MOST_WORDS = 4096  # characters of an error that a core tells: a pipe holds as many, so that it never waits
PARENT_CHECK_S = 0.5  # how long a core may outlive its parent
# Models smaller than this compute on one thread: on two, each of their many tiny operations waits for the other.
# Measured on 2 cores with one of them busy elsewhere, 3 M parameters, one stream: 570 tokens/s against 317.
ONE_THREAD_BYTES = 64 * 1024**2
LOG_LEVEL = "ERROR"  # vLLM's own log is chatty; VLLM_LOGGING_LEVEL in the environment wins


def quiet_environment(*, offline: bool) -> None:
    """Set what vLLM reads from the environment as it is imported; what the operator has set, stays.

    This is the engine's own process, and vLLM has no other way to be told.
    """
    os.environ.setdefault("VLLM_LOGGING_LEVEL", LOG_LEVEL)
    os.environ.setdefault("VLLM_NO_USAGE_STATS", "1")  # sends nothing about this machine to anybody
    # A forced tool call is held to its schema by vLLM's older way: the newer one's grammars are for xgrammar alone,
    # and ours is another compiler (see vllm_args).
    os.environ["VLLM_ENFORCE_STRICT_TOOL_CALLING"] = "0"
    wait_asleep()
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")  # its threads and a fork don't go together
    if offline:
        os.environ["HF_HUB_OFFLINE"] = "1"


def quiet_log() -> None:
    """Silence the traceback that vLLM logs for a stream's bad parameter: the client gets it as an answer."""
    logging.getLogger("vllm.entrypoints.openai.chat_completion.serving").setLevel(logging.CRITICAL)


def threads(source: str) -> int:
    """How many threads a forked core computes on: Ray would leave it one, whatever the model's size."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    weights = sum(file.stat().st_size for file in Path(source).glob("*.safetensors"))
    return 1 if 0 < weights < ONE_THREAD_BYTES else cores  # a Hub id has no size yet: taken for a large one


@contextmanager
def engine_process(*, fork: bool, threads: int = 1) -> Iterator["EngineContext"]:
    """While open, vLLM starts its engine core through this. threads: of a forked core."""
    import vllm.v1.engine.utils as starting

    original = starting.get_mp_context
    if fork:
        # Keeps the worker inside the core; vLLM's CPU platform would give it a process of its own.
        os.environ["VLLM_ENABLE_V1_MULTIPROCESSING"] = "0"
    made = multiprocessing.get_context("fork") if fork else original()
    context = EngineContext(made, threads=threads if fork else None)
    starting.get_mp_context = lambda: context
    try:
        yield context
    finally:
        starting.get_mp_context = original


class EngineContext:
    """A multiprocessing context whose processes watch their parent, and say why they end.

    threads: of a fork, None where it spawns.
    """

    def __init__(self, context: Any, *, threads: int | None) -> None:
        self._context = context
        self._threads = threads
        self._words: list[Any] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._context, name)

    def Process(self, *, target: Callable[..., Any], name: str, kwargs: Mapping[str, Any]) -> Any:  # noqa: N802  # multiprocessing's name
        """A process that runs the target."""
        reader, writer = self._context.Pipe(duplex=False)
        self._words.append(reader)
        arguments = (target, dict(kwargs), os.getpid(), self._threads, writer)
        return self._context.Process(target=run_core, name=name, args=arguments)

    def last_words(self) -> str:
        """The error that ended the first process which ended with one; vLLM itself only logs it. Empty: none."""
        for reader in self._words:
            with suppress(EOFError, OSError):
                if reader.poll():
                    return str(reader.recv())
        return ""


def run_core(
    target: Callable[..., Any], kwargs: dict[str, Any], parent: int, threads: int | None, words: Any
) -> None:
    """The first thing that runs in the core's process. words: the connection that its end is told to."""
    if threads is not None:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)  # not the parent's, which would shut Ray down
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        give_up_sockets()
        import torch  # here already, being a fork of its parent

        torch.set_num_threads(threads)
    threading.Thread(target=_leave_with, args=(parent,), name="parent-watch", daemon=True).start()
    try:
        target(**kwargs)
    except Exception as error:
        with suppress(OSError):  # nobody may read it any more
            words.send(f"{type(error).__name__}: {error}"[:MOST_WORDS])
        raise


def give_up_sockets() -> None:
    """Put /dev/null in place of every inherited socket.

    They are replaced and not closed, so that an inherited object that closes its number later closes nothing new.
    """
    null = os.open(os.devnull, os.O_RDWR)
    for entry in list(Path("/proc/self/fd").iterdir()) if Path("/proc/self/fd").is_dir() else []:
        with suppress(OSError):  # the listing's own descriptor is gone by now
            number = int(entry.name)
            if number > 2 and stat.S_ISSOCK(os.fstat(number).st_mode):
                os.dup2(null, number)
    os.close(null)


def _leave_with(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(PARENT_CHECK_S)
    os._exit(1)
