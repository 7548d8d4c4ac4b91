"""The prompt that shows passages to a model, as long as the model can read; pure.

The wording is `pipelines.training.prompts.grounded_message`: the built-in models are trained on it.
"""

from collections.abc import Sequence

from cluster.documents import Passage
from pipelines.training.prompts import ABSTENTION, grounded_message

__all__ = ["ABSTENTION", "abstains", "fit", "message"]

# Of a prompt's bytes, how many make a token at least: between small vocabularies (2 to 3) and large ones (4).
# Guessing too low would drop passages needlessly; the engine's own refusal catches a guess too high.
BYTES_PER_TOKEN = 3.0
TEMPLATE_TOKENS = 16  # a chat template's role markers around one message


def message(passages: Sequence[Passage], question: str) -> str:
    """The one user message: passages numbered from 1, each on one line."""
    return grounded_message([_one_line(passage.chunk.text) for passage in passages], _one_line(question))


def fit(passages: Sequence[Passage], question: str, *, context_length: int, answer_tokens: int) -> int:
    """How many of the passages, from the best on, should fit the prompt; one at least."""
    room = (context_length - answer_tokens - TEMPLATE_TOKENS) * BYTES_PER_TOKEN
    count = len(passages)
    while count > 1 and len(message(passages[:count], question).encode(errors="replace")) > room:
        count -= 1
    return count


def abstains(answer: str) -> bool:
    """Whether an answer says that the passages hold none, in the words that its prompt asked for."""
    return answer.strip().rstrip(".").casefold() == ABSTENTION.rstrip(".").casefold()


def _one_line(text: str) -> str:
    return " ".join(text.split())
