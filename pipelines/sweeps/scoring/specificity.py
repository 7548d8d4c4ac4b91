"""How concrete an English answer is: a proxy, from its words alone. It knows nothing of whether they are true.

`specificity/1` is 100 times the mean of three shares, each held within 0 to 1:

    content    (content words / words - 0.35) / 0.30
    concrete   d / (d + 10), d = numbers and names in 100 words
    rarity     (5.5 - mean Zipf frequency of the content words) / 2

Content words are those that are no function words. A name is a word with a capital letter that does not begin a
sentence. Zipf frequencies (`wordfreq`, English) run from 1, one in a hundred million, to 8; words it does not
know say nothing. The bounds lie where vague talk and dense technical prose do (docs/metrics.md).
"""

from functools import cache
from math import log10
from statistics import fmean

from pipelines.sweeps.scoring.answer import Answer
from pipelines.sweeps.scoring.english import FUNCTION
from pipelines.sweeps.scoring.measure import Measure, absent, scored, share
from pipelines.sweeps.scoring.words import words

SPECIFICITY = "specificity/1"
ENOUGH = 10  # words


def specificity(answer: Answer) -> Measure:
    """`specificity/1` and its features."""
    if answer.not_english:
        return absent(answer.not_english)
    folded = answer.folded
    if len(folded) < ENOUGH:
        return absent(f"fewer than {ENOUGH} words")
    numbers = sum(word[0].isdigit() for word in folded)
    content = [word for word in folded if not word[0].isdigit() and word not in FUNCTION]
    known = zipf_frequencies()
    frequencies = [known[word] for word in content if word in known]
    if not frequencies:
        return absent("none of its words is in the list of English words")
    ratio = (len(content) + numbers) / len(folded)
    concrete = 100 * (numbers + _names(answer)) / len(folded)
    zipf = fmean(frequencies)
    parts = (share((ratio - 0.35) / 0.30), concrete / (concrete + 10), share((5.5 - zipf) / 2))
    return scored(
        100 * fmean(parts),
        content_ratio=ratio,
        numbers_per_100_words=100 * numbers / len(folded),
        names_per_100_words=concrete - 100 * numbers / len(folded),
        mean_zipf_frequency=zipf,
    )


@cache
def zipf_frequencies() -> dict[str, float]:
    """English words in small letters and how often each is used: log10 of uses in a billion words.

    Read from the installed package, once a process: about a second and 40 MB.
    """
    import wordfreq

    frequencies = wordfreq.get_frequency_dict("en", wordlist="large")
    return {word: log10(frequency) + 9 for word, frequency in frequencies.items()}


def _names(answer: Answer) -> int:
    count = 0
    for sentence in answer.all_sentences:
        for word in words(sentence)[1:]:
            count += word[0].isupper() and word != "I" and not word.startswith(("I'", "I’"))
    return count
