"""Which passages an answer is made from, and the prompt that shows them; pure.

The wording is `pipelines.training.prompts.grounded_message`: the built-in models are trained on it.
"""

import json
from collections.abc import Sequence

from cluster.types import Passage
from pipelines.training.prompts import ABSTENTION, grounded_message

__all__ = ["ABSTENTION", "body", "fit", "message", "worth_showing"]

# Of a prompt's bytes, how many make a token at least: between small vocabularies (2 to 3) and large ones (4).
# Guessing too low would drop passages needlessly; the engine's own refusal catches a guess too high.
BYTES_PER_TOKEN = 3.0
TEMPLATE_TOKENS = 16  # a chat template's role markers around one message


def worth_showing(passages: Sequence[Passage], min_score: float) -> tuple[Passage, ...]:
    """Those that reach the score, in their order."""
    return tuple(passage for passage in passages if passage.score >= min_score)


def message(passages: Sequence[Passage], question: str) -> str:
    """The one user message: passages numbered from 1, each on one line."""
    return grounded_message([_one_line(passage.chunk.text) for passage in passages], _one_line(question))


def fit(
    passages: tuple[Passage, ...], question: str, *, context_length: int, answer_tokens: int
) -> tuple[Passage, ...]:
    """Drop the last passages until the prompt should fit; the best one always stays."""
    room = (context_length - answer_tokens - TEMPLATE_TOKENS) * BYTES_PER_TOKEN
    while len(passages) > 1 and len(message(passages, question).encode()) > room:
        passages = passages[:-1]
    return passages


def body(model: str, passages: Sequence[Passage], question: str, answer_tokens: int) -> bytes:
    """The chat completion request, in OpenAI's shape."""
    content = message(passages, question)
    request = {
        "model": model,
        "messages": [{"role": "user", "content": content}],
        "temperature": 0,
        "max_tokens": answer_tokens,
    }
    return json.dumps(request).encode()


def _one_line(text: str) -> str:
    return " ".join(text.split())
