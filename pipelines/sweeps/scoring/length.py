"""Whether an answer is as long as it was asked to be; where nobody asked, as long as the others to its prompt.

`length_appropriateness/1`: an answer within its target has 100, and one outside loses 50 for each doubling or
halving beyond the nearer bound, so that four times too long or too short has 0. A target is what the prompt says
in so many words ("in 50 words", "three sentences", "a list of 5"); of several, the mean. Words that are asked for
without "at most" and the like may differ by a tenth. Without a target the bound is the median length of all
answers to the prompt: no length is ideal in itself.
"""

from math import log2
from statistics import fmean

from pipelines.sweeps.scoring.answer import Answer
from pipelines.sweeps.scoring.demands import Length, demands_of
from pipelines.sweeps.scoring.items import items_in
from pipelines.sweeps.scoring.markup import Kind
from pipelines.sweeps.scoring.measure import Feature, Measure, absent, scored, share

LENGTH = "length_appropriateness/1"
ENOUGH = 3  # answers to a prompt for a median to mean something


def against_prompt(answer: Answer) -> Measure:
    """`length_appropriateness/1` against the prompt's targets; absent where it names none that can be counted."""
    demands = demands_of(answer.prompt)
    features: dict[str, Feature] = {}
    scores = []
    for length in demands.lengths:
        if length.unit == "words" and answer.without_words and answer.text.strip():
            continue  # code, or a script without spaces: not nothing, but nothing that can be counted
        found = counted(answer, length.unit)
        features |= {f"{length.unit}_asked": _shown(length), f"{length.unit}_found": found}
        scores.append(fit(found, least=length.least, most=length.most))
    if demands.items is not None and (items := items_in(answer)) is not None:
        scores.append(fit(items, least=demands.items, most=demands.items))
    if not scores:
        return absent("the prompt names no length, and a median needs other answers to it")
    return scored(fmean(scores), **features)


def against_median(words: int, median: float, answers: int) -> Measure:
    """The same against the median number of words of all answers to the prompt."""
    if answers < ENOUGH:
        return absent(f"the prompt names no length, and it has fewer than {ENOUGH} answers to compare with")
    return scored(fit(words, least=median, most=median), words_median=median)


def fit(found: float, *, least: float, most: float | None) -> float:
    """100 within the bounds, 50 less for each doubling beyond them, 0 for nothing at all."""
    if found < least:
        return 100 * share(1 - log2(least / found) / 2) if found else 0.0
    if most is not None and found > most:
        return 100 * share(1 - log2(found / most) / 2) if most else 0.0
    return 100.0


def counted(answer: Answer, unit: str) -> int:
    """How many words, sentences or paragraphs the answer has."""
    if unit == "words":
        return len(answer.words)
    if unit == "sentences":
        return len(answer.all_sentences)
    return sum(block.kind is Kind.PROSE for block in answer.blocks)


def _shown(length: Length) -> str:
    return f"{length.least:g} to {length.most:g}" if length.most is not None else f"{length.least:g} or more"
