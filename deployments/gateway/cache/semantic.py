"""The semantic cache: a question that is near enough to one that was asked has its answer.

Everything but the words of the last question must be equal (keys.bucket_key), the owner too. What is kept is a
vector and the key of an answer; the answer itself is in the exact cache, under that key alone: an answer that was
given for a near question is not kept for it, or one step after the other would lead anywhere.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from time import monotonic

from cluster.errors import BadRequest, HeliostatError
from cluster.settings.gateway import SemanticSettings
from cluster.types import EmbeddingCall, Priority
from deployments.clients import Embedder
from deployments.gateway.cache.keys import bucket_key, question_of
from deployments.gateway.cache.questions import QuestionStore
from deployments.gateway.limits import usage
from deployments.gateway.limits.gate import Gate
from deployments.gateway.principal import LOCAL
from deployments.gateway.wire import ChatRequest

logger = logging.getLogger(__name__)

PATIENCE_S = 0.5  # an embedding that takes longer saves too little
PAUSE_S = 5.0  # an embedder that is away or busy is left alone for that long, or every miss would wait for it
ROUNDING = 1e-6  # of float32: a vector times itself may be a little less than 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Embedded:
    """A question's place. space: the embedding model that it is of, its revision and its configuration."""

    vector: bytes
    space: str


class QuestionEmbedder:
    """Embeds questions for the cache: behind all who want embeddings for themselves, and charged to nobody.

    configured: the embedding model's settings, as text.
    """

    def __init__(
        self, embedder: Embedder, gate: Gate, configured: str, *, clock: Callable[[], float] = monotonic
    ) -> None:
        self._embedder = embedder
        self._gate = gate.of_batches()
        self._configured = configured
        self._clock = clock
        self._away_until = float("-inf")

    async def embed(self, text: str, *, owner: str, request_id: str) -> Embedded | None:
        """None for a text that cannot be embedded whole, and while the embedder is away or busy."""
        if not text or self._clock() < self._away_until:
            return None
        call = EmbeddingCall(inputs=(text,), request_id=request_id)
        try:
            async with asyncio.timeout(PATIENCE_S):
                card = await self._embedder.card()
                async with self._gate.admit(
                    replace(LOCAL, owner=owner),
                    card.id,
                    priority=Priority.BACKGROUND,
                    estimate=usage.of_inputs(call.inputs),
                ):
                    made = await self._embedder.embed(call)
        except BadRequest:
            return None
        except (HeliostatError, TimeoutError) as error:
            self._away_until = self._clock() + PAUSE_S
            logger.warning("the embedder does not answer, no near questions: %s", type(error).__name__)
            return None
        if made.truncated:  # what was cut off may be what makes the difference
            return None
        vector = made.vectors[0].astype("<f4").tobytes()
        return Embedded(vector=vector, space=f"{card.id}\n{card.revision}\n{self._configured}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What a request asks last, and all else that its answer depends on. body: the request."""

    text: str
    body: bytes
    owner: str
    model: str
    revision: str
    configured: str
    request_id: str

    @classmethod
    def of(
        cls, wanted: ChatRequest, *, body: bytes, owner: str, revision: str, configured: str, request_id: str
    ) -> "Question | None":
        """None where the request does not end with a question in plain text."""
        text = question_of(wanted)
        if text is None:
            return None
        return cls(
            text=text,
            body=body,
            owner=owner,
            model=wanted.model,
            revision=revision,
            configured=configured,
            request_id=request_id,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Placed:
    """A question with its vector, and the bucket whose questions it may be near to."""

    owner: str
    bucket: str
    vector: bytes


class SemanticCache:
    """What was asked of one gateway, or of all that share a Redis."""

    def __init__(self, settings: SemanticSettings, store: QuestionStore, embedder: QuestionEmbedder) -> None:
        self._threshold = settings.threshold
        self._store = store
        self._embedder = embedder

    async def place(self, question: Question) -> Placed | None:
        """None where it cannot be embedded just now."""
        owner = question.owner
        found = await self._embedder.embed(question.text, owner=owner, request_id=question.request_id)
        if found is None:
            return None
        bucket = bucket_key(
            question.body,
            owner=owner,
            model=question.model,
            revision=question.revision,
            configured=question.configured,
            space=found.space,
        )
        return Placed(owner=owner, bucket=bucket, vector=found.vector)

    async def near(self, placed: Placed) -> list[str]:
        """The keys of the answers to questions at or above the threshold, the nearest first."""
        asked = await self._store.asked(placed.bucket)
        if not asked:
            return []
        return await asyncio.to_thread(nearest, placed.vector, asked, self._threshold)

    async def add(self, placed: Placed, key: str) -> None:
        """Remember that a question has the answer of that key."""
        await self._store.add(placed.owner, placed.bucket, key, placed.vector)

    async def forget(self, placed: Placed, keys: list[str]) -> None:
        """The answers of those keys are gone."""
        await self._store.forget(placed.owner, placed.bucket, keys)

    async def close(self) -> None:
        """Give back what its store holds."""
        await self._store.close()


def nearest(vector: bytes, asked: Mapping[str, bytes], threshold: float) -> list[str]:
    """The keys whose vectors have at least that cosine with a vector, the nearest first. All are of unit length."""
    import numpy as np

    keys = [key for key, other in asked.items() if len(other) == len(vector)]
    if not keys:
        return []
    rows = np.frombuffer(b"".join(asked[key] for key in keys), dtype="<f4").reshape(len(keys), -1)
    cosines = rows @ np.frombuffer(vector, dtype="<f4")
    order = np.argsort(-cosines, kind="stable")
    return [keys[place] for place in order if cosines[place] >= threshold - ROUNDING]
