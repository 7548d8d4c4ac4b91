"""Stop strings: text is let out only when no stop string can still begin in it."""

from collections.abc import Sequence


class StopMatcher:
    """Watches one choice's text as it grows.

    `push` takes new text and returns what may be shown; once a stop string has appeared, `stopped` is true
    and the text before it is all that was ever shown; `met` is that string. `flush` returns what was held back at
    the end.
    """

    def __init__(self, stops: Sequence[str]) -> None:
        self._stops = tuple(stops)
        self._held = ""
        self.met: str | None = None

    @property
    def stopped(self) -> bool:
        """Whether a stop string has appeared."""
        return self.met is not None

    def push(self, text: str) -> str:
        """The part of the text so far that is safe to show now."""
        if self.stopped:
            return ""
        self._held += text
        found = [(at, stop) for stop in self._stops if (at := self._held.find(stop)) >= 0]
        if found:
            first, self.met = min(found)
            shown, self._held = self._held[:first], ""
            return shown
        keep = self._longest_beginning()
        shown, self._held = self._held[: len(self._held) - keep], self._held[len(self._held) - keep :]
        return shown

    def flush(self) -> str:
        """What was held back, when no more text comes."""
        shown, self._held = self._held, ""
        return shown

    def _longest_beginning(self) -> int:
        """How many of the last characters could be the beginning of a stop string."""
        longest = max((len(stop) - 1 for stop in self._stops), default=0)
        for size in range(min(longest, len(self._held)), 0, -1):
            if any(stop.startswith(self._held[-size:]) for stop in self._stops):
                return size
        return 0
