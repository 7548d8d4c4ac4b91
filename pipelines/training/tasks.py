"""What a model is measured by: questions with a judge, in the shape in which any OpenAI endpoint is asked.

The same tasks measure a model in training's own decoder and the served model over HTTP: only `Answer` differs.
"""

import base64
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any
from zlib import crc32

ALL_SEEDS = 70_001  # of the held-out data; training seeds are small
LONGEST_ANSWER = 96  # tokens that a reply may take where an example says nothing else
SHOWN_MISSES = 3  # wrong answers of each task that are kept
_Z = 1.959964  # of a normal distribution, for 95 %

Message = dict[str, Any]
"""A message in OpenAI's shape: role, content (text or parts), tool_calls."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """One held-out question. messages: without the reply. expected: the wanted reply, for whoever reads along.

    tools: OpenAI's tool definitions, if any. known: whatever the task's judge needs beside the expected text.
    """

    messages: tuple[Message, ...]
    expected: str
    tools: tuple[dict[str, Any], ...] = ()
    max_tokens: int = LONGEST_ANSWER
    known: dict[str, Any] = field(default_factory=dict)

    @property
    def question(self) -> str:
        """The text of the last message that is the user's."""
        asked = next(message for message in reversed(self.messages) if message["role"] == "user")
        return text_of(asked)

    def request(self, model: str) -> dict[str, Any]:
        """The body of a chat completion request, greedy."""
        body: dict[str, Any] = {
            "model": model,
            "messages": list(self.messages),
            "temperature": 0,
            "max_tokens": self.max_tokens,
        }
        return {**body, "tools": list(self.tools)} if self.tools else body


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """One row of the measured table. target: the share to reach, 0 to 1, None where none is set.

    draw: a held-out example. right: judges the assistant's message that came back, in OpenAI's shape.
    """

    name: str
    draw: Callable[[Random], Example]
    right: Callable[[Example, Message], bool]
    target: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """How many of a task's questions were answered right."""

    task: str
    right: int
    asked: int
    target: float | None = None

    @property
    def share(self) -> float:
        """Right of asked, 0 to 1."""
        return self.right / self.asked

    @property
    def reached(self) -> bool:
        """Whether the target is met, or there is none."""
        return self.target is None or self.share >= self.target

    @property
    def interval(self) -> tuple[float, float]:
        """Wilson's 95 % interval of the share."""
        asked, share = self.asked, self.share
        middle = (share + _Z**2 / (2 * asked)) / (1 + _Z**2 / asked)
        half = _Z / (1 + _Z**2 / asked) * math.sqrt(share * (1 - share) / asked + _Z**2 / (4 * asked**2))
        return max(middle - half, 0.0), min(middle + half, 1.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Miss:
    """A wrong answer, for whoever reads along."""

    task: str
    question: str
    wanted: str
    got: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """The table, and the first wrong answers of each task."""

    scores: tuple[Score, ...]
    misses: tuple[Miss, ...]


Answer = Callable[[Sequence[Example]], Sequence[Message]]
"""Maps examples to the assistant's greedy messages, in order."""


def evaluate(tasks: Sequence[Task], answer: Answer, *, each: int = 100) -> Evaluation:
    """Ask `each` questions of every task. A task's questions depend on its name alone, not on its place."""
    scores: list[Score] = []
    misses: list[Miss] = []
    for task in tasks:
        examples = draw(task, each)
        wrong = [
            Miss(task=task.name, question=example.question, wanted=example.expected, got=said(reply))
            for example, reply in zip(examples, answer(examples), strict=True)
            if not task.right(example, reply)
        ]
        scores.append(Score(task=task.name, right=each - len(wrong), asked=each, target=task.target))
        misses += wrong[:SHOWN_MISSES]
    return Evaluation(scores=tuple(scores), misses=tuple(misses))


def draw(task: Task, count: int, *, seed: int = ALL_SEEDS) -> list[Example]:
    """The task's first `count` held-out examples: the same for everybody, and with another seed others."""
    rng = Random(seed + crc32(task.name.encode()))  # noqa: S311  # data, not secrets
    return [task.draw(rng) for _ in range(count)]


def exactly(example: Example, reply: Message) -> bool:
    """Judge that the reply is the expected text, character for character, and calls no tool."""
    return not reply.get("tool_calls") and text_of(reply) == example.expected


def said(reply: Message) -> str:
    """What a reply says or calls, as one text."""
    calls = [call["function"] for call in reply.get("tool_calls") or ()]
    return text_of(reply) + "".join(f" → {call['name']}({call['arguments']})" for call in calls)


def text_of(message: Message) -> str:
    """A message's text, its pictures left out."""
    content = message.get("content") or ""
    if isinstance(content, str):
        return content
    return "".join(part["text"] for part in content if part["type"] == "text")


def asked(text: str, picture: bytes | None = None, *, media_type: str = "image/png") -> Message:
    """A user's message, with an encoded picture before the text where there is one."""
    if picture is None:
        return {"role": "user", "content": text}
    url = f"data:{media_type};base64,{base64.b64encode(picture).decode()}"
    parts = [{"type": "image_url", "image_url": {"url": url}}, {"type": "text", "text": text}]
    return {"role": "user", "content": parts}


def picture_of(example: Example) -> bytes | None:
    """The first picture of an example, as encoded as `asked` got it: for a decoder that needs no HTTP."""
    for message in example.messages:
        for part in message["content"] if isinstance(message.get("content"), list) else ():
            if part["type"] == "image_url":
                return base64.b64decode(part["image_url"]["url"].partition(",")[2])
    return None
