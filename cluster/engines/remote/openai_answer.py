"""An OpenAI-compatible provider's answers as ours: our id, our model's name, and nothing that breaks a client.

What a provider adds beside OpenAI's fields stays, as far as it cannot be taken for another's.
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from cluster.engines.remote import refusals
from cluster.engines.remote.connection import Connection
from cluster.engines.remote.lines import event, parsed, written
from cluster.errors import ProviderFailure, UnsupportedParameter

COUNTS = ("prompt_tokens", "completion_tokens")
USAGE_EXTRAS = ("prompt_tokens_details", "completion_tokens_details")
LATEST = 2**53  # Unix seconds that every client's numbers hold


@dataclass(frozen=True, slots=True, kw_only=True)
class Envelope:
    """What every object of one answer carries. choices, logprobs: what was asked for."""

    request_id: str
    model: str
    choices: int
    connection: Connection
    logprobs: bool = False
    created: int = field(default_factory=lambda: int(time.time()))

    def around(self, given: Mapping[str, Any], kind: str) -> dict[str, Any]:
        """The object with our names in it."""
        created = given.get("created")
        known = isinstance(created, int) and 0 < created < LATEST
        return {
            **given,
            "id": f"chatcmpl-{self.request_id}",
            "object": kind,
            "created": created if known else self.created,
            "model": self.model,
        }

    def fail(self, what: str) -> ProviderFailure:
        """The error for an answer that is not OpenAI's."""
        return ProviderFailure(f"{self.connection.name} answered with {what}")

    def check_logprobs(self, told: bool) -> None:
        """Raise UnsupportedParameter where log probabilities were wanted, and none told: some ignore the wish."""
        if self.logprobs and not told:
            raise UnsupportedParameter(f"{self.connection.name} gave no log probabilities", param="logprobs")

    def choices_of(self, given: Mapping[str, Any], part: str) -> list[dict[str, Any]]:
        """The choices of an object, each with its index and its `message` or `delta`. Raises ProviderFailure."""
        choices = given.get("choices")
        if not isinstance(choices, list):
            raise self.fail("an object without choices")
        for choice in choices:
            index = choice.get("index") if isinstance(choice, dict) else None
            if not isinstance(index, int) or not 0 <= index < self.choices:
                raise self.fail("a choice that was not asked for")
            said = choice.get(part)
            if not isinstance(said, dict) or not isinstance(said.get("content"), str | None):
                raise self.fail(f"a choice without a {part}")
            if not isinstance(choice.get("finish_reason"), str | None):
                raise self.fail("a finish_reason that is no word")
        return choices


def whole(data: bytes, envelope: Envelope) -> bytes:
    """One `chat.completion`. Raises ProviderFailure for anything else, and what an error in it means."""
    given = parsed(data, envelope.connection.name)
    if given.get("error"):
        raise refusals.of_event(given["error"], envelope.connection)
    choices = envelope.choices_of(given, "message")
    if {choice["index"] for choice in choices} != set(range(envelope.choices)):
        raise envelope.fail(f"{len(choices)} of {envelope.choices} choices")
    for choice in choices:
        choice["message"]["role"] = "assistant"
        choice["message"].setdefault("content", None)
        choice.setdefault("logprobs", None)
        if choice.get("finish_reason") is None:
            raise envelope.fail("a choice that has not ended")
        envelope.check_logprobs(bool(choice["logprobs"]) or not choice["message"]["content"])
    made = envelope.around(given, "chat.completion")
    made.pop("usage", None)
    usage = usage_of(given.get("usage"))
    return written({**made, "usage": usage} if usage else made)


def usage_of(given: Any) -> dict[str, Any] | None:
    """OpenAI's usage, its sum made sure of; None where there are no counts."""
    if not isinstance(given, dict) or not all(isinstance(given.get(name), int) for name in COUNTS):
        return None
    counts = {name: given[name] for name in COUNTS}
    extras = {name: given[name] for name in USAGE_EXTRAS if isinstance(given.get(name), dict)}
    return {**counts, "total_tokens": sum(counts.values()), **extras}


class Chunks:
    """Reads the events of one stream. include_usage: whether the client wants a last chunk with the counts."""

    def __init__(self, envelope: Envelope, *, include_usage: bool) -> None:
        self._envelope = envelope
        self._include_usage = include_usage
        self._opened: set[int] = set()
        self._ended: set[int] = set()
        self._usage: dict[str, Any] | None = None
        self._last: dict[str, Any] = {}
        self._said = self._told = False  # text, log probabilities

    def read(self, data: bytes) -> bytes | None:
        """One event of ours for one of theirs; None for one that says nothing. Raises as `whole` does."""
        given = parsed(data, self._envelope.connection.name)
        if given.get("error"):
            raise refusals.of_event(given["error"], self._envelope.connection)
        choices = self._envelope.choices_of(given, "delta")
        # Some send the counts unasked, or beside the last text: they go out once, at the end, if wanted.
        self._usage = usage_of(given.pop("usage", None)) or self._usage
        for choice in choices:
            self._open(choice)
        if not choices:
            return None
        self._last = self._envelope.around(given, "chat.completion.chunk")
        return event({**self._last, "usage": None} if self._include_usage else self._last)

    def end(self, *, done: bool) -> bytes | None:
        """The chunk with the counts, where it is wanted and known. done: whether `[DONE]` came.

        Raises ProviderFailure where a choice has not ended, UnsupportedParameter where a wish was ignored.
        """
        if self._ended != set(range(self._envelope.choices)):
            what = "said that it was done before it was" if done else "broke off in the middle of its answer"
            raise ProviderFailure(f"{self._envelope.connection.name} {what}")
        self._envelope.check_logprobs(self._told or not self._said)
        if not self._include_usage or self._usage is None:
            return None
        return event({**self._last, "choices": [], "usage": self._usage})

    def _open(self, choice: dict[str, Any]) -> None:
        index = choice["index"]
        if index not in self._opened:
            self._opened.add(index)
            choice["delta"]["role"] = "assistant"
        choice.setdefault("finish_reason", None)
        self._said = self._said or bool(choice["delta"].get("content"))
        self._told = self._told or bool(choice.get("logprobs"))
        if choice["finish_reason"] is not None:
            self._ended.add(index)
