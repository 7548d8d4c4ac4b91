"""What people say stays text: a template's own marks, such as `<|assistant|>`, inside a message are no tokens.

A template makes one text of a conversation, and a tokenizer then finds the marks of turns in it, wherever they
stand: a document that holds them could end its turn and speak for others. So each such mark inside a message gets
an invisible character after its first one, and is read as the text that it is. Raw prompts are left alone.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

JOINTS = ("\u2060", "\u200b", " ")  # tried in turn: a tokenizer may drop the invisible ones before it looks


@dataclass(frozen=True, slots=True, kw_only=True)
class PlainText:
    """Keeps marks out of messages. marks: a tokenizer's control tokens. joint: what is put into each."""

    marks: re.Pattern[str] | None = None
    joint: str = JOINTS[0]

    def messages(self, messages: Sequence[Mapping[str, Any]]) -> list[Any]:
        """The messages with their texts, and the arguments of their calls, as plain text."""
        return [self._message(message) for message in messages] if self.marks else list(messages)

    def text(self, text: str) -> str:
        """A text in which no mark is left."""
        if self.marks is None:
            return text
        while self.marks.search(text):  # a mark may hold another
            text = self.marks.sub(lambda found: found[0][0] + self.joint + found[0][1:], text)
        return text

    def _message(self, message: Mapping[str, Any]) -> dict[str, Any]:
        made = dict(message)
        content, calls = made.get("content"), made.get("tool_calls")
        if isinstance(content, str):
            made["content"] = self.text(content)
        elif isinstance(content, list):
            made["content"] = [self._part(part) for part in content]
        if isinstance(calls, list):
            made["tool_calls"] = [self._call(call) for call in calls]
        return made

    def _part(self, part: Any) -> Any:
        if not isinstance(part, Mapping):
            return part
        return {
            name: self.text(value) if name in ("text", "refusal") and isinstance(value, str) else value
            for name, value in part.items()
        }

    def _call(self, call: Any) -> Any:
        function = call.get("function") if isinstance(call, Mapping) else None
        if not isinstance(function, Mapping) or not isinstance(function.get("arguments"), str):
            return call
        return {**call, "function": {**function, "arguments": self.text(function["arguments"])}}


def plain_text_for(tokenizer: Any) -> PlainText:
    """For a tokenizer of Transformers; one of another kind, which needs no template, has no marks."""
    known = getattr(tokenizer, "added_tokens_decoder", None) or {}
    special = {int(number): str(token) for number, token in known.items() if getattr(token, "special", False)}
    marks = {number: mark for number, mark in special.items() if len(mark) > 1}
    if not marks:
        return PlainText()
    pattern = re.compile("|".join(re.escape(mark) for mark in sorted(marks.values(), key=len, reverse=True)))
    plain = [PlainText(marks=pattern, joint=joint) for joint in JOINTS]
    together = "\n".join(marks.values())
    for each in plain:
        if marks.keys().isdisjoint(tokenizer.encode(each.text(together), add_special_tokens=False)):
            return each
    return plain[-1]
