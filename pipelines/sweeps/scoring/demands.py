"""What a prompt asks for in so many words: a length, a number of items, JSON, words to use.

English phrases only, and only those that leave no doubt: a demand that is missed costs nothing, one that is made
up would score answers against something nobody asked for.
"""

import re
from dataclasses import dataclass
from functools import lru_cache

READ = 5000  # characters of a prompt, from its beginning and as many from its end
# fmt: off
NUMBERS = (
    "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve", "thirteen",
    "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen", "twenty",
)
TENS = {
    "thirty": 30, "forty": 40, "fifty": 50, "sixty": 60, "hundred": 100, "a": 1, "an": 1, "single": 1, "dozen": 12,
}
# fmt: on
VALUES = {word: value for value, word in enumerate(NUMBERS, start=1)} | TENS
N = rf"(\d{{1,6}}|\d{{1,3}},\d{{3}}|{'|'.join([*NUMBERS, *TENS])})"
UNIT = r"[\s-]{1,3}(words?|sentences?|paragraphs?)\b"
LOOSE = r"(about|around|roughly|approximately|approx\.?|circa|~|some)"
TIGHT = r"(?:exactly|only|just)"

BETWEEN = re.compile(rf"\b{N}\s{{0,2}}(?:-|–|—|to|and|or)\s{{0,2}}{N}{UNIT}", re.IGNORECASE)
MOST = re.compile(
    r"\b(?:at most|no more than|not more than|up to|(?:a )?maximum(?: of)?|max\.?|within|fewer than|less than|"
    r"under|below|(?:not|never) exceed(?:ing)?|limit(?:ed)?(?: \w{1,12}){0,3} to|shorter than)\s{1,2}"
    rf"{N}{UNIT}|\b{N}{UNIT}\s{{0,2}}(?:or (?:less|fewer)|at (?:the )?most|max(?:imum)?\b)",
    re.IGNORECASE,
)
LEAST = re.compile(
    r"\b(?:at least|no (?:less|fewer) than|not (?:less|fewer) than|(?:a )?minimum(?: of)?|min\.?|more than|over|"
    rf"longer than)\s{{1,2}}{N}{UNIT}|\b{N}{UNIT}\s{{0,2}}(?:or more|at least|min(?:imum)?\b)",
    re.IGNORECASE,
)
PLAIN = re.compile(
    rf"(?:\b(?:in|using|with|of|to|into|write|give|use|me|a|an|your|as|be|answer|reply|respond|{TIGHT})\s{{1,2}}"
    rf"(?:{TIGHT}\s{{1,2}})?|^\s{{0,4}})(?:{LOOSE}\s{{0,2}})?{N}{UNIT}|\b{LOOSE}\s{{1,2}}{N}{UNIT}",
    re.IGNORECASE | re.MULTILINE,
)
EACH = re.compile(r"\b(?:each|every|per)\b", re.IGNORECASE)
NEAR = 40  # characters around a demand in which `each` makes it one for parts of the answer

THING = (
    r"(?:items?|bullet(?:s| points?)?|points?|steps?|examples?|reasons?|tips?|ideas?|ways?|facts?|suggestions?"
    r"|options?|questions?|names?|benefits?|advantages?|disadvantages?|pros|cons|features?|differences?"
    r"|strategies|methods?|titles?|recommendations?|arguments?|things?|factors?|uses|causes?|effects?|types?"
    r"|topics?|headlines?|slogans?|synonyms?|antonyms?|characteristics|properties|challenges|risks|principles"
    r"|rules|books?|films?|movies?|songs?)"
)
VERB = (
    r"(?:give|suggest|provide|write|identify|describe|mention|propose|offer|tell|share|recommend|find|make"
    r"|generate|create|explain|brainstorm|in|with|are|as)"
)
DESCRIBED = r"(?:[\w-]{1,20}\s){0,2}?"
ITEMS = re.compile(
    rf"\blists? of (?:the )?(?:{TIGHT} )?(?:top |best )?{N}\b(?!\s?%)"
    rf"|\b{N}[- ]item list\b|\btop (\d{{1,2}}|ten|five|three|twenty)\b"
    rf"|\b(?:list|name|enumerate) (?:me |us )?(?:out )?(?:the )?(?:{TIGHT} )?{N} "
    r"(?!words?\b|sentences?\b|paragraphs?\b)[a-z]"
    rf"|\b{VERB} (?:me |us )?(?:out |up )?(?:the )?(?:{TIGHT} |at least )?{N} {DESCRIBED}{THING}\b",
    re.IGNORECASE,
)

