"""How finished an answer looks, whatever it says and whatever was asked.

`completeness/1`, 0 to 100. An answer without visible characters has 0. Otherwise

    50 when the model ended by itself (finish reason `stop`), and not at a token limit
  + 30 when the last visible character ends a sentence or closes something, or a code fence ends the text;
       never inside an open code fence
  + 10 when every code fence is closed
  + 10 when brackets ( [ { pair up outside of code fences
"""

import re

COMPLETENESS = "completeness/1"

ENDINGS = frozenset(".!?…。！？;:\"'”’»)]}")
FENCE = re.compile(r"^\s{0,3}```", re.MULTILINE)
PAIRS = {")": "(", "]": "[", "}": "{"}
BRACKET = re.compile(r"[()\[\]{}]")
LIST_LABEL = re.compile(r"^[^\S\n]*\w{1,3}\)", re.MULTILINE)  # `1)` and `a)` open no bracket


def completeness(text: str, finish_reason: str | None) -> float:
    """`completeness/1` of one answer, 0 to 100."""
    shown = text.strip()
    if not shown:
        return 0.0
    fences = len(FENCE.findall(shown))
    closed = fences % 2 == 0
    ended = closed and (shown[-1] in ENDINGS or shown.endswith("```"))
    score = 50.0 if finish_reason == "stop" else 0.0
    score += 30.0 if ended else 0.0
    score += 10.0 if closed else 0.0
    score += 10.0 if _paired(_outside_fences(shown) if fences else shown) else 0.0
    return score


def _outside_fences(text: str) -> str:
    kept, inside = [], False
    for line in text.splitlines():
        if FENCE.match(line):
            inside = not inside
        elif not inside:
            kept.append(line)
    return "\n".join(kept)


def _paired(text: str) -> bool:
    open_brackets: list[str] = []
    for character in BRACKET.findall(LIST_LABEL.sub("", text)):
        if character not in PAIRS:
            open_brackets.append(character)
        elif not open_brackets or open_brackets.pop() != PAIRS[character]:
            return False
    return not open_brackets
