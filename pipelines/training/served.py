"""Measure a served model as any client sees it: the held-out tasks over HTTP, and its speed for one client."""

import asyncio
import importlib
import json
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import httpx

from cluster.config import credentials
from cluster.errors import HeliostatError, ModelNotFound
from pipelines.training import extra
from pipelines.training.tasks import ALL_SEEDS, Evaluation, Example, Message, Task, draw, evaluate, picture_of

TASKS_OF = {
    "spark-chat": "pipelines.training.chat.evaluate",
    "spark-vision": "pipelines.training.vision.evaluate",
}
"""The built-in models, and the modules whose TASKS they are measured by."""

AT_ONCE = 8  # questions in flight: enough to batch, few enough that none waits for long
TIMEOUT_S = 300.0
FIRST_TOKENS = 40  # requests that the time to the first token is taken from, one after another
LONG_ANSWERS = 5
LONG_TOKENS = 256  # or half the context of a model that has less than twice that
FIRST_TARGET_MS = 50.0
RATE_TARGET = 150.0  # tokens a second


class NotMeasured(HeliostatError):
    """The server did not answer a question of the evaluation."""

    code = "not_measured"


@dataclass(frozen=True, slots=True, kw_only=True)
class Speed:
    """What one client sees while nobody else asks.

    first_p50_ms, first_p95_ms: from sending a streamed request to its first token, over `requests` requests.
    pictures: whether they showed a picture. tokens_per_s: of an answer of `tokens` tokens, from sending the
    request to its end; the median of a few.
    """

    pictures: bool
    requests: int
    first_p50_ms: float
    first_p95_ms: float
    tokens: int
    tokens_per_s: float

    @property
    def reached(self) -> bool:
        """Whether the median first token and the rate are what is aimed at."""
        return self.first_p50_ms < FIRST_TARGET_MS and self.tokens_per_s >= RATE_TARGET


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """All that was measured of one served model. revision: of its weights, as `/v1/models` gives it."""

    model: str
    revision: str
    evaluation: Evaluation
    speed: Speed

    @property
    def reached(self) -> bool:
        """Whether no target was missed."""
        return self.speed.reached and all(score.reached for score in self.evaluation.scores)


def tasks_of(model: str) -> tuple[Task, ...]:
    """The tasks of a built-in model. Raises ModelNotFound, and StartFailed where the extra is not installed."""
    if model not in TASKS_OF:
        raise ModelNotFound(f"{model!r} is no built-in model", hint=" or ".join(TASKS_OF), param="model")
    extra.require()
    tasks: tuple[Task, ...] = importlib.import_module(TASKS_OF[model]).TASKS
    return tasks


