"""How an answer is sampled: what the request says, else the settings, else the model's folder, else nothing."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from pydantic import Field

from cluster.engines.chat_request import Generation
from cluster.engines.raw_prompts import CompletionRequest
from cluster.settings.generation import GenerationDefaults

NEUTRAL: dict[str, Any] = {"temperature": 1.0, "top_p": 1.0, "top_k": 0, "min_p": 0.0, "repetition_penalty": 1.0}


class SampledRequest(Generation):
    """The parameters that are honoured by engines that sample with Transformers' own code."""

    top_k: int | None = Field(None, ge=-1, description="-1 and 0 are all tokens")
    min_p: float | None = Field(None, ge=0, le=1)
    repetition_penalty: float | None = Field(None, gt=0, le=10)


class SampledCompletion(CompletionRequest, SampledRequest):
    """The same, for a raw prompt."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sampling:
    """What one answer is sampled with. temperature 0 takes the likeliest token. max_tokens: at most that many."""

    temperature: float
    top_p: float
    top_k: int
    min_p: float
    repetition_penalty: float
    max_tokens: int
    seed: int | None = None


def defaults(settings: GenerationDefaults, folder: Mapping[str, Any]) -> dict[str, Any]:
    """What holds where a request says nothing. folder: the model's generation_config.json.

    The same that vLLM takes from it: the figures, not `do_sample`; and `max_new_tokens`, which no answer exceeds.
    """
    chosen = settings.model_dump()
    figures = {
        name: next(value for value in (chosen[name], folder.get(name), neutral) if value is not None)
        for name, neutral in NEUTRAL.items()
    }
    return {**figures, "max_new_tokens": folder.get("max_new_tokens")}


def sampling(request: SampledRequest, otherwise: Mapping[str, Any], *, room: int, choice: int = 0) -> Sampling:
    """The sampling of one choice. room: tokens that fit. Choices of one seed differ, and repeat."""
    figures = {name: getattr(request, name) for name in NEUTRAL}
    figures = {name: otherwise[name] if value is None else value for name, value in figures.items()}
    figures["top_k"] = max(figures["top_k"], 0)
    limits = [limit for limit in (request.limit, otherwise["max_new_tokens"], room) if limit is not None]
    seed = None if request.seed is None else request.seed + choice
    return Sampling(**figures, max_tokens=min(limits), seed=seed)


@contextmanager
def seeded(seed: int | None) -> Iterator[None]:
    """Let torch draw from this seed, and afterwards go on as if nothing had been; None changes nothing."""
    if seed is None:
        yield
        return
    import torch

    with torch.random.fork_rng():
        torch.manual_seed(seed % 2**64)
        yield


def device() -> str:
    """Where models are put."""
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"
