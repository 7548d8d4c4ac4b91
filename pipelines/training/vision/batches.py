"""Pictures with several questions each as batches of one shape.

A picture's tokens stand once, its questions after it in slots. A question sees the picture and itself, not the
other questions, and its positions count on from the picture: each is learnt as if it were the only one.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from random import Random

import numpy as np
import torch
from torch import Tensor

from pipelines.training.prompts import BEGIN, END, PAD
from pipelines.training.tokenizer import Tokenizer
from pipelines.training.vision.curriculum import draw_scene
from pipelines.training.vision.labels import label
from pipelines.training.vision.pictures import draw, fit, wear
from pipelines.training.vision.questions import Asked, questions
from pipelines.training.vision.shape import IMAGE_TOKEN, TowerShape
from pipelines.training.vision.small_talk import small_talk

PICTURES = 16  # of a batch
_SHORT, _LONG = 24, 48  # tokens of a slot
_SLOTS = (_SHORT,) * 6 + (_LONG,)
_BLIND_ROWS = 8
_TIME_STEP = 16  # few shapes, few kernels to build
_BLIND_EVERY, _TOLD_EVERY = 40, 8  # batches without pictures, and with a system message
_SYSTEMS = (
    "You are a helpful assistant.",
    "You are a vision model.",
    "Answer briefly.",
    "You describe pictures. Be brief.",
    "Answer questions about the image.",
)
_LONGEST_SIDES = (96, 240)  # of a drawn picture, in pixels


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """What is learnt from at once.

    tokens: [batch, time]. learnt: [batch, time], which of them are answers. mask: [time, time], what sees what.
    places: [time], each token's position. pixels: uint8 [batch, image, image, 3], none where nothing is shown.
    labels: int8 [batch, patches, heads], of what the patches show. image_at: where a picture's tokens begin.
    """

    tokens: Tensor
    learnt: Tensor
    mask: Tensor
    places: Tensor
    pixels: Tensor | None = None
    labels: Tensor | None = None
    image_at: int = 0

    @property
    def size(self) -> int:
        """The number of tokens, padding included."""
        return self.tokens.numel()

    def to(self, device: torch.device) -> "Batch":
        """Move every tensor."""
        return replace(
            self,
            tokens=self.tokens.to(device),
            learnt=self.learnt.to(device),
            mask=self.mask.to(device),
            places=self.places.to(device),
            pixels=None if self.pixels is None else self.pixels.to(device),
            labels=None if self.labels is None else self.labels.to(device),
        )


def one_round(rng: Random, tokenizer: Tokenizer, tower: TowerShape, step: int, count: int) -> Iterator[Batch]:
    """Draw `count` batches of the step's mixture."""
    for number in range(count):
        if number % _BLIND_EVERY == _BLIND_EVERY - 1:
            yield _blind(rng, tokenizer)
        else:
            told = rng.choice(_SYSTEMS) if number % _TOLD_EVERY == _TOLD_EVERY - 1 else ""
            yield _seeing(rng, tokenizer, tower, step + number, told)


def _seeing(rng: Random, tokenizer: Tokenizer, tower: TowerShape, step: int, told: str) -> Batch:
    prefix = [tokenizer.token_to_id(BEGIN)]
    if told:
        prefix += [tokenizer.token_to_id("<|system|>"), *tokenizer.encode(told).ids, tokenizer.token_to_id(END)]
    prefix.append(tokenizer.token_to_id("<|user|>"))
    image_at = len(prefix)
    prefix += [tokenizer.token_to_id(IMAGE_TOKEN)] * tower.patches
    pixels, labels, rows = [], [], []
    for _ in range(PICTURES):
        scene = draw_scene(rng, step)
        picture = wear(draw(scene, rng, longest=rng.randint(*_LONGEST_SIDES)), rng)
        pixels.append(fit(picture, tower.image))
        labels.append(label(scene, tower.side))
        rows.append(_fill(tokenizer, prefix, [encode(tokenizer, asked) for asked in questions(rng, scene)]))
    mask, places = layout(len(prefix), len(rows[0][0]))
    return Batch(
        tokens=torch.tensor([tokens for tokens, _ in rows]),
        learnt=torch.tensor([learnt for _, learnt in rows]),
        mask=mask,
        places=places,
        pixels=torch.from_numpy(np.stack(pixels)),
        labels=torch.from_numpy(np.stack(labels)),
        image_at=image_at,
    )


def _blind(rng: Random, tokenizer: Tokenizer) -> Batch:
    """A batch without pictures, where a picture is asked for."""
    user = tokenizer.token_to_id("<|user|>")
    rows = []
    for _ in range(_BLIND_ROWS):
        drawn = [small_talk(rng) for _ in range(12)]
        pieces = [encode(tokenizer, asked) for asked in drawn]
        opened = [([user, *tokens[1:]], learnt) for tokens, learnt in pieces]  # no line break: no picture before it
        rows.append(_fill(tokenizer, [tokenizer.token_to_id(BEGIN)], opened))
    mask, places = layout(1, len(rows[0][0]))
    tokens, learnt = (torch.tensor([row[part] for row in rows]) for part in (0, 1))
    return Batch(tokens=tokens, learnt=learnt, mask=mask, places=places)


def encode(tokenizer: Tokenizer, asked: Asked) -> tuple[list[int], list[bool]]:
    """Encode a question and its answer as they follow a picture; say which tokens are the answer's."""
    end, assistant = tokenizer.token_to_id(END), tokenizer.token_to_id("<|assistant|>")
    question = [
        tokenizer.token_to_id(_line_break(tokenizer)),
        *tokenizer.encode(asked.question).ids,
        end,
        assistant,
    ]
    answer = [*tokenizer.encode(asked.answer).ids, end]
    return question + answer, [False] * len(question) + [True] * len(answer)


def _line_break(tokenizer: Tokenizer) -> str:
    [token] = tokenizer.encode("\n").tokens
    return str(token)


def _fill(
    tokenizer: Tokenizer, prefix: list[int], pieces: list[tuple[list[int], list[bool]]]
) -> tuple[list[int], list[bool]]:
    """Put pieces into slots, a long one into the long slot, or two short ones there as turns of a dialogue."""
    pad, user = tokenizer.token_to_id(PAD), tokenizer.token_to_id("<|user|>")
    tokens, learnt = list(prefix), [False] * len(prefix)
    long = [piece for piece in pieces if _SHORT < len(piece[0]) <= _LONG]
    short = [piece for piece in pieces if len(piece[0]) <= _SHORT]
    for width in _SLOTS:
        piece: tuple[list[int], list[bool]] = ([], [])
        if width == _LONG and long:
            piece = long[0]
        elif width == _LONG and len(short) > 1:
            piece = (short[-1][0] + [user, *short[0][0][1:]], short[-1][1] + short[0][1])
        elif short:
            piece = short.pop(0)
        filling = width - len(piece[0])
        tokens += piece[0] + [pad] * filling
        learnt += piece[1] + [False] * filling
    filling = -len(tokens) % _TIME_STEP
    return tokens + [pad] * filling, learnt + [False] * filling


@lru_cache(maxsize=32)
def layout(prefix: int, time: int) -> tuple[Tensor, Tensor]:
    """Return what sees what [time, time] and the positions [time] of a prefix with slots after it."""
    mask = torch.ones(time, time, dtype=torch.bool).tril()
    places = torch.arange(time)
    start = prefix
    for width in (*_SLOTS, time - prefix - sum(_SLOTS)):
        mask[start + width :, start : start + width] = False
        places[start : start + width] = torch.arange(prefix, prefix + width)
        start += width
    return mask, places
