"""What an engine promises, to a replica and to a pipeline alike.

Every engine is built cheaply (no heavy import, no weights) and becomes useful with `start`. A chat engine
speaks OpenAI's chat completion objects; an embedding engine computes in three named steps, `pre`, `core`,
`post`, so that the same object batches well behind Serve and inside Ray Data.
"""

from collections.abc import AsyncIterator, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from cluster.engines.reading import Reading
from cluster.types import Capabilities, ChatCall, Embeddings, Scores, TokenizeCall, Tokenized

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class ChatEngine(Protocol):
    """A model that chats. Life: `start`, then any number of calls at once, then `stop`."""

    @property
    def capabilities(self) -> Capabilities:
        """What the model can do; exact once `start` has returned."""
        ...

    @property
    def revision(self) -> str:
        """A short hash that changes when the weights change; exact once `start` has returned."""
        ...

    async def start(self) -> None:
        """Load the model. Raises StartFailed with the reason."""
        ...

    async def stop(self) -> None:
        """Free everything; calling it twice is harmless."""
        ...

    async def check_health(self) -> None:
        """Return at once when the engine can serve; raise EngineDead when it cannot."""
        ...

    async def chat(self, call: ChatCall) -> bytes:
        """Answer with one `chat.completion` as JSON, a call of kind completion with one `text_completion`.

        Raises BadRequest, ContextTooLong, UnsupportedParameter, EngineFailure, EngineDead. Cancelling the
        task stops the generation and frees its slot.
        """
        ...

    def stream(self, call: ChatCall) -> AsyncIterator[bytes]:
        """Answer with server-sent events, each item one or more whole ones (`data: …` and a blank line).

        Ends with `data: [DONE]`. Raises as `chat` does, before the first item wherever that is possible.
        Closing the iterator stops the generation and frees its slot.
        """
        ...

    async def tokenize(self, call: TokenizeCall) -> Tokenized:
        """The tokens of a text or of messages. Raises BadRequest, UnsupportedParameter, EngineDead."""
        ...

    async def detokenize(self, tokens: Sequence[int]) -> str:
        """The text of tokens. Raises BadRequest for one outside the vocabulary, EngineDead."""
        ...


class EmbeddingEngine(Protocol):
    """A model that turns texts into unit vectors."""

    @property
    def capabilities(self) -> Capabilities:
        """What the model can do; exact once `start` has returned."""
        ...

    @property
    def revision(self) -> str:
        """A short hash that changes when the weights change; exact once `start` has returned."""
        ...

    def start(self) -> None:
        """Load the model. Raises StartFailed with the reason."""
        ...

    def tokenize(self, text: str) -> list[tuple[int, int]]:
        """The character spans of the text's tokens, without special tokens and without truncation."""
        ...

    def encode(self, text: str, *, special: bool, strings: bool) -> Tokenized:
        """The text's tokens, whole. special: with those around every input. strings: as texts, too."""
        ...

    def decode(self, tokens: Sequence[int]) -> str:
        """The text of tokens. Raises BadRequest for one outside the vocabulary."""
        ...

    def read(self, inputs: Sequence[str] | Sequence[Sequence[int]]) -> Reading:
        """Check and tokenise without computing; raises as `pre` does. Safe beside `embed` in another thread."""
        ...

    def pre(self, inputs: Sequence[str] | Sequence[Sequence[int]]) -> Any:
        """Tokenise; raises BadRequest for a token id outside the vocabulary."""
        ...

    def core(self, batch: Any) -> "NDArray[np.float32]":
        """Run the model over one prepared batch: float32, shape (n, dimensions)."""
        ...

    def post(self, batch: Any, vectors: "NDArray[np.float32]") -> Embeddings:
        """Normalise to unit length and count tokens."""
        ...

    def embed(self, inputs: Sequence[str] | Sequence[Sequence[int]]) -> Embeddings:
        """`pre`, `core`, `post` over length-sorted batches; the result keeps the order of the inputs."""
        ...


class RerankEngine(Protocol):
    """A model that reads two texts together and says how well they belong to each other."""

    @property
    def capabilities(self) -> Capabilities:
        """What the model can do; exact once `start` has returned."""
        ...

    @property
    def revision(self) -> str:
        """A short hash that changes when the weights change; exact once `start` has returned."""
        ...

    def start(self) -> None:
        """Load the model. Raises StartFailed with the reason."""
        ...

    def read(self, first: Sequence[str], second: Sequence[str]) -> Reading:
        """Check and tokenise pairs; one text in `first` goes with all of `second`.

        Raises BadRequest for an empty text, by its place among both lists: `input[3]`. Safe beside `compute` in
        another thread.
        """
        ...

    def compute(self, items: Sequence[Any]) -> Scores:
        """The scores of pairs that were read, in their order."""
        ...
