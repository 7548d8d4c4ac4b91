"""What crosses a process boundary: frozen, slotted, keyword-only dataclasses.

Importing this module loads neither Ray nor torch; a test holds that.
"""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class Task(StrEnum):
    """What a model is for."""

    CHAT = "chat"
    EMBEDDING = "embedding"


class Priority(StrEnum):
    """Who waits for whom inside an engine: interactive requests go before background ones."""

    INTERACTIVE = "interactive"
    BACKGROUND = "background"


@dataclass(frozen=True, slots=True, kw_only=True)
class Capabilities:
    """What a loaded model can do.

    context_length: tokens of prompt plus completion. dimensions: of an embedding, 0 for chat models.
    parameters: the names of the request parameters that this engine honours.
    """

    task: Task
    context_length: int
    images: bool = False
    dimensions: int = 0
    parameters: frozenset[str] = frozenset()

    @property
    def names(self) -> tuple[str, ...]:
        """The same in the catalog's words: `embedding`; or `chat`, with `vision` and `tools` where it has them."""
        if self.task is Task.EMBEDDING:
            return ("embedding",)
        more = {"vision": self.images, "tools": "tools" in self.parameters}
        return ("chat", *(name for name, has in more.items() if has))


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelCard:
    """One model as `/v1/models` lists it. created: Unix seconds at which its replica loaded it.

    memory_gib: of weights and KV cache, None where nobody knows.
    """

    id: str
    engine: str
    revision: str
    created: int
    capabilities: Capabilities
    memory_gib: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ChatCall:
    """One chat completion on its way to a replica.

    body: a JSON object, already checked by the gateway (or written by a pipeline), in OpenAI's shape.
    """

    body: bytes
    request_id: str
    priority: Priority = Priority.INTERACTIVE


@dataclass(frozen=True, slots=True, kw_only=True)
class EmbeddingCall:
    """Texts, or lists of the embedder's own token ids, to embed."""

    inputs: tuple[str, ...] | tuple[tuple[int, ...], ...]
    request_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Embeddings:
    """vectors: float32, shape (n, dimensions), unit length. tokens: how many each input held.

    truncated: how many inputs were longer than the model reads.
    """

    vectors: "NDArray[np.float32]"
    tokens: tuple[int, ...]
    truncated: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Chunk:
    """A piece of a document. start, end: character span in the document's text. page: from 1, or None.

    id is a hash of the document's bytes, the chunker's settings and the ordinal: the same input gives the
    same id, so writing it twice changes nothing.
    """

    id: str
    document_id: str
    source: str
    ordinal: int
    start: int
    end: int
    text: str
    tokens: int
    page: int | None = None
    heading: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Passage:
    """A chunk that a search found. score: cosine similarity to the query, -1 to 1."""

    chunk: Chunk
    score: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """A stored document. id: SHA-256 of its bytes, hex."""

    id: str
    source: str
    media_type: str
    chunks: int
    pages: int | None = None
    characters: int = 0
    created: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class EmbedderIdentity:
    """Which embedder filled a collection; querying with another is refused."""

    model: str
    revision: str
    dimensions: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """A grounded answer. passages: what the model was shown, best first; usage: its tokens."""

    text: str
    model: str
    passages: tuple[Passage, ...]
    finish_reason: str
    usage: "Usage"


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """Tokens of one completion."""

    prompt_tokens: int = 0
    completion_tokens: int = 0

    @property
    def total_tokens(self) -> int:
        """Prompt and completion together."""
        return self.prompt_tokens + self.completion_tokens


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """What a part says of itself. status: `running`, `degraded` or `failed`."""

    status: str
    detail: str = ""
    figures: dict[str, float] = field(default_factory=dict)
