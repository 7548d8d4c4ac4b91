"""The shapes of text the built-in models are trained on, each defined once.

Whoever asks a model for a grounded answer must build the message with
`grounded_message`: the small models know this wording and no other.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

Role = Literal["system", "user", "assistant", "tool"]

PAD, BEGIN, END = "<|pad|>", "<|begin|>", "<|end|>"
ROLES: tuple[Role, ...] = ("system", "user", "assistant", "tool")
SPECIAL_TOKENS = (PAD, BEGIN, END, *(f"<|{role}|>" for role in ROLES))

ABSTENTION = "The documents don't say."
GROUNDED_INSTRUCTION = f"Answer from the passages. If they do not hold the answer, say: {ABSTENTION}"

# The form that vLLM's parser `hermes` reads.
TOOL_CALL_START, TOOL_CALL_END = "<tool_call>", "</tool_call>"
TOOLS_TITLE = "Tools:"

CHAT_TEMPLATE = """{{- bos_token }}
{%- if tools %}
  {%- set named = messages[0].role in ('system', 'developer') %}
  {{- '<|system|>' + ((messages[0].content or '') + '\\n' if named else '') + 'Tools:' }}
  {%- for tool in tools %}
    {%- set function = tool.function or tool %}
    {{- '\\n' + function.name + '(' }}
    {%- for key, about in ((function.parameters or {}).properties or {}).items() %}
      {{- (', ' if not loop.first else '') + key }}
      {{- ': ' + about.type if about.type is string and about.type != 'string' }}
    {%- endfor %}
    {{- ')' }}
    {{- ': ' + function.description if function.description }}
  {%- endfor %}
  {{- '<|end|>' }}
  {%- if named %}{%- set messages = messages[1:] %}{%- endif %}
{%- endif %}
{%- for message in messages %}
  {{- '<|' + ('system' if message.role == 'developer' else message.role) + '|>' + (message.content or '') }}
  {%- for call in message.tool_calls or [] %}
    {%- set function = call.function or call %}
    {%- set values = function.arguments if function.arguments is string else function.arguments | tojson %}
    {{- '<tool_call>{"name": "' + function.name + '", "arguments": ' + values + '}</tool_call>' }}
  {%- endfor %}
  {{- '<|end|>' }}
{%- endfor %}
{%- if add_generation_prompt %}{{- '<|assistant|>' }}{%- endif %}
"""


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


def tools_text(tools: Sequence[tuple[str, Sequence[str], str]], system: str = "") -> str:
    """Build the system message that offers tools, each a name, its arguments and a description.

    An argument is `city`, or `days: integer` where it is no string.
    """
    lines = [f"{name}({', '.join(arguments)}){f': {about}' if about else ''}" for name, arguments, about in tools]
    return "\n".join([*([system] if system else []), TOOLS_TITLE, *lines])


def tool_call(name: str, arguments: Mapping[str, Any]) -> str:
    """Build the assistant's text that calls a tool."""
    written = json.dumps({"name": name, "arguments": arguments}, ensure_ascii=False)
    return f"{TOOL_CALL_START}{written}{TOOL_CALL_END}"


def render(messages: Sequence[Message], *, reply: bool = False) -> str:
    """Render as `CHAT_TEMPLATE` does; `reply` opens the assistant's turn."""
    body = "".join(f"<|{message.role}|>{message.content}{END}" for message in messages)
    return BEGIN + body + ("<|assistant|>" if reply else "")


def grounded_message(passages: Sequence[str], question: str) -> str:
    """Build the user message of a grounded question, its passages numbered from 1."""
    numbered = "\n".join(f"[{number}] {passage}" for number, passage in enumerate(passages, start=1))
    return f"{GROUNDED_INSTRUCTION}\n\n{numbered}\n\nQuestion: {question}"
