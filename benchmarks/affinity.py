"""What affine routing is worth: `python benchmarks/affinity.py`.

A simulation, without Ray or a model: replicas with a cache of prompt prefixes, each of which reads prompts one
after the other and writes many answers at once. The choices are those of `deployments/fleet/affinity.py` and of
Serve's power of two. It shows how the ways of routing differ, not how fast any machine is.
"""

import heapq
import statistics
import sys
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from random import Random

sys.path.insert(0, str(Path(__file__).parents[1]))

from deployments.fleet.affinity import choose

REPLICAS = 4
CLIENTS = 48
REQUESTS = 6000
READ_TOKENS_S = 6000.0  # of a prompt that no cache holds
TOKEN_S = 0.02  # of an answer
ANSWER = 150
PAUSE_S = 2.0  # before a client's next question
BLOCK = 50  # tokens
CACHE_BLOCKS = 1600  # of a replica: 80,000 tokens


@dataclass(frozen=True, slots=True, kw_only=True)
class Prompt:
    """blocks: of its text, by their names. session: whose it is. head: how it begins."""

    blocks: tuple[str, ...]
    session: str
    head: str


@dataclass(slots=True, eq=False)
class Replica:
    """busy_until: with reading prompts. load: requests that it has."""

    busy_until: float = 0.0
    load: int = 0
    served: int = 0
    cache: OrderedDict[int, None] = field(default_factory=OrderedDict)

    def reads(self, prompt: Prompt) -> int:
        """The blocks that it has to read, and has from then on."""
        known = key = 0
        for length, block in enumerate(prompt.blocks, 1):
            key = hash((key, block))  # of all that comes before it, too
            if known == length - 1 and key in self.cache:
                known = length
            self.cache[key] = None
            self.cache.move_to_end(key)
        while len(self.cache) > CACHE_BLOCKS:
            self.cache.popitem(last=False)
        return len(prompt.blocks) - known


def named(name: str, tokens: int) -> tuple[str, ...]:
    """A text of so many tokens."""
    return tuple(f"{name}/{block}" for block in range(tokens // BLOCK))


def conversations(client: int, rng: Random) -> Iterator[Prompt]:
    """Eight turns on the same instructions, each with all that was said before."""
    for number in count():
        name = f"conversation-{client}-{number}"
        said = named("instructions", 500)
        for turn in range(8):
            said += named(f"{name}-question-{turn}", rng.choice((50, 100, 300)))
            yield Prompt(blocks=said, session=f"user-{client}", head=name)
            said += named(f"{name}-answer-{turn}", ANSWER)


def documents(client: int, rng: Random) -> Iterator[Prompt]:
    """Questions on 60 long documents, on some more often than on others."""
    for number in count():
        document = f"document-{min(59, int(rng.expovariate(1 / 15)))}"
        question = named(f"question-{client}-{number}", 100)
        yield Prompt(blocks=named(document, 4000) + question, session=f"user-{client}", head=document)


def unlike(client: int, rng: Random) -> Iterator[Prompt]:
    """Prompts that have nothing in common."""
    for number in count():
        name = f"prompt-{client}-{number}"
        yield Prompt(blocks=named(name, rng.choice((200, 500, 1500))), session=name, head=name)


def alike(client: int, rng: Random) -> Iterator[Prompt]:
    """The same long instructions for all, and a question: one prefix."""
    for number in count():
        question = named(f"question-{client}-{number}", rng.choice((50, 100, 300)))
        yield Prompt(blocks=named("instructions", 3000) + question, session=f"user-{client}", head="instructions")


def place(routing: str, prompt: Prompt, replicas: list[Replica], rng: Random) -> Replica:
    """The replica for a prompt."""
    if routing != "queue":
        key = prompt.session if routing == "session" else prompt.head
        chosen = choose(key, {str(number): replica.load for number, replica in enumerate(replicas)})
        assert chosen is not None
        return replicas[int(chosen)]
    return min(rng.sample(replicas, 2), key=lambda replica: replica.load)


def simulated(workload, routing: str) -> dict[str, float]:  # type: ignore[no-untyped-def]
    """One run."""
    rng = Random(7)  # noqa: S311  # the same in every run
    replicas = [Replica() for _ in range(REPLICAS)]
    prompts = [workload(client, Random(client)) for client in range(CLIENTS)]  # noqa: S311
    order = count()
    todo: list[tuple[float, int, str, int]] = [
        (rng.random(), next(order), "ask", client) for client in range(CLIENTS)
    ]
    heapq.heapify(todo)
    firsts: list[float] = []
    uneven: list[float] = []
    read = asked = 0
    while len(firsts) < REQUESTS:
        now, _, what, number = heapq.heappop(todo)
        if what == "end":
            replicas[number].load -= 1
            continue
        prompt = next(prompts[number])
        replica = place(routing, prompt, replicas, rng)
        blocks = replica.reads(prompt)
        asked, read = asked + len(prompt.blocks), read + blocks
        first = max(now, replica.busy_until) + blocks * BLOCK / READ_TOKENS_S
        replica.busy_until = first
        replica.load += 1
        firsts.append(first - now)
        loads = [one.load for one in replicas]
        uneven.append(max(loads) / (sum(loads) / REPLICAS))
        end = first + ANSWER * TOKEN_S
        heapq.heappush(todo, (end, next(order), "end", replicas.index(replica)))
        heapq.heappush(todo, (end + rng.expovariate(1 / PAUSE_S), next(order), "ask", number))
    warm = sorted(firsts[REQUESTS // 10 :])
    return {
        "cached": 1 - read / asked,
        "p50": 1000 * statistics.median(warm),
        "p95": 1000 * warm[int(0.95 * len(warm))],
        "uneven": statistics.mean(uneven[REQUESTS // 10 :]),
    }


def main() -> None:
    """Print a table."""
    print("| prompts | routing | read before | first token p50 | p95 | busiest replica, of the mean |")
    print("|---|---|---|---|---|---|")
    workloads = {"conversations": conversations, "documents": documents, "all alike": alike, "all unlike": unlike}
    for name, workload in workloads.items():
        for routing in ("queue", "session", "prefix"):
            found = simulated(workload, routing)
            print(
                f"| {name} | `{routing}` | {found['cached']:.0%} | {found['p50']:.0f} ms | {found['p95']:.0f} ms "
                f"| {found['uneven']:.2f} |"
            )


if __name__ == "__main__":
    main()