FILL = r"(?:(?:a|an|one|single|valid|raw|strict|well-formed|pure|plain|minified|only|just|me|it|the|as|in)\s){0,5}"
NOT_OURS = r"(?!\s(?:pars|schema|librar|file|api|path|web))"
JSON = re.compile(
    r"\b(?:return|output|respond|reply|answer|produce|generate|give|write|format|provide|present|express|encode|list"
    rf"|print|emit)\b[^.?!\n]{{0,80}}?\b(?:as|in|with|only)\s{FILL}json\b{NOT_OURS}"
    rf"|\b(?:return|output|produce|generate|give|provide|emit|print)\s{FILL}json\b{NOT_OURS}"
    r"|\bjson only\b|\bonly json\b",
    re.IGNORECASE,
)
USING = re.compile(
    r"\b(?:include|includes|including|mention|use|using|contain|containing|with)\b([^.?!\n]{0,200})", re.I
)
QUOTED = re.compile(r"[\"“]([^\"“”\n]{1,40})[\"”]")


@dataclass(frozen=True, slots=True, kw_only=True)
class Length:
    """A length that was asked for. unit: words, sentences or paragraphs. most: None is without end."""

    unit: str
    least: float
    most: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Demands:
    """What a prompt asks for. items: of a list. json: an answer in JSON. quoted: words the answer is to use."""

    lengths: tuple[Length, ...] = ()
    items: int | None = None
    json: bool = False
    quoted: tuple[str, ...] = ()


@lru_cache(maxsize=4096)  # a sweep asks one prompt many times
def demands_of(prompt: str) -> Demands:
    """The demands of a prompt; of two on the same thing the first."""
    if len(prompt) > 2 * READ:
        prompt = f"{prompt[:READ]}\n{prompt[-READ:]}"
    return Demands(
        lengths=_lengths(prompt),
        items=_items(prompt),
        json=JSON.search(prompt) is not None,
        quoted=tuple(dict.fromkeys(word for part in USING.findall(prompt) for word in QUOTED.findall(part))),
    )


def _lengths(prompt: str) -> tuple[Length, ...]:
    found: dict[str, Length] = {}
    for pattern in (BETWEEN, MOST, LEAST, PLAIN):
        for match in pattern.finditer(prompt):
            around = prompt[max(0, match.start() - NEAR) : match.end() + NEAR]
            if EACH.search(around):
                continue
            length = _length(pattern, [part for part in match.groups() if part])
            if length is not None:
                found.setdefault(length.unit, length)
    return tuple(found.values())


def _length(pattern: "re.Pattern[str]", parts: list[str]) -> Length | None:
    unit = parts[-1].lower().rstrip("s") + "s"
    values = [value for part in parts[:-1] if (value := _number(part)) is not None]
    if not values or not values[-1]:
        return None
    if pattern is BETWEEN:
        return Length(unit=unit, least=min(values), most=max(values))
    if pattern is MOST:
        return Length(unit=unit, least=1, most=values[-1])
    if pattern is LEAST:
        return Length(unit=unit, least=values[-1], most=None)
    slack = 0.1 if unit == "words" or len(parts) > 2 else 0.0  # nobody counts words to the last one
    return Length(unit=unit, least=values[-1] * (1 - slack), most=values[-1] * (1 + slack))


def _items(prompt: str) -> int | None:
    for match in ITEMS.finditer(prompt):
        value = next((number for part in match.groups() if part and (number := _number(part)) is not None), None)
        if value is not None and 1 < value <= 200:
            return value
    return None


def _number(text: str) -> int | None:
    shown = text.lower().replace(",", "")
    return int(shown) if shown.isascii() and shown.isdigit() else VALUES.get(shown)
