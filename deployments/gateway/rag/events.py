"""A grounded answer as server-sent events: its pieces, then its citations, then all of it.

event: delta      data: {"text": "…"}
event: citations  data: {"citations": […], "unverified_quotes": […]}
event: done       data: what the route answers without `stream`
event: error      data: {"error": {"code", "message", "hint"}}, in place of what had still to come
"""

from collections.abc import Iterator, Mapping
from typing import Any

from pydantic_core import from_json, to_json

from cluster.errors import EngineFailure, HeliostatError
from deployments.gateway.errors import own

DATA, DONE = b"data: ", b"[DONE]"


class Reading:
    """Reads the chunks of a chat completion. text: the answer so far, without white space at its ends."""

    def __init__(self) -> None:
        self._pieces: list[str] = []
        self._blank = ""
        self.model: str | None = None
        self.finish_reason: str | None = None
        self.usage: Mapping[str, Any] | None = None

    @property
    def text(self) -> str:
        """The answer as far as it is."""
        return "".join(self._pieces)

    def take(self, item: bytes) -> str:
        """The text of an item's chunks that may be shown now. Raises EngineFailure for one that is an error."""
        said = "".join(piece for chunk in chunks(item) for piece in self._read(chunk))
        text = self._blank + said
        kept = text.rstrip() if self._pieces else text.strip()
        self._blank = text[len(text.rstrip()) :] if kept else (text if self._pieces else "")
        if kept:
            self._pieces.append(kept)
        return kept

    def _read(self, chunk: Mapping[str, Any]) -> Iterator[str]:
        if told := chunk.get("error"):
            raise EngineFailure(str(told.get("message") if isinstance(told, dict) else told)[:500])
        self.model = chunk.get("model") or self.model  # a fallback may answer
        self.usage = chunk.get("usage") or self.usage
        for choice in chunk.get("choices", ()):
            self.finish_reason = choice.get("finish_reason") or self.finish_reason
            yield (choice.get("delta") or {}).get("content") or ""


def chunks(item: bytes) -> Iterator[dict[str, Any]]:
    """The chunks of an item, which is one or more whole events."""
    for line in item.split(b"\n\n"):
        if line.startswith(DATA) and not line.endswith(DONE):
            yield from_json(line.removeprefix(DATA))


def event(name: str, content: Mapping[str, Any]) -> bytes:
    """One event."""
    return b"event: %b\ndata: %b\n\n" % (name.encode(), to_json(content))


def failed(error: HeliostatError) -> bytes:
    """The last event of a stream that broke."""
    return event("error", {"error": own(error)})
