"""The process that llama.cpp runs in.

llama.cpp is C++ that ends its process where it finds something it did not expect: in a file, or in a request. So it
has a process of its own, as vLLM's core has, and a replica whose process ends says so and is replaced. The replica
talks to it as to llama.cpp's own server, over a socket in a folder that nobody else may enter.

What runs in it is llama_cpp_server.
"""

import asyncio
import json
import shutil
import signal
import sys
import tempfile
import threading
from collections import deque
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from subprocess import PIPE, Popen, TimeoutExpired
from typing import Any

import httpx

from cluster.engines import llama_cpp_server
from cluster.engines.llama_cpp_server import Load
from cluster.errors import EngineDead, EngineFailure, StartFailed

LOG_LINES = 40  # of llama.cpp's log, the last of which tell why it ended
LOG_BYTES = 16 * 1024  # of a line at once
LOST_CHECKS, LOST_CHECK_S = 10, 0.02  # after a connection broke, for the end of the process to be known
STOP_TIMEOUT_S = 5.0  # how long the process may take to end by itself
ANSWER_TIMEOUT_S = 60.0  # for what only thinks for milliseconds, however busy the machine is


class LlamaProcess:
    """A running llama.cpp. Made by `started`. Any event loop in any thread may ask it, as Serve has them."""

    def __init__(self, model: str, process: "Popen[bytes]", folder: Path, socket: Path) -> None:
        self._model = model
        self._process = process
        self._folder = folder
        self._log: deque[str] = deque(maxlen=LOG_LINES)
        self._reading = threading.Thread(target=self._read_log, name="llama-log", daemon=True)
        self._reading.start()
        # A connection for each call: its end is what tells llama.cpp that nobody listens any more.
        self.client = httpx.AsyncClient(
            transport=httpx.AsyncHTTPTransport(uds=str(socket), limits=httpx.Limits(max_keepalive_connections=0)),
            base_url="http://llama.cpp",
            timeout=httpx.Timeout(ANSWER_TIMEOUT_S),
        )

    @property
    def pid(self) -> int:
        """Its number."""
        return self._process.pid

    def check(self) -> None:
        """Raise EngineDead where the process has ended."""
        if self._process.poll() is not None:
            raise EngineDead(f"llama.cpp under {self._model} {self._end()}", retry_after_s=1.0)

    async def ask(self, path: str, body: dict[str, Any]) -> httpx.Response:
        """What it answers, whatever the status. Raises EngineDead and EngineFailure."""
        try:
            return await self.client.post(path, content=json.dumps(body))
        except httpx.TransportError as error:
            raise await self.lost(error) from error

    async def get(self, path: str) -> Any:
        """What it says of itself."""
        try:
            return (await self.client.get(path)).raise_for_status().json()
        except httpx.HTTPError as error:
            raise await self.lost(error) from error

    async def lost(self, error: Exception) -> EngineDead | EngineFailure:
        """What a broken connection means: the end of the process is known a moment later."""
        for _ in range(LOST_CHECKS):
            if self._process.poll() is not None:
                break
            await asyncio.sleep(LOST_CHECK_S)
        if self._process.poll() is not None:
            return EngineDead(f"llama.cpp under {self._model} {self._end()}", retry_after_s=1.0)
        return EngineFailure(f"llama.cpp under {self._model} broke off: {type(error).__name__}")

    async def stop(self) -> None:
        """End it and remove its folder."""
        await self.client.aclose()
        await asyncio.to_thread(self._end_process)

    async def ready(self) -> None:
        """Wait until the model is loaded. Raises StartFailed with what the log says."""
        assert self._process.stdout is not None
        line = await asyncio.to_thread(self._process.stdout.readline)
        if line:
            said = json.loads(line)
            if said.get("ready"):
                return
        await asyncio.to_thread(self._process.wait)
        await asyncio.to_thread(self._reading.join)
        reason = said["problem"] if line and said.get("problem") else f"it {self._end()}"
        raise StartFailed(f"llama.cpp cannot load {self._model}: {reason}{self._last_words()}")

    def _end_process(self) -> None:
        assert self._process.stdin is not None
        with suppress(OSError):  # what was not yet written, of a process that has ended
            self._process.stdin.close()
        try:
            self._process.wait(STOP_TIMEOUT_S)
        except TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._reading.join()
        for stream in (self._process.stdout, self._process.stderr):
            if stream is not None:
                stream.close()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _read_log(self) -> None:
        """Always, since a full pipe would stop llama.cpp."""
        assert self._process.stderr is not None
        for line in iter(lambda: self._process.stderr.readline(LOG_BYTES), b""):  # type: ignore[union-attr]
            self._log.append(line.decode(errors="replace").strip())

    def _end(self) -> str:
        code = self._process.returncode or 0
        return f"was ended by {signal.Signals(-code).name}" if code < 0 else f"ended with {code}"

    def _last_words(self) -> str:
        lines = [line for line in self._log if line and not line.startswith("#")]
        errors = [line for line in lines if "error" in line.lower() or "fail" in line.lower() or "ASSERT" in line]
        return f" ({' · '.join((errors or lines)[:3])[:500]})" if lines else ""


async def started(model: str, load: Load) -> LlamaProcess:
    """A process that has loaded the file. Raises StartFailed with the reason."""
    folder = Path(tempfile.mkdtemp(prefix="llama-"))  # mode 700; short, as a socket's path must be
    socket = folder / "llama.sock"
    command = [sys.executable, "-m", llama_cpp_server.__name__]
    process = await asyncio.to_thread(Popen, command, stdin=PIPE, stdout=PIPE, stderr=PIPE)
    running = LlamaProcess(model, process, folder, socket)
    try:
        assert process.stdin is not None
        with suppress(OSError):  # it ended before it read this: `ready` says why
            process.stdin.write(json.dumps({"socket": str(socket), "load": asdict(load)}).encode() + b"\n")
            process.stdin.flush()
        await running.ready()
    except BaseException:  # also where the start is cancelled
        await running.stop()
        raise
    return running
