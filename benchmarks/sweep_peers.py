"""Sweeps against their peers: vLLM's offline batch, promptfoo, and the people who chat meanwhile.

    python benchmarks/sweep_peers.py generate | promptfoo | interactive | progress  [--rounds 3] [--json FILE]

`generate` runs a sweep, and the same cells by `vllm.LLM.generate` in one batch with the same engine settings.
`promptfoo` runs a sweep, and the same prompts and settings by promptfoo on our endpoint, at its best concurrency.
`interactive` asks twice a second, with a sweep and without, and compares the waits and the sweep's pace.
`progress` follows a batch experiment's events, and tells how long after a cell's end they count it.

Runs are interleaved; one of the two is idle while the other works. What counts is the ratio of the medians:
absolute figures of a shared machine are noise. The command says which targets are missed, and does not fail.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import peers
import promptfoo
import sweep_cells as cells
from sweep_beside import beside, waits_of
from sweep_progress import followed

GENERATE = 0.9  # of the pace of one offline batch
PROMPTFOO = 3.0  # times its pace
MORE_MS = 15.0  # first token's p95 beside a sweep, over that without
KEPT = 0.6  # of a sweep's pace, beside people
HEARD_S = 1.0
AT_ONCE = (4, 16, 64)  # concurrencies that promptfoo is tried at

Found = dict[str, Any]


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True)
    for work, repeats, rounds in (
        (generate, 12, 3),
        (against_promptfoo, 4, 2),
        (interactive, 400, 3),
        (progress, 6, 2),
    ):
        command = commands.add_parser(
            work.__name__.removeprefix("against_"), help=(work.__doc__ or "").split(".")[0]
        )
        command.add_argument("--repeats", type=int, default=repeats, help="of 160 cells each")
        command.add_argument("--rounds", type=int, default=rounds)
        command.add_argument("--json", type=Path, help="write the figures there")
        command.set_defaults(work=work)
        if work is generate:
            command.add_argument("--no-seeds", action="store_true", help="cells without a seed of their own")
        if work is interactive:
            command.add_argument("--window", type=float, default=20.0, help="seconds of each of a round's parts")
    given = parser.parse_args()
    found = given.work(given)
    if given.json:
        given.json.write_text(json.dumps(found, indent=2) + "\n")


def generate(given: argparse.Namespace) -> Found:
    """A sweep against all its cells in one offline batch."""
    seeds = not given.no_seeds
    spec = cells.spec_of(given.repeats, seeds=seeds)
    asked = offline_cells(given.repeats, seeds=seeds)
    ours: list[cells.Swept] = []
    theirs: list[Found] = []
    with offline(asked) as ask, cells.our_server() as server:

        def generated() -> None:
            theirs.append(ask())
            print(f"generate: {60 * len(asked) / theirs[-1]['seconds']:,.0f} cells/min", flush=True)

        in_turn(given.rounds, lambda: swept(server, spec, ours), generated)
    pace = statistics.median(one.cells_per_minute for one in ours)
    peer = statistics.median(60 * len(asked) / one["seconds"] for one in theirs)
    print(
        f"{len(asked)} cells of {cells.TOKENS} tokens, {'a seed each' if seeds else 'no seeds'}: "
        f"sweep {pace:,.0f} cells/min, LLM.generate {peer:,.0f}: ratio {pace / peer:.2f} "
        f"({verdict(pace / peer >= GENERATE)} ≥ {GENERATE}); failed {sum(one.failed for one in ours)}; "
        f"whole command {statistics.median(one.whole_s for one in ours):.1f} s"
    )
    return {"cells": len(asked), "seeds": seeds, "ours": [asdict(one) for one in ours], "theirs": theirs}


def in_turn(rounds: int, ours: Callable[[], None], theirs: Callable[[], None]) -> None:
    """Both sides in each round, the other one first each time."""
    for number in range(rounds):
        for side in (theirs, ours) if number % 2 else (ours, theirs):
            side()


def swept(server: peers.Server, spec: Found, found: list[cells.Swept]) -> None:
    """One sweep more."""
    found.append(cells.sweep(server, spec))
    print(f"sweep: {found[-1].cells_per_minute:,.0f} cells/min", flush=True)


def offline_cells(repeats: int, *, seeds: bool) -> list[Found]:
    """The sweep's cells, in its order: all settings of a prompt together."""
    settings = [(t, p, r) for t in cells.TEMPERATURES for p in cells.TOP_PS for r in range(repeats)]
    whole = [(text, *setting) for text in cells.prompts() for setting in settings]
    return [
        {"prompt": text, "temperature": t, "top_p": p, "max_tokens": cells.TOKENS, "seed": place if seeds else None}
        for place, (text, t, p, _) in enumerate(whole)
    ]


