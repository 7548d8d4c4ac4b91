"""A served model that judges: asked a few questions at once, behind everybody else, patiently while it is full."""

import json
import secrets
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from threading import Event
from typing import Any, Protocol

from cluster.catalog import deployment_name
from cluster.errors import HeliostatError, NotFound, Overloaded, Unavailable, UnsupportedParameter
from cluster.types import ChatAnswer, ChatCall, ModelCard, Priority
from pipelines.documents.served import Served
from pipelines.sweeps.backoff import wait_s
from pipelines.sweeps.scoring.judge import REPEATED_TEMPERATURE, Ask, Judge

AT_ONCE = 4  # questions
VERDICT_TOKENS = 256  # of a reply: a short JSON object
PATIENCE_S = 90.0  # with a judge that is full
RETRIES = 2  # of a question whose error a retry can help: a verdict that is missing is stored, and stays so


class Deployment(Protocol):
    """What is asked of the judge's deployment: `pipelines.documents.served.Served`."""

    def call(self, method: str, *args: Any) -> Any:
        """What the method returns."""


def asking(application: str, judge: Judge) -> Ask:
    """Asks the judge's deployment. Raises Unavailable, Overloaded or NotFound where nobody judges at all.

    A question that fails by itself, as one that is longer than the judge's context, has None for its reply.
    """
    return partial(ask, Served(application, deployment_name(judge.id)), judge)


def revision_of(application: str, judge: Judge) -> str:
    """The revision of the judge's weights. Raises Unavailable."""
    card: ModelCard = Served(application, deployment_name(judge.id)).call("card")
    return card.revision


def ask(served: Deployment, judge: Judge, questions: Sequence[str]) -> list[str | None]:
    """The judge's replies, in order. After the first that nobody can give, no further question is asked."""
    over = Event()

    def reply(body: dict[str, Any]) -> str | None:
        try:
            return None if over.is_set() else _reply(served, body, over)
        except HeliostatError:
            over.set()
            raise

    with ThreadPoolExecutor(AT_ONCE, thread_name_prefix="judge") as pool:
        try:
            return list(pool.map(reply, bodies_of(judge, questions)))
        finally:
            over.set()  # the pool waits for its threads, and those may wait for a judge that is full


def bodies_of(judge: Judge, questions: Sequence[str]) -> list[dict[str, Any]]:
    """The requests of a judge's questions.

    Each time that one question is asked it has a seed of its own, the same in every run; at temperature 0 all
    repeats would say the same.
    """
    bodies = []
    asked: Counter[str] = Counter()
    for question in questions:
        said = {"model": judge.id, "messages": [{"role": "user", "content": question}]}
        drawn = {"temperature": REPEATED_TEMPERATURE, "seed": asked[question] % judge.repeats}
        drawn = drawn if judge.repeats > 1 else {"temperature": 0}
        bodies.append({**said, **drawn, "max_tokens": VERDICT_TOKENS})
        asked[question] += 1
    return bodies


def _reply(served: Deployment, body: dict[str, Any], over: Event) -> str | None:
    """The judge's reply; None where the question failed, which costs one verdict and not the scoring."""
    deadline, waits, failures = time.monotonic() + PATIENCE_S, 0, 0
    while True:
        call = ChatCall(
            body=json.dumps(body).encode(), request_id=f"judge-{secrets.token_hex(4)}", priority=Priority.BACKGROUND
        )
        try:
            answer: ChatAnswer = served.call("chat", call)
        except UnsupportedParameter:  # a judge that takes no seeds draws by itself
            if "seed" not in body:
                return None
            body = {name: value for name, value in body.items() if name != "seed"}
        except Overloaded as error:
            if time.monotonic() > deadline:
                raise
            waits += 1
            if over.wait(wait_s(waits, error.retry_after_s)):
                return None
        except (Unavailable, NotFound):
            raise
        except HeliostatError as error:
            failures += 1
            if not error.retryable or failures > RETRIES or over.wait(wait_s(failures, error.retry_after_s)):
                return None
        else:
            said: dict[str, Any] = json.loads(answer.body)
            content = said["choices"][0]["message"].get("content")
            return content if isinstance(content, str) else None
