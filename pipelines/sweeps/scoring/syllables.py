"""Syllables of an English word, by rule. No dictionary: the packages that carry CMU's are under the GPL.

Vowels that stand together are one syllable; then come the corrections that English spelling asks for most.
Against the CMU Pronouncing Dictionary the rule is right for most words and, what matters for a mean over a
text, errs about as often up as down (docs/metrics.md has the figures).
"""

import re
from functools import lru_cache

VOWELS = re.compile(r"[aeiouy]+")
FEWER = re.compile(  # vowels that are written and not spoken
    r"(?<=[^aeiouy])e$|(?<=[^aeiouydt])ed$|(?<=[^aeiouysxzcg])(?<!ch)(?<!sh)es$"
    r"|(?<=[^aeiouy])e(?=(?:ly|ments?|less|ful|fully|ness|some|where|thing|times?|body|work|land)$)"
    r"|(?<=^som)e|(?<=^ev)e(?=ry)|(?<=^ther)e(?=fore)|(?<=^bus)i(?=ness)|[qg]ues?$|(?<=ic)a(?=lly$)"
)
MORE = re.compile(  # vowels that stand together and are spoken apart, and syllables without one
    r"(?<=[^aeiouylr])les?$|(?<=[^aeiouylr])led$|(?:th|s)ms?$"
    r"|(?<![tcsg])i(?=a(?!ge|m)|o(?!n))|(?<=[tcs])i(?=at|et)|i(?=um|ety|est$|ers?$)|(?<![tc])i(?=en(?:t|ce))"
    r"|(?<![qg])u(?=a(?!r)|ity|ous)|(?<!g)e(?=o(?!us|u|n$|ple))|(?<=cr)e(?=at)|(?<=[aeo])y(?=[aeiou])(?!e[ds]?$)"
    r"|(?<=^an)y(?=one)|(?<=^ever)y(?=one)|(?<=[^aeiou])i(?=ence$)|^ide(?=as?$)|^are(?=as?$)|ying|eing|uing|oing"
)


@lru_cache(maxsize=65_536)
def syllables(word: str) -> int:
    """Syllables of one word in small letters, at least 1. Parts around a hyphen count each."""
    if "-" in word:
        return sum(syllables(part) for part in word.split("-") if part)
    if word.endswith(("'s", "n't")):
        return syllables(word[:-2]) if word.endswith("'s") else _negated(word)
    count = len(VOWELS.findall(word)) - len(FEWER.findall(word)) + len(MORE.findall(word))
    return max(1, count)


def _negated(word: str) -> int:
    return syllables(word[:-3]) + (word[:-3] in {"did", "could", "would", "should", "has", "is", "was", "does"})
