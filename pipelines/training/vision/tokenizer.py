"""The tokenizer of spark-vision: common words are whole, every capital of a printed word is a token of its own.

So a printed word is spelled letter by letter, and a word that was never seen is as easy as any other.
"""

from collections.abc import Iterable

from tokenizers import Regex, decoders, models, pre_tokenizers, trainers  # type: ignore[import-untyped]  # no stubs

from pipelines.training.prompts import SPECIAL_TOKENS
from pipelines.training.tokenizer import Tokenizer
from pipelines.training.vision.shape import IMAGE_TOKEN

SPECIALS = (*SPECIAL_TOKENS, IMAGE_TOKEN)
_PATTERN = r"\p{Lu}\p{Ll}+| ?\p{Ll}+|\p{L}|\p{N}| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"


def train_tokenizer(vocab_size: int, corpus: Iterable[str]) -> Tokenizer:
    """Train a tokenizer of at most `vocab_size` tokens; any bytes encode."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(_PATTERN), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        special_tokens=list(SPECIALS),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(corpus, trainer)
    return tokenizer
