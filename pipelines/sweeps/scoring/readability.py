"""How easy English running text reads: Flesch reading ease and the Automated Readability Index.

`readability/1` is Flesch's 206.835 - 1.015 words/sentence - 84.6 syllables/word, held within 0 to 100: that scale
runs from 0 (a scholarly paper) to 100 (a child's book) as it is. ARI, 4.71 letters/word + 0.5 words/sentence -
21.43, is a school grade, and stands beside it as a feature: it needs no syllables, which are an estimate.
"""

from pipelines.sweeps.scoring.answer import Answer
from pipelines.sweeps.scoring.measure import Measure, absent, scored
from pipelines.sweeps.scoring.syllables import syllables
from pipelines.sweeps.scoring.words import words

READABILITY = "readability/1"
ENOUGH = 10  # words: below, one long word decides


def readability(answer: Answer) -> Measure:
    """`readability/1` and its features, of the answer's running text: lists, headings and code do not count."""
    if answer.not_english:
        return absent(answer.not_english)
    found = [word for sentence in answer.prose for word in words(sentence)]
    spoken = [word.lower().replace("’", "'") for word in found if not word[0].isdigit()]
    if len(spoken) < ENOUGH:
        return absent(f"fewer than {ENOUGH} words of running text")
    count = len(answer.prose)
    beats = sum(map(syllables, spoken))
    ease = flesch(words=len(spoken), sentences=count, syllables=beats)
    letters = sum(map(str.isalnum, "".join(found)))
    grade = ari(words=len(found), sentences=count, letters=letters)
    return scored(
        ease,
        flesch_reading_ease=ease,
        automated_readability_index=grade,
        syllables_per_word=beats / len(spoken),
        words_per_sentence=len(found) / count,
    )


def flesch(*, words: int, sentences: int, syllables: int) -> float:
    """Flesch reading ease (1948). Higher is easier; without bounds."""
    return 206.835 - 1.015 * words / sentences - 84.6 * syllables / words


def ari(*, words: int, sentences: int, letters: int) -> float:
    """Automated Readability Index (Smith and Senter 1967), about a school grade. Higher is harder."""
    return 4.71 * letters / words + 0.5 * words / sentences - 21.43
