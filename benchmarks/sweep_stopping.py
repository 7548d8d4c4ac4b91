"""What `stop_when` costs the statistics, by simulation.

    .venv/bin/python benchmarks/sweep_stopping.py [--datasets 6000] [--seed 1]

Two configurations that do not differ run over the same prompts, each until its own rule ends it; then the mean's
95 % interval and the paired test are held against the truth. `as seen` stops as soon as the sample's interval is
narrow, `expected` as soon as the one to be expected is (`pipelines.analysis.expected_width`), each with or without
one more repeat; the last is what `pipelines/sweeps/stopping.py` does. Told is the worst over half-widths from very
coarse to hardly reached, in a world in which repeats scatter much more than prompts and in one in which prompts
scatter more. Under 15 prompts the test told is t, as the exact one of so few errs in steps. Nothing is started.
"""

import argparse

import numpy as np
from numpy.typing import NDArray
from sweep_worlds import World

from pipelines.analysis import student
from pipelines.analysis.expected_width import expected_half_width
from pipelines.analysis.frame import Blocks
from pipelines.analysis.limits import limits_of

Floats = NDArray[np.float64]
REPEATS = 12
WORLDS = ((3.0, 10.0, (6.0, 4.0, 3.0, 2.5, 2.0)), (8.0, 5.0, (8.0, 5.0, 4.2, 4.0, 3.8)))
"""SD of prompts, of repeats, and half-widths in points at 20 prompts."""

RULES = (
    ("as seen", True, 0),
    ("as seen, one more", True, 1),
    ("expected", False, 0),
    ("expected, one more", False, 1),
)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--datasets", type=int, default=6000, help="simulated runs a line and half-width")
    parser.add_argument("--seed", type=int, default=1)
    chosen = parser.parse_args()
    print(f"{chosen.datasets} simulated runs a line and half-width, seed {chosen.seed}; the worst half-width")
    for prompts in (5, 10, 20, 40):
        for between, noise, widths in WORLDS:
            for name, seen, more in RULES:
                random = np.random.default_rng(chosen.seed)
                world = World(
                    prompts=prompts,
                    configurations=2,
                    repeats=REPEATS,
                    between=between,
                    interaction=0.0,
                    noise=noise,
                )
                told = [
                    _told(world.rows(random, chosen.datasets), width * (20 / prompts) ** 0.5, more, seen=seen)
                    for width in widths
                ]
                covers, wrong = min(one[0] for one in told), max(one[1] for one in told)
                repeats = ", ".join(f"{one[2]:.1f}" for one in told)
                print(
                    f"  {prompts:>2} prompts of SD {between:g}, repeats of {noise:g}, {name:<18}: covers "
                    f"{100 * covers:.1f} %, false positives {100 * wrong:.1f} %, repeats {repeats} of {REPEATS}",
                    flush=True,
                )


def _told(rows: Floats, width: float, more: int, *, seen: bool) -> tuple[float, float, float]:
    """Coverage of an interval, false positives of a comparison, and the mean number of repeats."""
    means, repeats = zip(*(_stopped(rows[:, :, place], width, more, seen=seen) for place in (0, 1)), strict=True)
    limits = limits_of(means[0].T)
    p = student.p_values(student.columns_of((means[0] - means[1]).T))
    inside = (limits.low <= 0) & (limits.high >= 0)
    return float(inside.mean()), float((p <= 0.05).mean()), float(np.mean(repeats))


def _stopped(rows: Floats, width: float, more: int, *, seen: bool) -> tuple[Floats, NDArray[np.int64]]:
    """(dataset, prompt): means over the repeats that a run got, and how many those are. At least two."""
    looks = [_blocks(rows[:, :, : at + 1]) for at in range(REPEATS)]
    narrow = np.stack(
        [
            (
                student.half_width(student.columns_of(look.mean))
                if seen
                else expected_half_width(looks[min(at, 1)], look)
            )
            <= width
            for at, look in enumerate(looks)
        ],
        axis=1,
    )
    # The rule that runs looks from two repeats on; the one that is as seen could stop behind the first.
    narrow[:, : 1 - more if seen else 1] = False
    first = np.where(narrow.any(axis=1), narrow.argmax(axis=1), REPEATS - 1)
    last = np.minimum(first + more, REPEATS - 1)
    so_far = np.stack([look.mean for look in looks])
    return so_far[last, :, np.arange(len(rows))], last + 1


def _blocks(rows: Floats) -> Blocks:
    """A dataset is a configuration here."""
    mean = rows.mean(axis=2)
    within = ((rows - mean[:, :, None]) ** 2).sum(axis=2)
    return Blocks(mean=mean.T, count=np.full(mean.T.shape, rows.shape[2]), within=within.T)


if __name__ == "__main__":
    main()
