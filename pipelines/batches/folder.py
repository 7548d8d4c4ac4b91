"""A batch's folder, `HOME/batches/<id>/`: a link to its input, and the answers stored so far.

Each part is a file that appears whole or not at all. Its lines are `<line> <1 or 0> <output line>`: the number
of the input's line, whether it went well, and what the output or the error file will say. One job at a time
holds the folder, by a lock that the kernel drops when the job dies.
"""

import contextlib
import os
import shutil
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cluster.errors import Conflict
from cluster.stores.draft import SUFFIX, Draft
from cluster.stores.file_lock import lock_within


@dataclass(slots=True)
class Standing:
    """The lines with a stored answer, and how many of them went well or not."""

    lines: set[int] = field(default_factory=set)
    completed: int = 0
    failed: int = 0

    def take(self, line: int, *, ok: bool) -> bool:
        """Count a line; False for one that is counted already."""
        if line in self.lines:
            return False
        self.lines.add(line)
        self.completed += ok
        self.failed += not ok
        return True


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """A stored answer. output: its line of the output or the error file, without the line's end."""

    line: int
    ok: bool
    output: bytes

    def row(self) -> Mapping[str, Any]:
        """As `BatchFolder.write` takes it."""
        return {"line": self.line, "ok": self.ok, "output": self.output}


class BatchFolder:
    """One batch's folder. Opening it touches nothing."""

    def __init__(self, home: Path, batch_id: str) -> None:
        self.id = batch_id
        self.folder = home / "batches" / batch_id
        self.input = self.folder / "input.jsonl"
        self._parts = self.folder / "parts"

    def create(self, source: Path) -> None:
        """Link the input: the batch keeps it, though the file may be deleted. No byte is copied."""
        self.folder.mkdir(parents=True)
        os.link(source, self.input)

    @contextlib.contextmanager
    def held(self, *, wait_s: float) -> Iterator[None]:
        """Hold the batch as its only job. Raises Conflict where another one holds it for all of `wait_s`."""
        self._parts.mkdir(parents=True, exist_ok=True)
        with (self.folder / "lock").open("a+") as lock:
            if not lock_within(lock.fileno(), wait_s):
                raise Conflict(f"Another job runs the batch {self.id}", hint="wait for it")
            for draft in self._parts.glob(f"*{SUFFIX}"):  # of a job that died
                draft.unlink(missing_ok=True)
            yield

    def write(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Store answers as one part."""
        name = f"{time.time_ns():020d}-{uuid.uuid4().hex[:8]}.part"
        with Draft(self._parts / name) as draft:
            for row in rows:
                draft.write(b"%d %d %s\n" % (row["line"], row["ok"], row["output"]))
            draft.publish()

    def answers(self) -> Iterator[Answered]:
        """The stored answers, one of each line, the oldest first."""
        seen = Standing()
        for part in sorted(self._parts.glob("*.part")):
            with part.open("rb") as rows:
                for row in rows:
                    line, ok, output = row.split(b" ", 2)
                    answer = Answered(line=int(line), ok=ok == b"1", output=output.rstrip(b"\n"))
                    if seen.take(answer.line, ok=answer.ok):
                        yield answer

    def standing(self) -> Standing:
        """Which lines are stored."""
        found = Standing()
        for answer in self.answers():
            found.take(answer.line, ok=answer.ok)
        return found

    def remove(self) -> None:
        """Forget all of it."""
        shutil.rmtree(self.folder, ignore_errors=True)
