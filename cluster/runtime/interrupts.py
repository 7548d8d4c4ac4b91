"""Interrupts of a start: Ctrl-C, SIGTERM and a closed terminal, honoured at every moment and never half way.

An interrupt that is raised anywhere can fall between the making of a thing and the note of it, or into the
cleaning up; one that a library swallows is lost. So it is raised only where a start waits, is noted everywhere,
and is looked for between the steps.
"""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Interrupts:
    """Whether somebody asked a start to end. New ones raise KeyboardInterrupt at once, until `hold`."""

    def __init__(self) -> None:
        self._asked = False
        self._raising = True

    def listen(self) -> None:
        """Take the signals, in the main thread; again after a library has taken one.

        SIGINT also where it was ignored: a script's `heliostat up … &` starts like that, and `kill -INT` means it.
        An ignored SIGHUP stays so: that is what `nohup` is for.
        """
        for number in SIGNALS:
            if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN:
                signal.signal(number, self._take)

    def asked(self) -> bool:
        """Whether an interrupt has come."""
        return self._asked

    def hold(self) -> None:
        """From now on only note them."""
        self._raising = False

    @contextmanager
    def heard(self) -> Iterator[None]:
        """A part of the start that may end anywhere: KeyboardInterrupt for one that comes, or came before."""
        self._raising = True
        try:
            self.check()
            yield
            self.check()
        finally:
            self._raising = False

    def check(self) -> None:
        """Raise KeyboardInterrupt where one has come; for the steps of a wait, in case the first was swallowed."""
        if self._asked:
            self._raising = False
            raise KeyboardInterrupt

    def _take(self, *_: Any) -> None:
        self._asked = True
        if self._raising:
            self._raising = False  # `timeout` sends two within microseconds; the second would hit the cleaning up
            raise KeyboardInterrupt
