"""A run's notes on each of its files, written some at a time: a row a file would be a transaction a file."""

import time
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any, Protocol

from cluster.stores.document_states import DocumentState

WRITE_EVERY_S = 1.0
WRITE_AT = 500  # files


class States(Protocol):
    """Where notes are kept; see cluster.stores.document_states.DocumentStates."""

    def save(self, states: Iterable[DocumentState]) -> None: ...  # noqa: D102

    def of(self, collection: str) -> dict[str, DocumentState]: ...  # noqa: D102

    def forget(self, collection: str, sources: Iterable[str] | None = None) -> None: ...  # noqa: D102


class Journal:
    """One run's. clock: Unix seconds; timer: seconds that only grow."""

    def __init__(
        self,
        states: States,
        collection: str,
        clock: Callable[[], float] = time.time,
        timer: Callable[[], float] = time.monotonic,
    ) -> None:
        self._states = states
        self._collection = collection
        self._clock = clock
        self._timer = timer
        self._known = states.of(collection)
        self._waiting: dict[str, DocumentState] = {}
        self._written = timer()

    @property
    def known(self) -> dict[str, DocumentState]:
        """The newest note of each source."""
        return self._known

    def note(self, source: str, **fields: Any) -> None:
        """Change what is known of a source; what says nothing new is not written."""
        before = self._known.get(source) or DocumentState(collection=self._collection, source=source)
        after = replace(before, **fields)
        if after == before and source in self._known:
            return
        after = replace(after, updated=self._clock())
        self._known[source] = self._waiting[source] = after
        if len(self._waiting) >= WRITE_AT or self._timer() - self._written > WRITE_EVERY_S:
            self.write()

    def forget(self, sources: Iterable[str]) -> None:
        """What is known of sources is known no more."""
        gone = list(sources)
        self.write()
        self._states.forget(self._collection, gone)
        for source in gone:
            self._known.pop(source, None)

    def write(self) -> None:
        """Write what waits."""
        if self._waiting:
            self._states.save(self._waiting.values())
            self._waiting.clear()
        self._written = self._timer()
