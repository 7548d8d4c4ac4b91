"""Tokens of the engines without a model: a token is a word, and its number the word's hash."""

from collections.abc import Sequence
from hashlib import blake2b

from cluster.errors import UnsupportedParameter
from cluster.types import Tokenized


def word_tokens(words: Sequence[str], *, strings: bool) -> Tokenized:
    """The words by their hashes: the same word is always the same number, below 2^31."""
    tokens = tuple(
        int.from_bytes(blake2b(word.encode(errors="replace"), digest_size=4).digest()) >> 1 for word in words
    )
    return Tokenized(tokens=tokens, texts=tuple(words) if strings else None)


def no_vocabulary(who: str, param: str = "tokens") -> UnsupportedParameter:
    """The error for token ids where nobody knows what they are of."""
    return UnsupportedParameter(
        f"{who} has no vocabulary, so it takes no token ids", hint="send texts", param=param
    )
