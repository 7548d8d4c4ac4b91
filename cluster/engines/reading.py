"""What an embedding engine has read of a call's inputs before it computes any of them."""

from dataclasses import dataclass
from typing import Any

BATCH_TOKENS = 4096  # computed at once: a second on two slow cores, which bounds how long a query waits for a book


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """Inputs that are checked and, where the engine has a tokenizer, tokenised: nothing does it twice.

    items: what the engine's `embed` takes for each input; items of several calls can be embedded together.
    sizes: what each costs of BATCH_TOKENS. truncated: how many inputs are longer than the model reads.
    """

    items: tuple[Any, ...]
    sizes: tuple[int, ...]
    truncated: int = 0
