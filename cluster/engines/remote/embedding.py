"""Embeddings from elsewhere: an OpenAI-compatible endpoint's `/embeddings`, or Ollama's `/api/embed`.

There is no tokenizer here. So documents are refused, which are cut by an embedder's tokens, and token ids as
inputs; and a text that is too long is refused by the provider, not cut here.
"""

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from itertools import accumulate
from typing import TYPE_CHECKING, Any

from cluster.engines.reading import BATCH_TOKENS, Reading
from cluster.engines.remote import refusals
from cluster.engines.remote.connection import Connection, Place
from cluster.engines.remote.facts import ASSUMED_CONTEXT
from cluster.engines.remote.lines import parsed, written
from cluster.engines.remote.loop_thread import LoopThread
from cluster.engines.remote.presence import AGAIN_S, Presence
from cluster.errors import BadRequest, ContextTooLong, EngineDead, ProviderFailure, UnsupportedParameter
from cluster.settings.remote import OllamaSettings, OpenAISettings
from cluster.types import Capabilities, Embeddings, Task, Tokenized

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

PARAMETERS = frozenset({"model", "input", "encoding_format", "user"})
AT_ONCE = 256  # texts of one request to the provider: the most that all known ones take
PROBE_S = 10.0  # for the one embedding that shows how many dimensions there are: Ollama may load the model for it
VECTOR_BYTES = 64 * 1024**2  # of one request's answer: 256 vectors of 4,096 numbers in digits are 24 MB
OPENAI, OLLAMA = "/embeddings", "/api/embed"


@dataclass(frozen=True, slots=True, kw_only=True)
class TextBatch:
    """Texts on their way. tokens: filled in by `core`, which alone hears them from the provider."""

    texts: tuple[str, ...]
    tokens: list[int]


