"""The shapes of text the built-in models are trained on, each defined once.

Whoever asks a model for a grounded answer must build the message with
`grounded_message`: the small models know this wording and no other.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

Role = Literal["system", "user", "assistant", "tool"]

PAD, BEGIN, END = "<|pad|>", "<|begin|>", "<|end|>"
ROLES: tuple[Role, ...] = ("system", "user", "assistant", "tool")
SPECIAL_TOKENS = (PAD, BEGIN, END, *(f"<|{role}|>" for role in ROLES))

ABSTENTION = "The documents don't say."
GROUNDED_INSTRUCTION = f"Answer from the passages. If they do not hold the answer, say: {ABSTENTION}"

CHAT_TEMPLATE = (
    "{{- bos_token }}"
    "{% for message in messages %}<|{{ message['role'] }}|>{{ message['content'] or '' }}<|end|>{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """One turn of a dialogue, without its role marker."""

    role: Role
    content: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Dialogue:
    """What one training example is: turns, of which the assistant's are learnt."""

    messages: tuple[Message, ...]
    kind: str

    @property
    def answer(self) -> str:
        """The last turn, which is the assistant's."""
        return self.messages[-1].content


def turns(kind: str, *contents: str, system: str = "") -> Dialogue:
    """Build a dialogue from alternating user and assistant texts, the user's first."""
    messages = [Message(role="system", content=system)] if system else []
    for index, content in enumerate(contents):
        messages.append(Message(role="assistant" if index % 2 else "user", content=content))
    return Dialogue(messages=tuple(messages), kind=kind)


def render(messages: Sequence[Message], *, reply: bool = False) -> str:
    """Render as `CHAT_TEMPLATE` does; `reply` opens the assistant's turn."""
    body = "".join(f"<|{message.role}|>{message.content}{END}" for message in messages)
    return BEGIN + body + ("<|assistant|>" if reply else "")


def grounded_message(passages: Sequence[str], question: str) -> str:
    """Build the user message of a grounded question, its passages numbered from 1."""
    numbered = "\n".join(f"[{number}] {passage}" for number, passage in enumerate(passages, start=1))
    return f"{GROUNDED_INSTRUCTION}\n\n{numbered}\n\nQuestion: {question}"
