"""Messages over a pipe: a JSON header and a body of bytes, each sent and awaited no longer than told."""

import json
import os
import select
import struct
import time
from dataclasses import dataclass
from typing import Any

LENGTHS = struct.Struct(">QQ")  # of the header and of the body
PIECE_BYTES = 1024 * 1024
MS = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """One message. header: plain JSON."""

    header: dict[str, Any]
    body: bytes = b""


def send(fd: int, frame: Frame, *, deadline: float | None = None) -> None:
    """Write a message. deadline: of time.monotonic(). Raises TimeoutError, BrokenPipeError."""
    header = json.dumps(frame.header).encode()
    for part in (LENGTHS.pack(len(header), len(frame.body)) + header, frame.body):
        view = memoryview(part)
        while view:
            _await(fd, select.POLLOUT, deadline)
            try:
                view = view[os.write(fd, view[:PIECE_BYTES]) :]
            except BlockingIOError:  # the pipe has less room than it said
                continue


def receive(fd: int, *, deadline: float | None = None) -> Frame:
    """Read a message. Raises TimeoutError, and EOFError where the other side has ended."""
    header, body = LENGTHS.unpack(_exactly(fd, LENGTHS.size, deadline))
    return Frame(header=json.loads(_exactly(fd, header, deadline)), body=bytes(_exactly(fd, body, deadline)))


def awaits(fd: int, timeout_s: float) -> bool:
    """Whether something can be read within the time (the other side's end included)."""
    poll = select.poll()
    poll.register(fd, select.POLLIN)
    return bool(poll.poll(timeout_s * MS))


def _exactly(fd: int, count: int, deadline: float | None) -> bytearray:
    found = bytearray()
    while len(found) < count:
        _await(fd, select.POLLIN, deadline)
        piece = os.read(fd, min(PIECE_BYTES, count - len(found)))
        if not piece:
            raise EOFError
        found += piece
    return found


def _await(fd: int, event: int, deadline: float | None) -> None:
    poll = select.poll()
    poll.register(fd, event)
    left = None if deadline is None else max(0.0, deadline - time.monotonic()) * MS
    if not poll.poll(left):
        raise TimeoutError