@contextmanager
def offline(asked: list[Found]) -> Iterator[Any]:
    """vLLM without a server, loaded; call it for a round."""
    with tempfile.TemporaryDirectory(prefix="heliostat-offline-") as folder:
        file, log = Path(folder) / "cells.json", Path(folder) / "log"
        file.write_text(json.dumps(asked), encoding="utf-8")
        command = [sys.executable, str(Path(__file__).parent / "offline_generate.py"), str(file), peers.dtype()]
        with log.open("w") as said:
            process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=said,
                text=True,
                env=peers.environment(),
            )
        assert process.stdin is not None
        assert process.stdout is not None

        def line() -> str:
            """The next one that is ours: vLLM prints there, too."""
            assert process.stdout is not None
            for text in process.stdout:
                if text.startswith(("ready", '{"seconds"')):
                    return text
            raise RuntimeError(f"vLLM has ended:\n{log.read_text(errors='replace')[-2000:]}")

        def ask() -> Found:
            assert process.stdin is not None
            process.stdin.write("\n")
            process.stdin.flush()
            told: Found = json.loads(line())
            return told

        try:
            line()
            yield ask
        finally:
            process.stdin.close()
            process.wait()
            process.stdout.close()


def against_promptfoo(given: argparse.Namespace) -> Found:
    """A sweep against promptfoo on the same endpoint."""
    promptfoo.install()
    spec = cells.spec_of(given.repeats, seeds=False)  # promptfoo has one seed for all, or none
    ours: list[cells.Swept] = []
    theirs: list[promptfoo.Evaluated] = []
    with cells.our_server() as server:
        tried = [promptfoo.evaluate(server, at_once=at_once, repeats=1) for at_once in AT_ONCE]
        for one in tried:
            print(f"promptfoo -j {one.at_once}: {one.cells_per_minute:,.0f} cells/min", flush=True)
        best = max(tried, key=lambda one: one.cells_per_minute).at_once

        def evaluated() -> None:
            theirs.append(promptfoo.evaluate(server, at_once=best, repeats=given.repeats))
            print(f"promptfoo: {theirs[-1].cells_per_minute:,.0f} cells/min", flush=True)

        in_turn(given.rounds, lambda: swept(server, spec, ours), evaluated)
    pace = statistics.median(one.cells_per_minute for one in ours)
    peer = statistics.median(one.cells_per_minute for one in theirs)
    whole, peer_whole = (statistics.median(one.whole_s for one in side) for side in (ours, theirs))
    print(
        f"{ours[0].cells} cells of {cells.TOKENS} tokens: sweep {pace:,.0f} cells/min, "
        f"promptfoo {promptfoo.VERSION} at -j {best} {peer:,.0f}: ratio {pace / peer:.2f} "
        f"({verdict(pace / peer >= PROMPTFOO)} ≥ {PROMPTFOO:g}); "
        f"failed {sum(one.failed for one in ours)}, {sum(one.failed for one in theirs)}; "
        f"whole commands {whole:.1f} s, {peer_whole:.1f} s"
    )
    return {
        "version": promptfoo.VERSION,
        "tried": [asdict(one) for one in tried],
        "ours": [asdict(one) for one in ours],
        "theirs": [asdict(one) for one in theirs],
    }


def interactive(given: argparse.Namespace) -> Found:
    """People's first tokens beside a sweep, and the sweep's pace beside people."""
    with cells.our_server() as server:
        rounds = [
            beside(server, window_s=given.window, repeats=given.repeats, seed=2 * number)
            for number in range(given.rounds)
        ]
    idle = waits_of([first for one in rounds for first in one.idle])
    both = waits_of([first for one in rounds for first in one.beside], sum(one.failed for one in rounds))
    early = waits_of([first for one in rounds for first in one.early])
    kept = statistics.median(one.beside_pace / one.alone_pace for one in rounds)
    more = both.p95 - idle.p95
    print(
        f"first token at 2 requests/s: idle p50 {idle.p50:.0f} ms, p95 {idle.p95:.0f} ms ({idle.asked} requests); "
        f"beside a sweep {both.p50:.0f} ms, {both.p95:.0f} ms ({both.asked}, {both.failed} failed): "
        f"{more:+.0f} ms ({verdict(more <= MORE_MS)} ≤ +{MORE_MS:g}), while it made room p95 {early.p95:.0f} ms; "
        f"it kept {kept:.0%} of its pace "
        f"({verdict(kept >= KEPT)} ≥ {KEPT:.0%})"
    )
    return {
        "idle": asdict(idle),
        "beside": asdict(both),
        "early": asdict(early),
        "kept": kept,
        "rounds": [asdict(one) for one in rounds],
    }


def progress(given: argparse.Namespace) -> Found:
    """How soon events tell of a cell's end."""
    heard = []
    with cells.our_server() as server:
        for _ in range(given.rounds):
            heard.append(followed(server, given.repeats))
            one = heard[-1]
            print(
                f"{one.cells} cells, {one.events} events: a cell is told of after p50 {one.p50:.2f} s, "
                f"p95 {one.p95:.2f} s, at most {one.longest:.2f} s "
                f"({verdict(one.longest <= HEARD_S)} ≤ {HEARD_S:g})",
                flush=True,
            )
    return {"rounds": [asdict(one) for one in heard]}


def verdict(well: bool) -> str:
    """How a target is said to be."""
    return "reached" if well else "MISSED"


if __name__ == "__main__":
    main()
