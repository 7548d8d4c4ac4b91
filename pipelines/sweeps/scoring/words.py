"""Words of a text: for counting, for comparing, and to tell which script they are written in."""

import re
import unicodedata
from functools import cache

from cluster.retrieval.analyser import SPACELESS

NUMBER = r"\d+(?:[.,]\d+)*"
ASCII_WORD = re.compile(rf"{NUMBER}|[A-Za-z]+(?:['-][A-Za-z]+)*")
LATIN_ENDS = 0x250  # code points below are Latin, if letters; so are those of Latin Extended Additional
EXTENDED = range(0x1E00, 0x1F00)
SAMPLE = 20_000  # characters that are looked at to tell a script


def words(text: str) -> list[str]:
    """The words in order, as written. Numbers are words; so is each character of a script without spaces.

    `don't`, `well-known` and `1,000.5` are one word each.
    """
    return (ASCII_WORD if text.isascii() else _any_word()).findall(text)


def unspaced(text: str) -> bool:
    """Whether most letters are of a script that writes no spaces between words: then words cannot be counted."""
    if text.isascii():
        return False
    letters = [character for character in text[:SAMPLE] if character.isalpha()]
    return 2 * sum(map(bool, map(_spaceless().match, letters))) > len(letters)


def latin(text: str) -> bool:
    """Whether most letters are Latin. A text without letters is."""
    if text.isascii():
        return True
    letters = [ord(character) for character in text[:SAMPLE] if character.isalpha()]
    return 2 * sum(each < LATIN_ENDS or each in EXTENDED for each in letters) >= len(letters)


@cache
def _spaceless() -> "re.Pattern[str]":
    return re.compile(f"[{SPACELESS}]")


@cache
def _any_word() -> "re.Pattern[str]":
    # Marks spell words, too, as in Devanagari, and `\w` leaves them out.
    reach = (chr(at) for at in range(0x300, 0x3100))
    marks = "".join(each for each in reach if unicodedata.category(each) in {"Mn", "Mc"})
    letter = rf"(?:(?![{SPACELESS}])[^\W\d_][{marks}]*)"
    return re.compile(rf"{NUMBER}|[{SPACELESS}]|{letter}+(?:['’‐‑-]{letter}+)*")