def measure(url: str, model: str, *, each: int = 100, said: Callable[[str], None] = print) -> Measured:
    """Ask a server's model `each` questions of every task, then time it. said: hears what is being done.

    url: of the server, without `/v1`. Raises NotMeasured when a question is not answered.
    """
    tasks, endpoint = tasks_of(model), Endpoint(url, model)
    listed = endpoint.listed()
    parts = []
    for number, task in enumerate(tasks, start=1):
        said(f"{model} {number}/{len(tasks)}: {task.name}")
        parts.append(evaluate([task], endpoint.answer, each=each))
    said(f"{model}: speed")
    tokens = min(LONG_TOKENS, int(listed["max_model_len"]) // 2)
    evaluation = Evaluation(
        scores=tuple(score for part in parts for score in part.scores),
        misses=tuple(miss for part in parts for miss in part.misses),
    )
    return Measured(
        model=model,
        revision=str(listed["revision"]),
        evaluation=evaluation,
        speed=speed(endpoint, tasks, tokens=tokens),
    )


class Endpoint:
    """One model behind an OpenAI-compatible endpoint, asked with HELIOSTAT_API_KEY where that is set."""

    def __init__(self, url: str, model: str) -> None:
        self._url = url.rstrip("/")
        self._model = model

    def listed(self) -> dict[str, Any]:
        """What `/v1/models` says of the model. Raises NotMeasured where the server has no such model."""
        with _asking(self._url):
            response = httpx.get(f"{self._url}/v1/models/{self._model}", headers=credentials(), timeout=TIMEOUT_S)
        _check(response.status_code, response.text)
        listed: dict[str, Any] = response.json()
        return listed

    def answer(self, examples: Sequence[Example]) -> list[Message]:
        """The model's messages to the examples, a few asked at once; see `tasks.Answer`."""
        return asyncio.run(self._answers(examples))

    def stream(self, body: dict[str, Any]) -> Iterator[tuple[float, dict[str, Any]]]:
        """The chunks of a streamed answer, each with the seconds since the request was sent."""
        wanted = {**body, "model": self._model, "stream": True, "stream_options": {"include_usage": True}}
        with _asking(self._url), httpx.Client(headers=credentials(), timeout=TIMEOUT_S) as client:
            client.get(f"{self._url}/v1/models")  # so that no connection is made while the clock runs
            begun = time.perf_counter()
            with client.stream("POST", f"{self._url}/v1/chat/completions", json=wanted) as response:
                if response.status_code != 200:
                    _check(response.status_code, response.read().decode(errors="replace"))
                for line in response.iter_lines():
                    if line.startswith("data: {"):
                        yield time.perf_counter() - begun, json.loads(line.removeprefix("data: "))

    async def _answers(self, examples: Sequence[Example]) -> list[Message]:
        room = asyncio.Semaphore(AT_ONCE)
        limits = httpx.Limits(max_connections=AT_ONCE)
        async with httpx.AsyncClient(headers=credentials(), timeout=TIMEOUT_S, limits=limits) as client:
            return await asyncio.gather(*(self._ask(client, room, example) for example in examples))

    async def _ask(self, client: httpx.AsyncClient, room: asyncio.Semaphore, example: Example) -> Message:
        async with room:
            with _asking(self._url):
                body = example.request(self._model)
                response = await client.post(f"{self._url}/v1/chat/completions", json=body)
        _check(response.status_code, response.text)
        message: Message = response.json()["choices"][0]["message"]
        return message


def speed(endpoint: Endpoint, tasks: Sequence[Task], *, tokens: int = LONG_TOKENS) -> Speed:
    """Time single requests, one after another, each a question that was not asked before."""
    first, *examples = _fresh(tasks, FIRST_TOKENS + 1)
    _first_token_s(endpoint, first)  # whatever happens only once has happened
    firsts = sorted(_first_token_s(endpoint, example) for example in examples)
    rates = sorted(_rate(endpoint, example, tokens) for example in examples[:LONG_ANSWERS])
    return Speed(
        pictures=any(picture_of(example) for example in examples),
        requests=len(firsts),
        first_p50_ms=1000 * firsts[len(firsts) // 2],
        first_p95_ms=1000 * firsts[int(len(firsts) * 0.95)],
        tokens=tokens,
        tokens_per_s=rates[len(rates) // 2],
    )


def _fresh(tasks: Sequence[Task], count: int) -> list[Example]:
    """Questions of all tasks in turn, none of the evaluation's, so that no answer is partly in a cache.

    Tasks with tools are left out: a tool call is only read when it is whole. A model that sees is asked with
    pictures alone.
    """
    first = {task.name: draw(task, 1)[0] for task in tasks}
    plain = [task for task in tasks if not first[task.name].tools]
    seeing = [task for task in plain if picture_of(first[task.name])]
    plain = seeing or plain
    each = -(-count // len(plain))
    drawn = [draw(task, each, seed=ALL_SEEDS + 1) for task in plain]
    return [example for row in zip(*drawn, strict=True) for example in row][:count]


def _first_token_s(endpoint: Endpoint, example: Example) -> float:
    for elapsed, chunk in endpoint.stream({**example.request(""), "min_tokens": 1}):
        if any(choice["delta"].get("content") for choice in chunk["choices"]):
            return elapsed
    raise NotMeasured("An answer was empty", hint=f"the question was {example.question!r}")


def _rate(endpoint: Endpoint, example: Example, tokens: int) -> float:
    """Tokens a second of an answer that goes on until it has so many, whatever the model would have liked."""
    long = {"max_tokens": tokens, "min_tokens": tokens, "ignore_eos": True}
    *_, (elapsed, last) = endpoint.stream({**example.request(""), **long})
    made: int = last["usage"]["completion_tokens"]
    return made / elapsed


@contextmanager
def _asking(url: str) -> Iterator[None]:
    try:
        yield
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        reason = str(error) or type(error).__name__
        raise NotMeasured(f"{url} does not answer: {reason}", hint="heliostat status") from None


def _check(status: int, text: str) -> None:
    if status != 200:
        raise NotMeasured(f"The server answered {status}: {text[:500]}", hint="the server's log has the details")
