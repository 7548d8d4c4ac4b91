"""How varied an answer's words are, whatever its length: HD-D and MATTR.

The share of different words falls as a text grows, so it would only measure length. HD-D (McCarthy and Jarvis
2010) asks how many types a random draw of 42 words has, MATTR (Covington and McFall 2010) averages the share of
types over all windows of 50 words. `lexical_diversity/1` is 100 times the mean of both.
"""

from collections import Counter, deque
from collections.abc import Sequence

from pipelines.sweeps.scoring.answer import Answer
from pipelines.sweeps.scoring.measure import Measure, absent, scored

LEXICAL_DIVERSITY = "lexical_diversity/1"
DRAW = 42
WINDOW = 50


def lexical_diversity(answer: Answer) -> Measure:
    """`lexical_diversity/1` and its features; words in any letter case are one."""
    if answer.without_words:
        return absent(answer.without_words)
    folded = answer.folded
    if len(folded) < WINDOW:
        return absent(f"fewer than {WINDOW} words")
    drawn, moving = hdd(folded), mattr(folded)
    return scored(50 * (drawn + moving), hdd_42=drawn, mattr_50=moving)


def hdd(words: Sequence[str], draw: int = DRAW) -> float:
    """The types expected in `draw` words drawn without putting back, over `draw`: above 0, at most 1.

    words: at least `draw`.
    """
    total, expected = len(words), 0.0
    missed, seen = 1.0, 0  # chance that a type with `seen` occurrences is in no draw
    for frequency, types in sorted(Counter(Counter(words).values()).items()):
        while seen < frequency:
            missed *= max(0, total - draw - seen) / (total - seen)
            seen += 1
        expected += types * (1 - missed)
    return expected / draw


def mattr(words: Sequence[str], window: int = WINDOW) -> float:
    """The mean share of types over all windows of `window` words: above 0, at most 1. words: no fewer."""
    inside: dict[str, int] = {}
    recent: deque[str] = deque()
    types = 0
    for place, word in enumerate(words):
        recent.append(word)
        inside[word] = inside.get(word, 0) + 1
        if place >= window:
            gone = recent.popleft()
            inside[gone] -= 1
            if not inside[gone]:
                del inside[gone]
        if place >= window - 1:
            types += len(inside)
    return types / (window * (len(words) - window + 1))
