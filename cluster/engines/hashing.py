"""The fake embedder: a vector is the sum of its words' hashes.

Texts that share words are close, texts that share none are near orthogonal. No model, no torch, always the same.
"""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import TYPE_CHECKING

from cluster.engines.reading import Reading
from cluster.engines.words import no_vocabulary, word_tokens
from cluster.errors import BadRequest, UnsupportedParameter
from cluster.settings.engines import HashSettings
from cluster.types import Capabilities, Embeddings, Task, Tokenized

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

TOKEN = re.compile(r"\w+|[^\w\s]")
CONTEXT_LENGTH = 8192  # tokens that are read of one text; the rest is cut and counted
SPREAD = 4  # places of the vector that one word touches: few enough that words stay apart


@dataclass(frozen=True, slots=True, kw_only=True)
class WordBatch:
    """Texts as words. tokens: how many of each were read."""

    words: tuple[tuple[str, ...], ...]
    tokens: tuple[int, ...]
    truncated: int


class HashEmbedder:
    """An embedding engine without a model."""

    def __init__(self, settings: HashSettings) -> None:
        self._dimensions = settings.dimensions

    @property
    def capabilities(self) -> Capabilities:
        """Known before `start`."""
        return Capabilities(
            task=Task.EMBEDDING,
            context_length=CONTEXT_LENGTH,
            dimensions=self._dimensions,
            parameters=frozenset({"model", "input", "encoding_format", "user"}),
        )

    @property
    def revision(self) -> str:
        """Changes with the dimensions, as the vectors do."""
        return blake2b(f"words/{SPREAD}/{self._dimensions}".encode(), digest_size=6).hexdigest()

    def start(self) -> None:
        """Nothing to load."""

    def tokenize(self, text: str) -> list[tuple[int, int]]:
        """The spans of words and punctuation marks."""
        return [match.span() for match in TOKEN.finditer(text)]

    def encode(self, text: str, *, special: bool, strings: bool) -> Tokenized:  # noqa: ARG002  # the promise has it
        """Words and punctuation marks by their hashes; there are no special tokens."""
        return word_tokens(TOKEN.findall(text.lower()), strings=strings)

    def decode(self, tokens: Sequence[int]) -> str:  # noqa: ARG002  # the promise has it
        """Refused: a hash does not say what it was of."""
        raise no_vocabulary("This embedder")

    def read(self, inputs: Sequence[str] | Sequence[Sequence[int]]) -> Reading:
        """The texts, checked as `pre` does; words are found again when they are hashed."""
        batch = self.pre(inputs)
        return Reading(items=tuple(inputs), sizes=batch.tokens, truncated=batch.truncated)

    def pre(self, inputs: Sequence[str] | Sequence[Sequence[int]]) -> WordBatch:
        """Split into words. Raises BadRequest for an empty text, UnsupportedParameter for token ids."""
        words = []
        truncated = 0
        for position, text in enumerate(inputs):
            if not isinstance(text, str):
                raise UnsupportedParameter(
                    "This embedder has no vocabulary, so it takes no token ids",
                    hint="send texts",
                    param=f"input[{position}]",
                )
            found = TOKEN.findall(text.lower())
            if not found:
                raise BadRequest(
                    f"input[{position}] is empty", hint="send text with a word in it", param=f"input[{position}]"
                )
            truncated += len(found) > CONTEXT_LENGTH
            words.append(tuple(found[:CONTEXT_LENGTH]))
        return WordBatch(words=tuple(words), tokens=tuple(map(len, words)), truncated=truncated)

    def core(self, batch: WordBatch) -> "NDArray[np.float32]":
        """Sum the words' vectors, each damped by how often the word comes."""
        import numpy as np

        vectors = np.zeros((len(batch.words), self._dimensions), dtype=np.float32)
        for row, words in enumerate(batch.words):
            counts = Counter(word for word in words if word[0].isalnum()) or Counter(words)
            for word, count in counts.items():
                for place, sign in _places(word, self._dimensions):
                    vectors[row, place] += sign * np.sqrt(count)
        return vectors

    def post(self, batch: WordBatch, vectors: "NDArray[np.float32]") -> Embeddings:
        """Normalise to unit length; a text whose words cancel out points along the first axis."""
        import numpy as np

        lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
        unit = np.where(lengths > 0, vectors / np.maximum(lengths, 1e-12), np.eye(1, vectors.shape[1]))
        return Embeddings(vectors=unit.astype(np.float32), tokens=batch.tokens, truncated=batch.truncated)

    def embed(self, inputs: Sequence[str] | Sequence[Sequence[int]]) -> Embeddings:
        """`pre`, `core`, `post` in one go: hashing gains nothing from sorting by length."""
        batch = self.pre(inputs)
        return self.post(batch, self.core(batch))


def _places(word: str, dimensions: int) -> list[tuple[int, int]]:
    """The places that a word touches, with their signs."""
    digest = blake2b(word.encode(), digest_size=8 * SPREAD).digest()
    numbers = [int.from_bytes(digest[at : at + 8]) for at in range(0, len(digest), 8)]
    return [((number >> 1) % dimensions, 1 if number & 1 else -1) for number in numbers]
