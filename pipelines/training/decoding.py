"""Plain decoding for evaluation: greedy or sampled, without a cache, many prompts at once."""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jinja2.sandbox import ImmutableSandboxedEnvironment

from pipelines.training.model import Llama
from pipelines.training.precision import mixed_precision
from pipelines.training.prompts import BEGIN, CHAT_TEMPLATE, END, PAD, TOOL_CALL_END, TOOL_CALL_START
from pipelines.training.tasks import Answer, Example, Message
from pipelines.training.tokenizer import Tokenizer

_PROMPTS_AT_ONCE = 32
_TOOL_CALL = re.compile(f"{TOOL_CALL_START}(.*?){TOOL_CALL_END}", re.DOTALL)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sampling:
    """How tokens are chosen; a temperature of zero always takes the likeliest."""

    temperature: float = 0.0
    seed: int = 0


def answerer(model: Llama, tokenizer: Tokenizer, sampling: Sampling | None = None) -> Answer:
    """Answer examples with a model of this process, by default greedily."""
    return lambda examples: reply(model, tokenizer, examples, sampling or Sampling())


def prompt_of(example: Example) -> str:
    """Render an example by the chat template, as servers do."""
    # The settings with which Transformers and vLLM render templates.
    template = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True).from_string(CHAT_TEMPLATE)
    return template.render(
        bos_token=BEGIN, messages=list(example.messages), tools=list(example.tools), add_generation_prompt=True
    )


@torch.inference_mode()
def reply(model: Llama, tokenizer: Tokenizer, examples: Sequence[Example], sampling: Sampling) -> list[Message]:
    """Return the model's next message for each example, its tool calls parsed."""
    generator = torch.Generator().manual_seed(sampling.seed)
    encoded = [tokenizer.encode(prompt_of(example)).ids for example in examples]
    # Of similar lengths together, so that little is spent on padding.
    order = sorted(range(len(encoded)), key=lambda index: len(encoded[index]))
    answers: list[Message] = [{}] * len(encoded)
    for start in range(0, len(order), _PROMPTS_AT_ONCE):
        chosen = order[start : start + _PROMPTS_AT_ONCE]
        most = max(examples[index].max_tokens for index in chosen)
        prompts = [encoded[index] for index in chosen]
        for index, tokens in zip(
            chosen, _decode(model, tokenizer, prompts, sampling, generator, most), strict=True
        ):
            answers[index] = message_of(tokenizer.decode(tokens))
    return answers


def message_of(text: str) -> Message:
    """Turn a model's text into an assistant's message in OpenAI's shape, as vLLM's `hermes` parser does."""
    calls = []
    for number, written in enumerate(_TOOL_CALL.findall(text)):
        try:
            call = json.loads(written)
            function = {"name": call["name"], "arguments": json.dumps(call["arguments"], ensure_ascii=False)}
        except (ValueError, KeyError, TypeError):
            return {"role": "assistant", "content": text}
        calls.append({"id": f"call-{number}", "type": "function", "function": function})
    message: Message = {"role": "assistant", "content": text.partition(TOOL_CALL_START)[0] if calls else text}
    return {**message, "tool_calls": calls} if calls else message


def _decode(
    model: Llama,
    tokenizer: Tokenizer,
    prompts: list[list[int]],
    sampling: Sampling,
    generator: torch.Generator,
    most: int,
) -> list[list[int]]:
    end, pad = tokenizer.token_to_id(END), tokenizer.token_to_id(PAD)
    rows = [list(prompt) for prompt in prompts]
    open_rows = list(range(len(rows)))
    place = model.norm.device
    for _ in range(most):
        width = max(len(rows[row]) for row in open_rows)
        tokens = torch.tensor([rows[row] + [pad] * (width - len(rows[row])) for row in open_rows], device=place)
        last = torch.tensor([len(rows[row]) - 1 for row in open_rows], device=place)
        with mixed_precision(place):
            logits = model.logits(model(tokens)[torch.arange(len(open_rows), device=place), last])
        if sampling.temperature > 0:
            shares = torch.softmax(logits.cpu() / sampling.temperature, dim=-1)
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
