"""Plain decoding for evaluation: greedy or sampled, without a cache, many prompts at once."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from pipelines.training.model import Llama
from pipelines.training.prompts import END, PAD, Message, render
from pipelines.training.tokenizer import Tokenizer

_PROMPTS_AT_ONCE = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class Sampling:
    """How tokens are chosen; a temperature of zero always takes the likeliest."""

    temperature: float = 0.0
    max_tokens: int = 64
    seed: int = 0


@torch.inference_mode()
def reply(
    model: Llama, tokenizer: Tokenizer, prompts: Sequence[Sequence[Message]], sampling: Sampling
) -> list[str]:
    """Return the model's next turn for each conversation, without special tokens."""
    generator = torch.Generator().manual_seed(sampling.seed)
    encoded = [tokenizer.encode(render(prompt, reply=True)).ids for prompt in prompts]
    # Of similar lengths together, so that little is spent on padding.
    order = sorted(range(len(encoded)), key=lambda index: len(encoded[index]))
    answers = [""] * len(encoded)
    for start in range(0, len(order), _PROMPTS_AT_ONCE):
        chosen = order[start : start + _PROMPTS_AT_ONCE]
        for index, tokens in zip(
            chosen,
            _decode(model, tokenizer, [encoded[index] for index in chosen], sampling, generator),
            strict=True,
        ):
            answers[index] = tokenizer.decode(tokens)
    return answers


def _decode(
    model: Llama, tokenizer: Tokenizer, prompts: list[list[int]], sampling: Sampling, generator: torch.Generator
) -> list[list[int]]:
    end, pad = tokenizer.token_to_id(END), tokenizer.token_to_id(PAD)
    rows = [list(prompt) for prompt in prompts]
    open_rows = list(range(len(rows)))
    for _ in range(sampling.max_tokens):
        width = max(len(rows[row]) for row in open_rows)
        tokens = torch.tensor([rows[row] + [pad] * (width - len(rows[row])) for row in open_rows])
        last = torch.tensor([len(rows[row]) - 1 for row in open_rows])
        with torch.autocast("cpu", torch.bfloat16):
            logits = model.logits(model(tokens)[torch.arange(len(open_rows)), last])
        if sampling.temperature > 0:
            shares = torch.softmax(logits / sampling.temperature, dim=-1)
            chosen = torch.multinomial(shares, 1, generator=generator)[:, 0]
        else:
            chosen = logits.argmax(-1)
        for row, token in zip(list(open_rows), chosen.tolist(), strict=True):
            if token == end:
                open_rows.remove(row)
            else:
                rows[row].append(token)
        if not open_rows:
            break
    return [row[len(prompt) :] for row, prompt in zip(rows, prompts, strict=True)]
