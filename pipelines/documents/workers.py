"""The parsing processes from outside: started when needed, used again, replaced when they die or hang."""

import atexit
import os
import queue
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from cluster.config import environment
from cluster.errors import (
    BrokenDocument,
    EmptyDocument,
    EncryptedDocument,
    HeliostatError,
    PayloadTooLarge,
)
from pipelines.documents.frames import Frame, receive, send
from pipelines.documents.parse_worker import NO_MEMORY
from pipelines.documents.parsed import Limits, ParsedDocument, Section

COMMAND = (sys.executable, "-m", "pipelines.documents.parse_worker")
ROOT = Path(__file__).parents[2]  # what the child must find `pipelines` in
ERRORS = {kind.code: kind for kind in (BrokenDocument, EmptyDocument, EncryptedDocument, PayloadTooLarge)}
START_S = 60.0  # a busy machine starts Python slowly
GOES_S = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """A document to parse, and what it may cost. timeout_s: of the clock, and of the processor."""

    name: str
    media_type: str
    content: bytes
    limits: Limits
    timeout_s: float
    memory_bytes: int


class Workers:
    """At most `size` processes; who comes when all are busy waits. Safe for threads."""

    def __init__(self, size: int, command: Sequence[str] = COMMAND) -> None:
        self._command = command
        self._slots: queue.LifoQueue[_Worker | None] = queue.LifoQueue()  # the warmest first
        for _ in range(size):
            self._slots.put(None)

    def parse(self, work: Work) -> ParsedDocument:
        """The document. A worker that dies is replaced, and only one that was used before gets a second try.

        Raises what the parser raises; BrokenDocument where it crashed, took too long or too much memory.
        """
        worker = self._slots.get()
        try:
            if worker is not None:
                with suppress(_Gone):  # it had ended by itself, or what it read before has harmed it
                    return worker.parse(work)
                worker.end()
            worker = _Worker(self._command)
            try:
                return worker.parse(work)
            except _Gone as gone:
                raise BrokenDocument(f"{work.name}: {gone}", hint="save it anew, or split it") from None
        except BaseException as error:
            # Only an answer leaves a worker fit for the next document.
            if worker is not None and not (isinstance(error, HeliostatError) and worker.is_fit):
                worker.end()
                worker = None
            raise
        finally:
            self._slots.put(worker)

    def close(self) -> None:
        """End the processes that wait."""
        with suppress(queue.Empty):
            while True:
                if (worker := self._slots.get_nowait()) is not None:
                    worker.end()


class _Gone(Exception):
    """The process has ended before it answered; the text says how."""


class _Worker:
    def __init__(self, command: Sequence[str]) -> None:
        variables = environment()
        variables["PYTHONPATH"] = os.pathsep.join(filter(None, [str(ROOT), variables.get("PYTHONPATH")]))
        self._told = tempfile.TemporaryFile()  # noqa: SIM115 - open as long as the process; a pipe would fill up
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._told,
            env=variables,
            start_new_session=True,  # Ctrl-C is for whoever asks
            bufsize=0,
        )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._stdin, self._stdout = self._process.stdin, self._process.stdout
        os.set_blocking(self._stdin.fileno(), False)
        self._started = False
        self.is_fit = True  # to read another document

    def parse(self, work: Work) -> ParsedDocument:
        """Ask and wait. Raises _Gone, BrokenDocument after the time, and what the parser raises."""
        self.is_fit = False
        header = {
            "name": work.name,
            "media_type": work.media_type,
            "limits": asdict(work.limits),
            "memory_bytes": work.memory_bytes,
            "cpu_s": work.timeout_s,
        }
        self._await_start()
        deadline = time.monotonic() + work.timeout_s
        try:
            send(self._stdin.fileno(), Frame(header=header, body=work.content), deadline=deadline)
            answer = receive(self._stdout.fileno(), deadline=deadline)
        except TimeoutError:
            raise _too_long(work) from None
        except (EOFError, BrokenPipeError):
            if self._exit_code() == -signal.SIGXCPU:
                raise _too_long(work) from None
            raise _Gone(self._why()) from None
        if answer.header.get("code") == NO_MEMORY:
            raise _Gone(f"parsing took more memory than {work.memory_bytes // 1024**2} MiB")
        self.is_fit = True
        return _document(work.name, answer)

    def _await_start(self) -> None:
        if self._started:
            return
        try:
            receive(self._stdout.fileno(), deadline=time.monotonic() + START_S)
        except TimeoutError:
            raise _Gone(f"its parser did not start within {START_S:g} s") from None
        except EOFError:
            raise _Gone(self._why()) from None
        self._started = True

    def end(self) -> None:
        """Kill the process, if it has not ended."""
        self._stdin.close()
        self._stdout.close()
        self._process.kill()
        self._process.wait()
        self._told.close()

    def _exit_code(self) -> int | None:
        with suppress(subprocess.TimeoutExpired):
            return self._process.wait(GOES_S)
        return None

    def _why(self) -> str:
        code = self._exit_code()
        if code is not None and code < 0:
            return f"it crashed its parser ({signal.Signals(-code).name}), or took too much memory"
        self._told.seek(0)
        lines = self._told.read().decode(errors="replace").strip().splitlines() or ["no reason given"]
        return f"its parser failed: {lines[-1][:200]}"


def _document(name: str, answer: Frame) -> ParsedDocument:
    told: dict[str, Any] = answer.header
    if (code := told.get("code")) is not None:
        if code in ERRORS:
            raise ERRORS[code](told["message"], hint=told["hint"])
        raise BrokenDocument(f"{name}: its parser failed: {code}: {told['message']}", hint="save it anew")
    sections = tuple(
        Section(start=start, end=end, page=page, heading=heading) for start, end, page, heading in told["sections"]
    )
    return ParsedDocument(
        text=answer.body.decode(), media_type=told["media_type"], sections=sections, pages=told["pages"]
    )


def _too_long(work: Work) -> BrokenDocument:
    return BrokenDocument(
        f"{work.name}: parsing took longer than {work.timeout_s:g} s",
        hint="split it, or raise documents.parse_timeout_s",
    )


_shared: dict[tuple[int, int], Workers] = {}
_making = threading.Lock()


def shared_workers(size: int) -> Workers:
    """This process's own. A fork has its parent's pipes, and must not speak into them."""
    key = (os.getpid(), size)
    with _making:
        if key not in _shared:
            _shared[key] = Workers(size)
            atexit.register(_shared[key].close)
        return _shared[key]
