"""What crosses a process boundary: frozen, slotted, keyword-only dataclasses.

Importing this module loads neither Ray nor torch; a test holds that.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class Task(StrEnum):
    """What a model is for."""

    CHAT = "chat"
    EMBEDDING = "embedding"
    RERANK = "rerank"


class Priority(StrEnum):
    """Who waits for whom inside an engine: interactive requests go before background ones."""

    INTERACTIVE = "interactive"
    BACKGROUND = "background"


class CallKind(StrEnum):
    """What a call asks of a model: an answer to messages, or a raw prompt gone on with."""

    CHAT = "chat"
    COMPLETION = "completion"


@dataclass(frozen=True, slots=True, kw_only=True)
class Capabilities:
    """What a loaded model can do.

    context_length: tokens of prompt plus completion, or of what is read together. dimensions: of an embedding, else
    0. parameters: the names of the request parameters that this engine honours. completion: the same for raw
    completions, empty where it makes none.
    """

    task: Task
    context_length: int
    images: bool = False
    dimensions: int = 0
    parameters: frozenset[str] = frozenset()
    completion: frozenset[str] = frozenset()

    @property
    def names(self) -> tuple[str, ...]:
        """The same in the catalog's words: its task; beside `chat`, `vision` and `tools` where it has them."""
        if self.task is not Task.CHAT:
            return (str(self.task),)
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
    """One chat completion on its way to a replica, or a raw one.

    body: a JSON object, already checked by the gateway (or written by a pipeline), in OpenAI's shape of the kind.
    affinity: what calls have in common that should go to the same replica. waited_s: for a place in the sender's
    queue. queued: requests that wait there when this leaves.
    """

    body: bytes
    request_id: str
    priority: Priority = Priority.INTERACTIVE
    kind: CallKind = CallKind.CHAT
    affinity: str = ""
    waited_s: float = 0.0
    queued: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineTiming:
    """Where a call's time went, in seconds; None is what nobody measured.

    queue_s: waiting for a place in the engine's batch. prefill_s: from then, or from the call's arrival where
    queue_s is None, to the first token. spent_s: in the replica, until what carries this left it.
    """

    queue_s: float | None = None
    prefill_s: float | None = None
    spent_s: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ChatAnswer:
    """A whole answer, or the first item of a streamed one, with its timing; further items are bare bytes.

    people: whether an interactive call came to the same replica within the last seconds.
    """

    body: bytes
    timing: EngineTiming
    people: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenizeCall:
    """A text, or a conversation, whose tokens are wanted.

    body: a JSON object in vLLM's shape: `prompt`, or `messages` with their `tools`; and `add_special_tokens`,
    `add_generation_prompt`, `continue_final_message`, `chat_template_kwargs`, `return_token_strs`.
    """

    body: bytes
    request_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Tokenized:
    """Tokens as the model reads them. texts: each as the vocabulary writes it, None unless asked for."""

    tokens: tuple[int, ...]
    texts: tuple[str, ...] | None = None

    @property
    def count(self) -> int:
        """How many tokens there are."""
        return len(self.tokens)


@dataclass(frozen=True, slots=True, kw_only=True)
class LineCall:
    """One line of a batch on its way to the gateway. endpoint: its path. body: a JSON object, not yet checked.

    owner, models: who the batch is of, and what they may ask (None for all).
    """

    endpoint: str
    body: bytes
    request_id: str
    owner: str
    models: frozenset[str] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LineAnswer:
    """What the gateway answered to a line. status, body: as an HTTP client sees them.

    retryable: whether the same line may go well later. retry_after_s: the advised wait, None where none was.
    """

    status: int
    body: bytes
    retryable: bool = False
    retry_after_s: float | None = None


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
class ScoreCall:
    """Pairs of texts to score: each of `first` with that of `second` beside it; one alone goes with all of them."""

    first: tuple[str, ...]
    second: tuple[str, ...]
    request_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Scores:
    """values: float32, one a pair, higher is closer. tokens: of both texts of each pair.

    truncated: how many pairs were longer than the model reads.
    """

    values: "NDArray[np.float32]"
    tokens: tuple[int, ...]
    truncated: int = 0


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


class ModelState(StrEnum):
    """Where a model stands that is loaded, or on its way."""

    LOADING = "loading"
    READY = "ready"
    UNLOADING = "unloading"


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadedModel:
    """One model as `ps` shows it. Times in Unix seconds, sizes in GiB.

    device: `cpu`, `cuda`, or `remote`. in_use: requests that use it now, as the gateways said a moment ago.
    until: when it goes if nobody asks for it, None where it stays. fixed: part of the configuration, so that it
    can't be unloaded. load_s: how long its load took, or has taken so far. loaded_at: when that was done, None
    where nobody was there to see it. detail: of a model on its way, what it waits for.
    """

    id: str
    state: ModelState
    engine: str
    device: str
    replicas: int
    memory_gib: float
    in_use: int
    waiting: int
    pinned: bool
    fixed: bool
    used_at: float
    until: float | None
    load_s: float
    loaded_at: float | None = None
    detail: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """A gateway's right to use a loaded model until it lets go of it, or stays silent for `lease_s`.

    application: of Ray Serve. load: which load of the model, so that a handle of an earlier one is never used.
    """

    application: str
    load: str
    lease_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Using:
    """A gateway's use of one model now. holder: as in its claim. requests: that it has there."""

    model: str
    holder: str
    requests: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelEvent:
    """What happened to a model, and why. number: counts up. at: Unix seconds. what: `loading`, `ready`, ...

    reason: in words. code: the same as a stable word. inputs: JSON values that were decided on.
    """

    number: int
    at: float
    model: str
    what: str
    reason: str = ""
    code: str = ""
    inputs: Mapping[str, Any] = field(default_factory=dict)
