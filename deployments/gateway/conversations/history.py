"""Which messages of a conversation a model is shown: the newest turns that fit, under the same system prompt.

How many tokens a text has is the engine's to say. Here the last answer's own count gives tokens a byte, and where
that is unknown, or too low, the engine refuses the prompt and a shorter one is sent.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any, Self

from cluster.stores.conversations import STREAMING, Message
from cluster.stores.stream_sessions import ASSISTANT, USER

SHORTER = 0.75  # of a prompt that was refused is tried next: few tries, and little dropped for nothing


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """A question and its answer. size: bytes of their text."""

    question: Mapping[str, Any]
    answer: Mapping[str, Any]
    size: int
    pictures: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Room:
    """What a prompt may hold. tokens: None where nobody knows how many a text has; per_byte: how many it has."""

    tokens: int
    per_byte: float | None
    messages: int
    pictures: int


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """A prompt. turns: the oldest first. dropped: messages left out of it, as it would be too long."""

    system: str | None
    turns: tuple[Turn, ...]
    question: str | list[dict[str, Any]]
    dropped: int = 0

    @property
    def size(self) -> int:
        """Bytes of text."""
        own = len((self.system or "").encode()) + _size(self.question)
        return own + sum(turn.size for turn in self.turns)

    @property
    def messages(self) -> list[Mapping[str, Any]]:
        """As chat's body has them."""
        system = [] if self.system is None else [{"role": "system", "content": self.system}]
        said = [message for turn in self.turns for message in (turn.question, turn.answer)]
        return [*system, *said, {"role": USER, "content": self.question}]

    def fitted(self, room: Room) -> Self:
        """Without as many of the oldest turns as it takes."""
        drop = 0
        size, pictures = self.size, _pictures(self.question) + sum(turn.pictures for turn in self.turns)
        for turn in self.turns:
            fewer = len(self.turns) - drop
            many = 2 * fewer + 2 > room.messages or pictures > room.pictures
            if not many and (room.per_byte is None or size * room.per_byte <= room.tokens):
                break
            drop, size, pictures = drop + 1, size - turn.size, pictures - turn.pictures
        return self._without(drop)

    def shorter(self) -> Self | None:
        """What to send after this was refused as too long; None where nothing is left to drop."""
        if not self.turns:
            return None
        goal = SHORTER * self.size
        drop, size = 1, self.size - self.turns[0].size
        while size > goal and drop < len(self.turns):
            size -= self.turns[drop].size
            drop += 1
        return self._without(drop)

    def _without(self, turns: int) -> Self:
        return replace(self, turns=self.turns[turns:], dropped=self.dropped + 2 * turns)


def history(
    system: str | None, said: Sequence[Message], question: str | list[dict[str, Any]], *, unseen: int
) -> History:
    """The prompt of a question after what was said. unseen: older messages that were not even read.

    A question that got no word of an answer is left out, as models want questions and answers in turns.
    """
    turns = []
    for asked, answered in pairwise(said):
        if (asked.role, answered.role) != (USER, ASSISTANT) or not answered.content or answered.status == STREAMING:
            continue
        size = _size(asked.content) + _size(answered.content)
        turns.append(
            Turn(
                question={"role": USER, "content": asked.content},
                answer={"role": ASSISTANT, "content": answered.content},
                size=size,
                pictures=_pictures(asked.content),
            )
        )
    return History(system=system, turns=tuple(turns), question=question, dropped=unseen)


def tokens_per_byte(said: Sequence[Message], model: str) -> float | None:
    """What the model's last answer says of its tokenizer; None where it has given none here."""
    for message in reversed(said):
        if message.model == model and message.prompt_tokens and message.prompt_bytes:
            return message.prompt_tokens / message.prompt_bytes
    return None


def _size(content: str | list[dict[str, Any]]) -> int:
    texts = [content] if isinstance(content, str) else [part.get("text", "") for part in content]
    return sum(len(text.encode(errors="replace")) for text in texts)


def _pictures(content: str | list[dict[str, Any]]) -> int:
    return 0 if isinstance(content, str) else sum(part.get("type") == "image_url" for part in content)
