"""What a start is waiting for, and for how long: a live line on a terminal, plain lines elsewhere."""

import sys
import time
from contextlib import suppress
from types import TracebackType
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from rich.status import Status

REPEAT_S = 15.0  # a log that stays silent longer looks hung


class Progress:
    """Use as a context manager; call `waiting` as often as you look, and `done` at the end of a phase."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = stream or sys.stderr
        self._live: Status | None = None
        self._text = ""
        self._since = self._printed = time.monotonic()
        self.phases: dict[str, float] = {}

    def __enter__(self) -> "Progress":
        if self._stream.isatty():
            from rich.console import Console

            self._live = Console(file=self._stream).status("")
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live is not None:
            with suppress(OSError):  # a terminal that has gone
                self._live.stop()

    def waiting(self, text: str) -> None:
        """Say what is waited for; the same text again only moves the clock."""
        now = time.monotonic()
        changed = text != self._text
        if changed:
            self._text, self._since = text, now
        seconds = round(now - self._since)
        line = f"{text}, {seconds} s" if seconds else text
        if self._live is not None:
            from rich.markup import escape

            self._live.update(escape(line))
        elif changed or now - self._printed >= REPEAT_S:
            self._print(line)

    def done(self, phase: str, seconds: float) -> None:
        """A phase is over."""
        self.phases[phase] = round(seconds, 1)
        self.say(f"{phase}: {seconds:.1f} s")

    def say(self, line: str) -> None:
        """One line that stays."""
        if self._live is not None:
            self._live.console.print(line, markup=False, highlight=False)
        else:
            self._print(line)

    def _print(self, line: str) -> None:
        self._printed = time.monotonic()
        self._stream.write(line + "\n")
        self._stream.flush()
