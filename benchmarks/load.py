"""A small open-ended load: n clients, each asking again as soon as it is answered."""

import asyncio
import json
import statistics
from collections.abc import Mapping
from dataclasses import dataclass
from time import perf_counter

import aiohttp

PROMPT = "Tell me a short story about a mirror that follows the sun."


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """What to ask: `clients` at once, `requests` in all, `tokens` each, streamed or whole."""

    clients: int
    requests: int
    tokens: int = 32
    stream: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """What came back. Times in milliseconds, the first to the first byte. failed: not 200, or not whole."""

    requests_per_s: float
    tokens_per_s: float
    ttft_p50: float
    ttft_p95: float
    latency_p50: float
    failed: int


async def measure(url: str, model: str, load: Load, headers: Mapping[str, str] | None = None) -> Figures:
    """Run one load against one server. headers: sent with each request."""
    connector = aiohttp.TCPConnector(limit=0)
    timeout = aiohttp.ClientTimeout(total=120)
    async with aiohttp.ClientSession(connector=connector, timeout=timeout, headers=headers) as session:
        todo = iter(range(load.requests))
        begun = perf_counter()
        results = await asyncio.gather(*(_client(session, url, model, load, todo) for _ in range(load.clients)))
        took = perf_counter() - begun
    answers = [answer for client in results for answer in client]
    good = [answer for answer in answers if answer is not None]
    ttfts = sorted(first * 1000 for first, _, _ in good) or [float("nan")]
    return Figures(
        requests_per_s=len(good) / took,
        tokens_per_s=sum(tokens for _, _, tokens in good) / took,
        ttft_p50=statistics.median(ttfts),
        ttft_p95=ttfts[int(len(ttfts) * 0.95) - 1 if len(ttfts) > 1 else 0],
        latency_p50=statistics.median([last * 1000 for _, last, _ in good] or [float("nan")]),
        failed=len(answers) - len(good),
    )


async def _client(session, url, model, load, todo):  # type: ignore[no-untyped-def]
    answers = []
    for number in todo:
        body = {
            "model": model,
            "messages": [{"role": "user", "content": f"{PROMPT} ({number})"}],
            "max_tokens": load.tokens,
            "temperature": 0.8,
            "ignore_eos": True,
            "stream": load.stream,
        }
        if load.stream:
            body["stream_options"] = {"include_usage": True}
        answers.append(await _ask(session, f"{url}/v1/chat/completions", body))
    return answers


async def _ask(session, url, body):  # type: ignore[no-untyped-def]
    begun = perf_counter()
    first = None
    received = b""
    try:
        async with session.post(url, json=body) as response:
            if response.status != 200:
                return None
            async for piece in response.content.iter_any():
                if first is None:
                    first = perf_counter() - begun
                received += piece
    except aiohttp.ClientError:
        return None
    took = perf_counter() - begun
    usage = _usage(received, stream=body["stream"])
    if first is None or usage is None:
        return None
    return first, took, usage


def _usage(received: bytes, *, stream: bool) -> int | None:
    """Completion tokens as the server counted them; None where the answer is not whole."""
    if not stream:
        return int(json.loads(received)["usage"]["completion_tokens"])
    events = [event.removeprefix(b"data: ") for event in received.split(b"\n\n") if event]
    if not events or events[-1] != b"[DONE]":
        return None
    usage = json.loads(events[-2]).get("usage")
    return int(usage["completion_tokens"]) if usage else None
