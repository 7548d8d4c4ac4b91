"""Whether a text reads like English, and which of its words say what, not how they hang together."""

from collections.abc import Sequence

ENOUGH = 20  # words: a shorter text can be English without one telling word
LEAST = 0.05  # share of telling words; English running text has about 0.25

# fmt: off
TELLING = frozenset((  # English, and hardly a word of another language
    "about", "all", "also", "and", "any", "are", "be", "because", "been", "but", "by", "can", "could", "each",
    "from", "has", "have", "her", "his", "how", "if", "into", "is", "it", "its", "may", "more", "most", "not",
    "or", "other", "our", "should", "such", "than", "that", "the", "their", "them", "then", "there", "these",
    "they", "this", "those", "through", "to", "use", "we", "were", "what", "when", "where", "which", "while",
    "who", "with", "would", "you", "your",
))
FUNCTION = TELLING - {"use"} | frozenset((
    "a", "above", "across", "after", "again", "against", "ain't", "along", "although", "always", "am", "among",
    "an", "another", "anyone", "anything", "aren't", "around", "as", "at", "away", "became", "become", "becomes",
    "before", "being", "below", "between", "both", "can't", "cannot", "couldn't", "did", "didn't", "do", "does",
    "doesn't", "doing", "don't", "done", "down", "during", "either", "else", "enough", "even", "ever", "every",
    "everyone", "everything", "few", "for", "further", "get", "gets", "getting", "had", "hadn't", "hasn't",
    "haven't", "having", "he", "he's", "here", "hers", "herself", "him", "himself", "however", "i", "i'd",
    "i'll", "i'm", "i've", "in", "indeed", "instead", "isn't", "it's", "itself", "just", "least", "less", "let",
    "let's", "like", "made", "make", "makes", "many", "me", "might", "mine", "much", "must", "my", "myself",
    "neither", "never", "no", "nobody", "none", "nor", "nothing", "now", "of", "off", "often", "on", "once",
    "one", "ones", "only", "onto", "others", "ours", "ourselves", "out", "over", "own", "per", "perhaps",
    "quite", "rather", "really", "same", "shall", "she", "she's", "shouldn't", "since", "so", "some", "someone",
    "something", "somewhere", "still", "than", "that's", "theirs", "themselves", "there's", "therefore",
    "they'll", "they're", "they've", "though", "thus", "together", "too", "toward", "towards", "under", "unless",
    "until", "up", "upon", "us", "very", "via", "was", "wasn't", "we'll", "we're", "we've", "well", "weren't",
    "whatever", "whenever", "whether", "whose", "whom", "why", "will", "within", "without", "won't", "wouldn't",
    "yet", "you'd", "you'll", "you're", "you've", "yours", "yourself",
))
# fmt: on
"""Function words: articles, pronouns, prepositions, conjunctions, auxiliaries, and adverbs that carry little."""


def foreign(folded: Sequence[str]) -> str | None:
    """Why words in small letters are plainly not English; None where they may be."""
    if len(folded) >= ENOUGH and sum(word in TELLING for word in folded) < LEAST * len(folded):
        return "does not read like English"
    return None
