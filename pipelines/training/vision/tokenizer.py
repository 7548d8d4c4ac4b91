"""The tokenizer of spark-vision: common words are whole, every capital of a printed word is a token of its own.

So a printed word is spelled letter by letter, and a word that was never seen is as easy as any other.
"""

from collections.abc import Iterable

from pipelines.training.prompts import SPECIAL_TOKENS
from pipelines.training.tokenizer import Tokenizer, train_byte_level
from pipelines.training.vision.shape import IMAGE_TOKEN

SPECIALS = (*SPECIAL_TOKENS, IMAGE_TOKEN)
_PATTERN = r"\p{Lu}\p{Ll}+| ?\p{Ll}+|\p{L}|\p{N}| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"


def train_tokenizer(vocab_size: int, corpus: Iterable[str]) -> Tokenizer:
    """Train a tokenizer of at most `vocab_size` tokens; any bytes encode."""
    return train_byte_level(_PATTERN, vocab_size, SPECIALS, corpus)
