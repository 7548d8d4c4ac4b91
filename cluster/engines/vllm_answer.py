"""vLLM's answers where OpenAI's differ: equal choices of a greedy answer, and the end of a call of a named tool."""

import json
from dataclasses import dataclass
from typing import Any

CALLED, STOPPED = '"finish_reason":"tool_calls"', '"finish_reason":"stop"'  # in a text both would be escaped


@dataclass(frozen=True, slots=True, kw_only=True)
class Amends:
    """What is changed in an answer. copies: of each choice, since vLLM makes one where nothing is drawn.

    named: whether a tool was named by the request; then a call ends with `stop`.
    """

    copies: int = 1
    named: bool = False

    def whole(self, answer: str) -> bytes:
        """An answer's JSON, as it leaves."""
        if self.named:
            answer = answer.replace(CALLED, STOPPED)
        if self.copies == 1:
            return answer.encode()
        made = json.loads(answer)
        made["choices"] = [
            {**choice, "index": choice["index"] * self.copies + copy}
            for choice in made["choices"]
            for copy in range(self.copies)
        ]
        self._count(made)
        return _json(made)

    def event(self, line: str) -> bytes:
        """An event, as it leaves: one for each copy."""
        if self.named and CALLED in line:
            line = line.replace(CALLED, STOPPED)
        if self.copies == 1 or not line.startswith("data: {"):
            return line.encode()
        chunk = json.loads(line.removeprefix("data: "))
        self._count(chunk)
        events = [
            {**chunk, "choices": [{**choice, "index": choice["index"] * self.copies + copy}]}
            for choice in chunk["choices"]
            for copy in range(self.copies)
        ]
        return b"".join(b"data: " + _json(event) + b"\n\n" for event in events or [chunk])

    def _count(self, made: dict[str, Any]) -> None:
        """Usage counts the tokens of all choices."""
        usage = made.get("usage")
        if usage:
            usage["completion_tokens"] *= self.copies
            usage["total_tokens"] = usage["prompt_tokens"] + usage["completion_tokens"]


def _json(value: dict[str, Any]) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()
