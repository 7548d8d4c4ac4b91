"""Greedy answers to questions about pictures, many at once: for measuring without a server."""

import io
from collections import defaultdict
from collections.abc import Sequence

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from pipelines.training.decoding import Sampling
from pipelines.training.precision import mixed_precision
from pipelines.training.prompts import BEGIN, END, PAD
from pipelines.training.tasks import Answer, Example, Message, picture_of, text_of
from pipelines.training.tokenizer import Tokenizer
from pipelines.training.vision.model import Llava
from pipelines.training.vision.pictures import fit
from pipelines.training.vision.shape import IMAGE_TOKEN

_AT_ONCE = 25


def answerer(model: Llava, tokenizer: Tokenizer, sampling: Sampling | None = None) -> Answer:
    """Answer with this model, greedily; a sampling's `max_tokens` and `seed` have nothing to say here.

    Raises:
        ValueError: for a temperature above zero.
    """
    if sampling is not None and sampling.temperature > 0:
        raise ValueError("pictures are answered about greedily: the temperature must be 0")
    return lambda examples: answer(model, tokenizer, examples)


@torch.inference_mode()
def answer(model: Llava, tokenizer: Tokenizer, examples: Sequence[Example]) -> list[Message]:
    """Return the assistant's message for each example of at most one picture, in order."""
    encoded = [_encode(model, tokenizer, example) for example in examples]
    image = tokenizer.token_to_id(IMAGE_TOKEN)
    alike: dict[int, list[int]] = defaultdict(list)  # by where the picture stands, -1 without one
    for number, tokens in enumerate(encoded):
        alike[tokens.index(image) if image in tokens else -1].append(number)
    answers: list[Message] = [{} for _ in examples]
    for image_at, numbers in alike.items():
        for start in range(0, len(numbers), _AT_ONCE):
            chosen = numbers[start : start + _AT_ONCE]
            with mixed_precision(model.text.embedding.weight.device):
                seen = None if image_at < 0 else model.see(_pixels(model, [examples[n] for n in chosen]))
                most = max(examples[n].max_tokens for n in chosen)
                said = _decode(model, tokenizer, [encoded[n] for n in chosen], seen, image_at, most)
            for number, tokens in zip(chosen, said, strict=True):
                text = tokenizer.decode(tokens[: examples[number].max_tokens])
                answers[number] = {"role": "assistant", "content": text}
    return answers


def _encode(model: Llava, tokenizer: Tokenizer, example: Example) -> list[int]:
    """Encode as the chat template and vLLM do: a picture stands before its message's text, on a line of its own."""
    parts = [BEGIN]
    for message in example.messages:
        shown = isinstance(message["content"], list) and any(p["type"] == "image_url" for p in message["content"])
        pictured = IMAGE_TOKEN * model.shape.tower.patches + "\n" if shown else ""
        parts.append(f"<|{message['role']}|>{pictured}{text_of(message)}{END}")
    ids: list[int] = tokenizer.encode("".join([*parts, "<|assistant|>"])).ids
    return ids


def _pixels(model: Llava, examples: Sequence[Example]) -> Tensor:
    pictures = []
    for example in examples:
        encoded = picture_of(example)
        assert encoded is not None, "an example with a picture's token has a picture"
        pictures.append(fit(Image.open(io.BytesIO(encoded)), model.shape.tower.image))
    return torch.from_numpy(np.stack(pictures)).to(model.text.embedding.weight.device)


def _decode(
    model: Llava, tokenizer: Tokenizer, prompts: list[list[int]], seen: Tensor | None, image_at: int, most: int
) -> list[list[int]]:
    end, pad = tokenizer.token_to_id(END), tokenizer.token_to_id(PAD)
    place = model.text.embedding.weight.device
    rows = [list(prompt) for prompt in prompts]
    open_rows = list(range(len(rows)))
    for _ in range(most):
        width = max(len(rows[row]) for row in open_rows)
        tokens = torch.tensor([rows[row] + [pad] * (width - len(rows[row])) for row in open_rows], device=place)
        last = torch.tensor([len(rows[row]) - 1 for row in open_rows], device=place)
        shown = None if seen is None else seen[open_rows]
        hidden = model.read(tokens, shown, image_at=max(image_at, 0))
        logits = model.text.logits(hidden[torch.arange(len(open_rows), device=place), last])
        for row, token in zip(list(open_rows), logits.argmax(-1).tolist(), strict=True):
            if token == end:
                open_rows.remove(row)
            else:
                rows[row].append(token)
        if not open_rows:
            break
    return [row[len(prompt) :] for row, prompt in zip(rows, prompts, strict=True)]
