"""Running text to sentences, without a model: by its stops, minding abbreviations, initials and numbers."""

import re

# Possessive, and only at the first of several stops: a megabyte of dots takes no longer than one of words.
STOP = re.compile(r"(?<![.!?…])[.!?…]++[\"'”’»)\]]*+(?=\s)|[。！？｡]++[」』”’）]*+|[।॥۔؟]++(?=\s)")
LAST = re.compile(r"[^\s(\[\"“'‘]+\Z")
TAIL = 24  # characters before a stop in which its word is looked for
# fmt: off
NEVER_LAST = frozenset((
    "mr", "mrs", "ms", "dr", "prof", "st", "vs", "fig", "figs", "eq", "e.g", "i.e", "cf", "rev", "gen", "sen",
    "rep", "gov", "capt", "lt", "col", "approx", "resp", "dept", "est",
))
# fmt: on
"""Abbreviations that no sentence ends with, without their last stop."""


def sentences(text: str) -> list[str]:
    """The sentences of one paragraph, in order, trimmed; none without a letter or digit.

    A stop ends one where white space follows it, and no small letter after that; after `Dr.`, `e.g.` or an
    initial it does not. Scripts without white space are cut at their own full stops.
    """
    found, start = [], 0
    for stop in STOP.finditer(text):
        if _ends(text, stop):
            found.append(text[start : stop.end()].strip())
            start = stop.end()
    found.append(text[start:].strip())
    return [each for each in found if any(map(str.isalnum, each))]


def _ends(text: str, stop: "re.Match[str]") -> bool:
    after = text[stop.end() : stop.end() + 2].strip()
    if after and after[0].islower():
        return False
    if stop.group() != ".":
        return True
    word = LAST.search(text[max(0, stop.start() - TAIL) : stop.start()])
    if word is None:
        return True
    last = word.group()
    initial = len(last) == 1 and last.isupper() and last != "I"
    return not initial and last.lower() not in NEVER_LAST
