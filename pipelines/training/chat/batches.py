"""Dialogues as padded batches of tokens, of which only the assistant's are learnt."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from random import Random

import torch
from torch import Tensor

from pipelines.training.chat.mixture import draw
from pipelines.training.prompts import BEGIN, END, PAD, Dialogue
from pipelines.training.tokenizer import Tokenizer

# Widths are rounded up, because oneDNN builds its kernels anew for each shape that it has not met.
_WIDTH_STEP = 16
_ROUND = 768  # dialogues drawn, sorted by length and cut into batches at once
_BATCH_TOKENS = 5120


@dataclass(frozen=True, slots=True, kw_only=True)
class Encoded:
    """A dialogue's tokens, and for each whether it is the assistant's."""

    tokens: list[int]
    learnt: list[bool]


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """Tokens [batch, time] padded on the right, and a mask [batch, time] of those to learn."""

    tokens: Tensor
    learnt: Tensor

    @property
    def size(self) -> int:
        """The number of tokens, padding included."""
        return self.tokens.numel()

    def to(self, device: torch.device) -> "Batch":
        """Move both tensors."""
        return Batch(tokens=self.tokens.to(device), learnt=self.learnt.to(device))


def encode(tokenizer: Tokenizer, dialogue: Dialogue) -> Encoded:
    """Encode a dialogue as its chat template renders it."""
    end = tokenizer.token_to_id(END)
    tokens, learnt = [tokenizer.token_to_id(BEGIN)], [False]
    for message in dialogue.messages:
        own = message.role == "assistant"
        body = [*tokenizer.encode(message.content).ids, end]
        tokens += [tokenizer.token_to_id(f"<|{message.role}|>"), *body]
        learnt += [False, *([own] * len(body))]
    return Encoded(tokens=tokens, learnt=learnt)


def one_round(rng: Random, tokenizer: Tokenizer, step: int, limit: int) -> Iterator[Batch]:
    """Draw a round of dialogues of at most `limit` tokens, as batches of similar lengths in random order."""
    drawn = (encode(tokenizer, draw(rng, step)) for _ in range(_ROUND))
    # The longest first: it sets the width of the batch that the next ones fill.
    waiting = sorted((one for one in drawn if len(one.tokens) <= limit), key=lambda one: -len(one.tokens))
    pad_id = tokenizer.token_to_id(PAD)
    batches: list[Batch] = []
    while waiting:
        width = _width(len(waiting[0].tokens))
        rows = max(_BATCH_TOKENS // width, 1)
        batches.append(pad(waiting[:rows], width, pad_id))
        waiting = waiting[rows:]
    rng.shuffle(batches)
    yield from batches


def pad(group: Sequence[Encoded], width: int, pad_id: int) -> Batch:
    """Pad encoded dialogues to a width."""
    tokens = [one.tokens + [pad_id] * (width - len(one.tokens)) for one in group]
    learnt = [one.learnt + [False] * (width - len(one.learnt)) for one in group]
    return Batch(tokens=torch.tensor(tokens), learnt=torch.tensor(learnt))


def _width(longest: int) -> int:
    return -(-longest // _WIDTH_STEP) * _WIDTH_STEP
