"""Many clients with one text each, against one client with all of them: what batching on the way costs.

    python benchmarks/embedding_clients.py [--texts 256] [--rounds 5] [--json FILE]

The same texts, the same embedder, runs interleaved; keys and limits on. Promised: at 256 clients at most 1.2 times
the wall time of the one batched call.
"""

import argparse
import asyncio
import json
import statistics
import tempfile
from pathlib import Path
from random import Random
from time import perf_counter

import aiohttp
import peers
from gateway import free_port, running
from peers import Server

MODEL = "all-MiniLM-L6-v2"
MOST = 1.2  # times one batched call
VOCABULARY = (
    "mirror sun field tower light heat steam turbine morning cloud angle steel motor dust rain night cable ground "
    "signal north shadow glass drive wind salt tank pump valve engine water"
)


def texts(count: int, words: int = 60) -> list[str]:
    """Different texts of a passage's length."""
    rng, vocabulary = Random(0), VOCABULARY.split()  # noqa: S311  # data, not secrets
    return [" ".join(rng.choices(vocabulary, k=words)) for _ in range(count)]


async def asked(server: Server, inputs: list[list[str]]) -> float:
    """Seconds until all are answered, each list by a client of its own. Raises RuntimeError where one is not."""
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(connector=connector, headers=server.headers) as session:

        async def one(part: list[str]) -> int:
            body = {"model": MODEL, "input": part, "encoding_format": "base64"}
            async with session.post(f"{server.url}/v1/embeddings", json=body) as response:
                if response.status != 200:
                    raise RuntimeError(f"status {response.status}: {await response.text()}")
                return len((await response.json())["data"])

        begun = perf_counter()
        vectors = sum(await asyncio.gather(*(one(part) for part in inputs)))
        took = perf_counter() - begun
    if vectors != sum(len(part) for part in inputs):
        raise RuntimeError(f"{vectors} vectors came back")
    return took


def main() -> None:
    """Start a server, ask both ways in turn, print the medians and their ratio."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--texts", type=int, default=256)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", type=Path, help="write the figures there")
    arguments = parser.parse_args()
    together = texts(arguments.texts)
    apart = [[text] for text in together]
    taken: dict[str, list[float]] = {"together": [], "apart": []}
    with tempfile.TemporaryDirectory(prefix="heliostat-clients-") as folder:
        server = peers.heliostat(free_port(), Path(folder), config="benchmarks/embedding_clients.yaml", model=MODEL)
        with running(server):
            for number in range(arguments.rounds + 1):  # the first warms up and is not counted
                for name, inputs in (("together", [together]), ("apart", apart))[:: 1 if number % 2 else -1]:
                    took = asyncio.run(asked(server, inputs))
                    if number:
                        taken[name].append(took)
    one, many = (statistics.median(taken[name]) for name in ("together", "apart"))
    reached = "reached" if many <= MOST * one else "MISSED"
    print(
        f"{arguments.texts} texts in one call {one:.2f} s, by as many clients {many:.2f} s: ratio {many / one:.2f} "
        f"({reached} ≤ {MOST})"
    )
    if arguments.json:
        arguments.json.write_text(json.dumps({"texts": arguments.texts, **taken}, indent=2))


if __name__ == "__main__":
    main()