class RemoteEmbedder:
    """An embedding engine whose model runs elsewhere.

    `start` asks for one embedding, for at most ten seconds, to know the dimensions, and returns whatever happens;
    until they are known it is asked again every few seconds. The setting `dimensions` saves the question.
    """

    def __init__(
        self,
        settings: OpenAISettings | OllamaSettings,
        *,
        place: Place,
        context_length: int | None = None,
        again_s: float = AGAIN_S,
    ) -> None:
        """context_length: tokens that the model reads; None assumes 8192, of which nothing here depends."""
        self._settings = settings
        self._connection = Connection(place, settings)
        self._presence = Presence(self._learn, again_s=again_s)
        self._identity = f"{place.base}\n{settings.model}"
        self._context_length = context_length or ASSUMED_CONTEXT
        self._dimensions = settings.dimensions
        self._thread: LoopThread | None = None

    @property
    def capabilities(self) -> Capabilities:
        """dimensions is 0 while they are not known."""
        return Capabilities(
            task=Task.EMBEDDING,
            context_length=self._context_length,
            dimensions=self._dimensions or 0,
            parameters=PARAMETERS,
        )

    @property
    def revision(self) -> str:
        """A hash of where the model is and what it is called there: nobody tells which weights those are."""
        return blake2b(self._identity.encode(), digest_size=6).hexdigest()

    def start(self) -> None:
        """Ask how many dimensions there are. Raises StartFailed only for what is wrong on our side."""
        if self._thread is not None:
            return
        self._thread = LoopThread()
        self._thread.run(self._connection.start())
        if self._dimensions is None:
            self._thread.run(self._presence.start())

    def stop(self) -> None:
        """Close all connections; calling it twice is harmless."""
        thread, self._thread = self._thread, None
        if thread is not None:
            thread.run(self._presence.stop())
            thread.run(self._connection.stop())
            thread.stop()

    def tokenize(self, text: str) -> list[tuple[int, int]]:  # noqa: ARG002  # the promise has it
        """Refused: documents are cut by an embedder's own tokens, and this one's are not known here."""
        raise self._no_tokens("so it cuts no documents: configure an embedder that runs here for those")

    def encode(self, text: str, *, special: bool, strings: bool) -> Tokenized:  # noqa: ARG002
        """Refused: the tokenizer is at the provider."""
        raise self._no_tokens("so it tokenises no texts")

    def decode(self, tokens: Sequence[int]) -> str:  # noqa: ARG002  # the promise has it
        """Refused: the tokenizer is at the provider."""
        raise self._no_tokens("so it takes no token ids", param="tokens")

    def read(self, inputs: Sequence[str] | Sequence[Sequence[int]]) -> Reading:
        """The texts, checked as `pre` does. Their number fills a request: their tokens are not known here."""
        texts = self.pre(inputs).texts
        return Reading(items=texts, sizes=(BATCH_TOKENS // AT_ONCE,) * len(texts))

    def pre(self, inputs: Sequence[str] | Sequence[Sequence[int]]) -> TextBatch:
        """Check that all are texts. Raises UnsupportedParameter for token ids, BadRequest for an empty text."""
        texts = []
        for place, text in enumerate(inputs):
            if not isinstance(text, str):
                raise self._no_tokens("so it takes no token ids", param=f"input[{place}]")
            if not text:
                raise BadRequest(f"input[{place}] is empty", param=f"input[{place}]")
            texts.append(text)
        return TextBatch(texts=tuple(texts), tokens=[])

    def core(self, batch: TextBatch) -> "NDArray[np.float32]":
        """The provider's vectors: float32, shape (n, dimensions). Raises as chat engines do."""
        import numpy as np

        if self._thread is None:
            raise EngineDead(f"{self._connection.name}: the embedder is not started")
        found = []
        for first in range(0, len(batch.texts), AT_ONCE):
            texts = batch.texts[first : first + AT_ONCE]
            vectors, tokens = self._thread.run(self._ask(texts))
            batch.tokens.extend(shared(tokens, texts))
            found.append(vectors)
        return np.concatenate(found)

    def post(self, batch: TextBatch, vectors: "NDArray[np.float32]") -> Embeddings:
        """Normalise to unit length. The tokens of each text are its share, by length, of what all took."""
        import numpy as np

        lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
        unit = (vectors / np.maximum(lengths, 1e-12)).astype(np.float32)
        return Embeddings(vectors=unit, tokens=tuple(batch.tokens))

    def embed(self, inputs: Sequence[str] | Sequence[Sequence[int]]) -> Embeddings:
        """`pre`, `core`, `post`; the result keeps the order of the inputs."""
        batch = self.pre(inputs)
        return self.post(batch, self.core(batch))

    async def _learn(self) -> None:
        vectors, _ = await self._ask(("dimensions",), total_s=PROBE_S)
        self._dimensions = int(vectors.shape[1])

    async def _ask(self, texts: Sequence[str], total_s: float | None = None) -> "tuple[NDArray[np.float32], int]":
        """The vectors of some texts, and how many tokens all had together."""
        settings, name = self._settings, self._connection.name
        body: dict[str, Any] = {"model": settings.model, "input": list(texts)}
        if isinstance(settings, OllamaSettings):
            path = OLLAMA
            body |= {"truncate": False, "options": settings.options}
            body |= {} if settings.keep_alive is None else {"keep_alive": settings.keep_alive}
        else:
            path = OPENAI
            body["encoding_format"] = "float"
        async with self._connection.ask(path, written(body), total_s=total_s) as reply:
            try:
                await refusals.raise_for(reply, self._connection)
            except ContextTooLong as error:
                raise ContextTooLong(error.message, hint="send shorter texts", param="input") from None
            answer = parsed(await reply.whole(VECTOR_BYTES), name)
        vectors = _vectors(answer, len(texts), self._dimensions)
        if vectors is None:
            raise ProviderFailure(f"{name} answered with something that is not an embedding of each text")
        return vectors, _tokens(answer)

    def _no_tokens(self, so: str, param: str | None = None) -> UnsupportedParameter:
        return UnsupportedParameter(
            f"The embedder {self._settings.model} runs elsewhere and its tokens are not known here, {so}",
            hint="send texts, or use an embedder of kind sentence",
            param=param,
        )


def shared(total: int, texts: Sequence[str]) -> list[int]:
    """A sum of tokens as shares by the texts' bytes: whole numbers whose sum it is."""
    ends = list(accumulate(len(text.encode(errors="replace")) for text in texts))
    cuts = [total * end // max(ends[-1], 1) for end in ends]
    return [cut - before for before, cut in zip([0, *cuts], cuts, strict=False)]


def _tokens(answer: Mapping[str, Any]) -> int:
    usage = answer.get("usage")
    count = usage.get("prompt_tokens") if isinstance(usage, Mapping) else answer.get("prompt_eval_count")
    return count if isinstance(count, int) and count >= 0 else 0


def _vectors(answer: Mapping[str, Any], count: int, dimensions: int | None) -> "NDArray[np.float32] | None":
    """The vectors in their order, None where they are not as many, as long or as finite as they should be."""
    import numpy as np

    rows: Any = answer.get("embeddings")
    if rows is None:
        listed = answer.get("data")
        placed = {one.get("index"): one.get("embedding") for one in listed or () if isinstance(one, dict)}
        rows = [placed.get(place) for place in range(count)]
    try:
        vectors = np.array([_numbers(row) for row in rows], dtype=np.float32)
    except (ValueError, TypeError):
        return None
    if vectors.ndim != 2 or len(vectors) != count or not vectors.shape[1] or not np.isfinite(vectors).all():
        return None
    return vectors if dimensions in (None, vectors.shape[1]) else None


def _numbers(row: Any) -> "NDArray[np.float32] | list[float]":
    """A vector: numbers, or their bytes in base64, which some send unasked."""
    import numpy as np

    return np.frombuffer(base64.b64decode(row, validate=True), dtype="<f4") if isinstance(row, str) else row
