"""How many tokens a request will use at most, as far as anybody can know, and how many it has used.

An estimate is taken before, the engine's own count replaces it afterwards. Nothing here parses an answer: the
count is looked for in its bytes, and a stream that carries none is counted by its size, an event a token.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from cluster.engines.raw_prompts import DEFAULT_TOKENS, prompts_of
from cluster.types import Usage
from deployments.gateway.wire import ChatRequest, CompletionRequest, ImagePart

CHARACTERS_PER_TOKEN = 4
IMAGE_TOKENS = 256  # of a picture: models differ, and settling corrects it
# Inside a text every quote has a backslash before it, so this is found only where the engine has put it.
TOTAL = re.compile(rb'"total_tokens": ?(\d{1,12})')
USAGE = b'"total_tokens":'
PROMPT, COMPLETION = b'"prompt_tokens":', b'"completion_tokens":'
COUNT = re.compile(rb" ?(\d{1,12})")
EVENT_END = b"\n\n"
FIRST_ITEMS = 4  # of a stream, from which the size of an event is learned


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """prompt: tokens of what was sent. answer: the most that was asked for, None where nobody said."""

    prompt: int
    answer: int | None = None
    choices: int = 1

    def total(self, unsaid: int) -> int:
        """Prompt and answers. unsaid: the tokens of an answer whose length nobody limits."""
        return self.prompt + self.choices * (unsaid if self.answer is None else self.answer)


def of(wanted: ChatRequest | CompletionRequest) -> Estimate:
    """The estimate of a request of either kind."""
    return of_completion(wanted) if isinstance(wanted, CompletionRequest) else of_chat(wanted)


def of_chat(wanted: ChatRequest) -> Estimate:
    """The estimate of a chat request."""
    characters, images = 0, 0
    for message in wanted.messages:
        content = message.content
        if isinstance(content, str):
            characters += len(content)
        for part in content if isinstance(content, list) else ():
            if isinstance(part, ImagePart):
                images += 1
            else:
                characters += len(part.text)
    if wanted.tools:
        characters += len(str(wanted.tools))
    said = wanted.max_tokens if wanted.max_completion_tokens is None else wanted.max_completion_tokens
    prompt = -(-characters // CHARACTERS_PER_TOKEN) + images * IMAGE_TOKENS
    return Estimate(prompt=prompt, answer=said, choices=wanted.n or 1)


def of_completion(wanted: CompletionRequest) -> Estimate:
    """The estimate of raw prompts."""
    prompts = prompts_of(wanted.prompt)
    said = DEFAULT_TOKENS if wanted.max_tokens is None else wanted.max_tokens
    return Estimate(prompt=of_inputs(prompts).prompt, answer=said, choices=(wanted.n or 1) * len(prompts))


def of_inputs(inputs: Sequence[str | Sequence[int]]) -> Estimate:
    """The estimate of texts, or lists of tokens, that are embedded."""
    tokens = sum(-(-len(item) // CHARACTERS_PER_TOKEN) if isinstance(item, str) else len(item) for item in inputs)
    return Estimate(prompt=tokens, answer=0)


def used(answer: bytes) -> int | None:
    """The tokens that a whole answer says it took; None where it says nothing."""
    at = answer.rfind(USAGE)
    found = TOTAL.match(answer, at) if at >= 0 else None
    return int(found.group(1)) if found else None


def tokens_of(answer: bytes) -> Usage | None:
    """The same, prompt and completion apart."""
    prompt = _said(answer, PROMPT)
    return None if prompt is None else Usage(prompt_tokens=prompt, completion_tokens=_said(answer, COMPLETION) or 0)


def _said(answer: bytes, name: bytes) -> int | None:
    at = answer.rfind(name)
    found = COUNT.match(answer, at + len(name)) if at >= 0 else None
    return int(found.group(1)) if found else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Counted:
    """The tokens of a stream. estimated: no engine told them."""

    usage: Usage
    estimated: bool


class StreamCount:
    """Counts a stream's tokens by its size, so that an item costs the same whatever it holds. last: the item."""

    __slots__ = ("_before", "_bytes", "_first", "last")

    def __init__(self) -> None:
        self._bytes = 0
        self._first: list[bytes] = []
        self._before = self.last = b""

    def saw(self, item: bytes) -> None:
        """Count an item, which is one or more whole events."""
        self._bytes += len(item)
        if self._before and len(self._first) < FIRST_ITEMS:
            self._first.append(self._before)
        self._before, self.last = self.last, item

    def tokens(self, estimate: Estimate) -> Counted:
        """As `used`, prompt and completion apart."""
        last = self._before + self.last
        said = tokens_of(last)
        if said is not None:
            return Counted(usage=said, estimated=False)
        answer = self._answer(last, estimate) if self._bytes else 0
        return Counted(usage=Usage(prompt_tokens=estimate.prompt, completion_tokens=answer), estimated=True)

    def used(self, estimate: Estimate) -> int:
        """What the engine says at the end, or a token an event after the estimated prompt."""
        # The event with the usage comes before [DONE], in one item with it or in the one before.
        last = self._before + self.last
        said = used(last)
        if said is not None or not self._bytes:
            return estimate.prompt if said is None else said
        return estimate.prompt + self._answer(last, estimate)

    def _answer(self, last: bytes, estimate: Estimate) -> int:
        """The events of the answer. last: the last two items."""
        # Events of a stream are all of about one size, known from the items at both ends.
        seen = b"".join(self._first) + last
        events = round(seen.count(EVENT_END) * self._bytes / len(seen))
        # Each choice opens and closes with an event of its own, and [DONE] is one.
        return max(0, events - 2 * estimate.choices - 1)
